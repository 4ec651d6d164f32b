"""Measure stripes and grids in generated faces: the power of high frequencies, compared with that of real faces.

The generator upsamples by factors of 2, which can leave stripes of period 2, 4 and 8 px. In the power spectrum they
show up on the axes. For each contact sheet of 128 px faces, the script prints one row of ratios: the mean power of a
band in the sheet's faces, divided by that in 512 real faces. 1 means as much as in real faces. The first four columns
are bands of radial frequency. The others are bands along the two axes, where the other frequency is at most 3.
Frequencies are in cycles per image: 64 is period 2, 32 is period 4.

Run: python benchmarks/stripes.py runs/baseline/samples.png ... --data fairface128.zip
The sheets are those of `facesmith train` and `facesmith sample`. The zip contains faces of 128 px.
"""

from __future__ import annotations

import argparse
import io
import random
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

SIDE_PX, GAP_PX, REAL_COUNT = 128, 2, 512
LOW = 3  # cycles per image; the largest frequency along the other axis
RADIAL_BANDS = ((8, 16), (16, 32), (32, 48), (48, 64))  # without the upper end
AXIS_BANDS = ((28, 31), (32, 32), (33, 36), (40, 60), (62, 64))  # with it
LABEL_WIDTH = 40


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sheets", type=Path, nargs="+", help="contact sheets of 128 px faces")
    parser.add_argument("--data", type=Path, required=True, help="a zip of real faces of 128 px")
    options = parser.parse_args()
    real_power = band_powers(real_faces(options.data))
    radial = [f"{low}-{high}" for low, high in RADIAL_BANDS]
    axes = [f"ax {low}-{high}" for low, high in AXIS_BANDS]
    print(f"{'sheet':{LABEL_WIDTH}}" + "".join(f"{name:>10}" for name in radial + axes))
    for sheet in options.sheets:
        ratios = band_powers(sheet_faces(sheet)) / real_power
        print(f"{str(sheet)[-LABEL_WIDTH:]:{LABEL_WIDTH}}" + "".join(f"{ratio:10.2f}" for ratio in ratios))


def sheet_faces(path):
    """The faces of a contact sheet in gray, float32 `[N, 128, 128]`, 0-255."""
    gray, step = np.asarray(Image.open(path).convert("L"), np.float32), SIDE_PX + GAP_PX
    rows, columns = ((side + GAP_PX) // step for side in gray.shape)
    corners = [(row * step, column * step) for row in range(rows) for column in range(columns)]
    cells = [gray[y : y + SIDE_PX, x : x + SIDE_PX] for y, x in corners]
    return np.stack([cell for cell in cells if np.ptp(cell)])  # cells after the last face are white


def real_faces(path):
    """Random faces from a zip, like those of `sheet_faces`. The same zip always gives the same faces."""
    with zipfile.ZipFile(path) as archive:
        names = sorted(name for name in archive.namelist() if name.endswith((".jpg", ".png")))
        sample = random.Random(1).sample(names, min(REAL_COUNT, len(names)))
        images = [Image.open(io.BytesIO(archive.read(name))).convert("L") for name in sample]
    return np.stack([np.asarray(image, np.float32) for image in images])


def band_powers(faces):
    """The mean power of faces `[N, 128, 128]` in each band: the radial bands, then those along the axes."""
    window = np.outer(np.hanning(SIDE_PX), np.hanning(SIDE_PX))  # otherwise the edges act as sharp lines
    spectra = np.fft.fft2((faces - faces.mean((1, 2), keepdims=True)) * window)
    power = (np.abs(spectra) ** 2).mean(0)
    frequency = np.minimum(np.arange(SIDE_PX), SIDE_PX - np.arange(SIDE_PX))
    radius, is_low = np.hypot(*np.meshgrid(frequency, frequency)), frequency <= LOW
    powers = [power[(radius >= low) & (radius < high)].mean() for low, high in RADIAL_BANDS]
    for low, high in AXIS_BANDS:
        in_band = (frequency >= low) & (frequency <= high)
        powers.append((power[in_band][:, is_low].mean() + power[is_low][:, in_band].mean()) / 2)
    return np.array(powers)


if __name__ == "__main__":
    main()
