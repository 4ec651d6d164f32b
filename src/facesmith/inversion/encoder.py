"""The network that guesses a picture's latent at one glance, and its training.

It learns from two kinds of pictures, half of each batch: the model's own samples, whose latents are known, and real
faces, of which only the picture that the generator makes of the guess can be judged. Samples alone teach it a world
without hats, hands and other cameras; faces alone leave it free to guess latents that no seed has.

It begins as the best linear guess from a much reduced picture, in closed form (ridge regression on samples): that alone
is worth as much as many hundred steps of the convolutions, which then learn what is missing.

Source: the two halves are those of Zhu et al. 2020, "In-Domain GAN Inversion for Real Image Editing",
arXiv:2004.00049, section 3.1, without its critic.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, mse_loss
from torch.optim import Adam

from facesmith.device import has_bfloat16
from facesmith.gan.contracts import Generator
from facesmith.inversion.perceptual_distance import PerceptualDistance, pixel_distance
from facesmith.inversion.prior import norm_penalty
from facesmith.latent.from_seeds import draw_latents
from facesmith.latent.whitening import Whitening

WIDTH = 32
MOST_WIDTH = 256
NARROWEST = 4  # pixels to which pictures are halved
COARSE = 16  # pixels from which the linear guess is made
DRAWN, RIDGE = 4096, 3e-3  # samples for it, and its regularisation, in parts of the pixels' mean variance
BATCH = 16  # samples, and as many real faces
LR, LAST_LR = 2e-3, 0.02  # the last in parts of the first
PIXELS, FEATURES, PLAUSIBLE = 4.0, 2.0, 0.1  # weights beside the samples' error of `u`, which is 1 for a blind guess


class InversionEncoder(nn.Module):
    """Whitened latents `[N, w_dim]` of images `[N, C, S, S]`: a linear guess from 16x16 pixels, and a correction.

    The correction is made by convolutions that halve the picture to 4x4, with a residual block at 8x8.

    Args:
        width: channels at half of the resolution; twice and four times as many below.
    """

    def __init__(self, resolution: int, channels: int, w_dim: int, width: int = WIDTH) -> None:
        super().__init__()
        self.width = width
        layers: list[nn.Module] = []
        side, c = resolution, channels
        while side > NARROWEST:
            wider = min(4 * width, 2 * c) if c > channels else width
            layers += [nn.Conv2d(c, wider, 3, 2, 1, bias=False), nn.BatchNorm2d(wider), nn.LeakyReLU(0.2)]
            side, c = -(-side // 2), wider
            if NARROWEST < side <= 2 * NARROWEST:
                layers.append(_Residual(c))
        hidden = 5 * width
        self.layers = nn.Sequential(*layers, nn.Flatten(), nn.Linear(c * side**2, hidden), nn.LeakyReLU(0.2))
        self.last = nn.Linear(hidden, w_dim)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)
        self.linear = nn.Linear(channels * COARSE**2, w_dim)

    def forward(self, x: Tensor) -> Tensor:
        u: Tensor = self.linear(coarse(x)) + self.last(self.layers(x))
        return u


def coarse(x: Tensor) -> Tensor:
    """Pictures `[N, C, S, S]` as `[N, C * 16 * 16]`."""
    return adaptive_avg_pool2d(x, COARSE).flatten(1)


class _Residual(nn.Module):
    def __init__(self, c: int) -> None:
        super().__init__()
        first = [nn.Conv2d(c, c, 3, padding=1, bias=False), nn.BatchNorm2d(c), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*first, nn.Conv2d(c, c, 3, padding=1, bias=False), nn.BatchNorm2d(c))

    def forward(self, x: Tensor) -> Tensor:
        summed: Tensor = x + self.layers(x)
        return summed


class EncoderTraining:
    """One training of an encoder, step by step; the same seed gives the same one.

    Args:
        faces: called for the next so many real faces, `[N, C, S, S]` in `[-1, 1]`.
        steps: how many there will be; the learning rate falls to nearly nothing over them.
    """

    def __init__(
        self, G: Generator, prior: Whitening, faces: Callable[[int], Tensor], steps: int, seed: int = 0
    ) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.E = InversionEncoder(G.resolution, G.channels, G.w_dim)
        self.E.to(G.w_avg.device).to(memory_format=torch.channels_last)
        self.E.train()
        self.G, self.prior, self.faces, self.steps = G, prior, faces, steps
        self.rng = torch.Generator().manual_seed(seed)
        self.likeness = PerceptualDistance(side_px=G.resolution, layers=(0, 2, 4), pooled=False)
        self._begin()
        self.optimizer = Adam(self.E.parameters(), LR, betas=(0.9, 0.99), fused=True)

    def step(self, number: int) -> dict[str, float]:
        """Learn from one batch; the terms of its loss by name."""
        left = 1 - number / self.steps
        for group in self.optimizer.param_groups:
            group["lr"] = LR * (LAST_LR + (1 - LAST_LR) * left)
        w, samples = self._samples()
        real = self.faces(BATCH)
        with self._fast():
            u, u_real = self.E(torch.cat([samples, real])).float().chunk(2)
            rebuilt = self.G.synthesis(self.prior.to_w(u_real)).float()
        features = self.likeness.distance(self.likeness.features(rebuilt), self.likeness.features(real))
        terms = {
            "latent": mse_loss(u, self.prior.to_u(w)),
            "pixels": pixel_distance(rebuilt, real).mean(),
            "features": features.mean(),
            "plausible": norm_penalty(u_real[:, None]).mean(),
        }
        weights = {"latent": 1.0, "pixels": PIXELS, "features": FEATURES, "plausible": PLAUSIBLE}
        total = torch.stack([weights[name] * term for name, term in terms.items()]).sum()
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        return {name: float(term.detach()) for name, term in terms.items()}

    @torch.no_grad()
    def _samples(self) -> tuple[Tensor, Tensor]:
        """Latents `[N, w_dim]` and their faces."""
        w = draw_latents(self.G, BATCH, self.rng)
        with self._fast():
            return w, self.G.synthesis(w).float()

    @torch.no_grad()
    def _begin(self) -> None:
        """Fill the encoder's linear part by ridge regression on samples."""
        drawn = [
            (self.prior.to_u(w), coarse(samples)) for w, samples in (self._samples() for _ in range(DRAWN // BATCH))
        ]
        u, x = (torch.cat(parts).double() for parts in zip(*drawn, strict=True))
        middle, mean = x.mean(0), u.mean(0)
        x, u = x - middle, u - mean
        spread = x.T @ x
        spread.diagonal().add_(RIDGE * spread.diagonal().mean())
        weight = torch.linalg.solve(spread, x.T @ u).T
        self.E.linear.weight.copy_(weight)
        self.E.linear.bias.copy_(mean - weight @ middle)

    def _fast(self) -> torch.autocast:
        """Half precision where the processor has it: half of the time, and the guess is as good."""
        device = self.G.w_avg.device
        return torch.autocast(device.type, torch.bfloat16, enabled=has_bfloat16(device))
