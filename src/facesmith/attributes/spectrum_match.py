"""Give real faces the spectrum of samples, so that softness can't be mistaken for an attribute.

Samples are softer than photos. A classifier of photos finds fewer wrinkles, lashes and glasses in any soft picture.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from facesmith.pictures.images import Pixels

BATCH_SIZE = 256


class SpectrumMatch:
    """Changes real faces so that their mean spectrum is that of samples: weaker frequencies, and noise.

    Attributes:
        gain: the factor of the amplitudes in each ring of frequencies, from coarse to fine; at most 1.
        noise_levels: the standard deviation of the noise, in gray levels.

    Args:
        real, fake: uint8 `[N, S, S, C]`.
    """

    def __init__(self, real: Pixels, fake: Pixels) -> None:
        size = real.shape[1]
        rows, columns = np.fft.fftfreq(size) * size, np.fft.rfftfreq(size) * size
        self._ring = np.hypot(rows[:, None], columns[None]).round().astype(int)  # [S, S / 2 + 1]
        power_real, power_fake = self._power(real), self._power(fake)
        self.gain = np.sqrt(np.minimum(1, power_fake / np.maximum(power_real, 1e-12)))
        self._noise = np.sqrt(np.maximum(0, power_fake - power_real)) / size  # of white noise in each ring
        self.noise_levels = float(np.sqrt((self._noise[self._ring] ** 2).mean()))

    def __call__(self, faces: Pixels, seed: int) -> Pixels:
        """The softened faces, uint8 `[N, S, S, C]`."""
        rng = np.random.default_rng(seed)
        softened = np.empty_like(faces)
        gain, noise_gain = (values[self._ring][..., None] for values in (self.gain, self._noise))
        for start in range(0, len(faces), BATCH_SIZE):
            batch = faces[start : start + BATCH_SIZE].astype(np.float32)
            noise = np.fft.rfft2(rng.standard_normal(batch.shape), axes=(1, 2)) * noise_gain
            spectrum = np.fft.rfft2(batch, axes=(1, 2)) * gain + noise
            pictures = np.fft.irfft2(spectrum, s=batch.shape[1:3], axes=(1, 2))
            softened[start : start + BATCH_SIZE] = pictures.round().clip(0, 255)
        return softened

    def _power(self, pictures: Pixels) -> NDArray[np.float64]:
        """The mean power in each ring of frequencies; that of the mean brightness is set to 1."""
        total = np.zeros(self._ring.shape)
        for start in range(0, len(pictures), BATCH_SIZE):
            spectrum = np.fft.rfft2(pictures[start : start + BATCH_SIZE].astype(np.float32), axes=(1, 2))
            total += (np.abs(spectrum) ** 2).mean(3).sum(0)
        rings = np.bincount(self._ring.ravel(), total.ravel()) / np.bincount(self._ring.ravel()) / len(pictures)
        rings[0] = 1
        return rings
