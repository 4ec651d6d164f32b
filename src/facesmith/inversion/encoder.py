"""The inversion encoder, a network that predicts the latent of an image, and its training.

Half of each batch are samples of the generator, whose latents are known. The other half are real faces, for which only
the image that the generator makes of the prediction can be compared. From samples alone, the encoder would not learn
about hats, hands and other cameras. From real faces alone, it could learn to predict latents that no seed gives.

The encoder starts as the best linear prediction from a strongly reduced image, computed in closed form (ridge
regression on samples). This start is worth several hundred training steps of the convolutions, which then learn a
correction.

Source: the two halves follow Zhu et al. 2020, "In-Domain GAN Inversion for Real Image Editing", arXiv:2004.00049,
section 3.1, without its discriminator.
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
MAX_WIDTH = 256
LAST_SIDE_PX = 4  # size of the last feature map
LINEAR_SIDE_PX = 16  # size of the reduced image for the linear prediction
LINEAR_SAMPLES = 4096  # for the linear fit
RIDGE = 3e-3  # its regularization, relative to the mean variance of pixels
BATCH_SIZE = 16  # samples, and as many real faces
LR, FINAL_LR_SHARE = 2e-3, 0.02  # the learning rate decays linearly to this share
# Weights of the losses on real faces. The loss on the latents of samples has weight 1; a constant prediction costs 1.
PIXEL_WEIGHT, FEATURE_WEIGHT, NORM_WEIGHT = 4.0, 2.0, 0.1


class InversionEncoder(nn.Module):
    """Predicts whitened latents `u` `[N, w_dim]` (see `latent_prior`) of images `[N, C, S, S]`.

    The prediction is the sum of a linear function of 16x16 pixels and a correction by a convolutional network. The
    network halves the image down to 4x4 and has a residual block at 8x8.

    Args:
        width: channels at half the resolution; they double twice further down.
    """

    def __init__(self, resolution: int, channels: int, w_dim: int, width: int = WIDTH) -> None:
        super().__init__()
        self.width = width
        layers: list[nn.Module] = []
        side, c = resolution, channels
        while side > LAST_SIDE_PX:
            c_out = min(4 * width, 2 * c) if c > channels else width
            layers += [nn.Conv2d(c, c_out, 3, 2, 1, bias=False), nn.BatchNorm2d(c_out), nn.LeakyReLU(0.2)]
            side, c = -(-side // 2), c_out
            if LAST_SIDE_PX < side <= 2 * LAST_SIDE_PX:
                layers.append(_Residual(c))
        hidden = 5 * width
        self.layers = nn.Sequential(*layers, nn.Flatten(), nn.Linear(c * side**2, hidden), nn.LeakyReLU(0.2))
        self.last = nn.Linear(hidden, w_dim)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)
        self.linear = nn.Linear(channels * LINEAR_SIDE_PX**2, w_dim)

    def forward(self, x: Tensor) -> Tensor:
        u: Tensor = self.linear(reduce_image(x)) + self.last(self.layers(x))
        return u


def reduce_image(x: Tensor) -> Tensor:
    """Return images `[N, C, S, S]` averaged down to 16x16 and flattened, `[N, C * 16 * 16]`."""
    return adaptive_avg_pool2d(x, LINEAR_SIDE_PX).flatten(1)


class _Residual(nn.Module):
    def __init__(self, c: int) -> None:
        super().__init__()
        first = [nn.Conv2d(c, c, 3, padding=1, bias=False), nn.BatchNorm2d(c), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*first, nn.Conv2d(c, c, 3, padding=1, bias=False), nn.BatchNorm2d(c))

    def forward(self, x: Tensor) -> Tensor:
        total: Tensor = x + self.layers(x)
        return total


class EncoderTraining:
    """The training of an inversion encoder, step by step. The same seed gives the same encoder.

    Args:
        G: in evaluation mode; it is not changed.
        prior: of the generator's latents (`latent_prior`).
        next_faces: called with a number; returns that many real faces, `[N, C, S, S]` in `[-1, 1]`.
        steps: number of steps in all, for the learning-rate decay.
    """

    def __init__(
        self, G: Generator, prior: Whitening, next_faces: Callable[[int], Tensor], steps: int, seed: int = 0
    ) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.E = InversionEncoder(G.resolution, G.channels, G.w_dim)
        self.E.to(G.w_avg.device).to(memory_format=torch.channels_last)
        self.E.train()
        self.G, self.prior, self.next_faces, self.steps = G, prior, next_faces, steps
        self.rng = torch.Generator().manual_seed(seed)
        self.perceptual = PerceptualDistance(side_px=G.resolution, layers=(0, 2, 4), pooled=False)
        self._fit_linear_part()
        self.optimizer = Adam(self.E.parameters(), LR, betas=(0.9, 0.99), fused=True)

    def step(self, number: int) -> dict[str, float]:
        """Train on one batch and return the unweighted loss terms by name.

        Args:
            number: of this step, counted from 0.
        """
        remaining = 1 - number / self.steps
        for group in self.optimizer.param_groups:
            group["lr"] = LR * (FINAL_LR_SHARE + (1 - FINAL_LR_SHARE) * remaining)
        w, samples = self._draw_samples()
        real = self.next_faces(BATCH_SIZE)
        with self._autocast():
            u, u_real = self.E(torch.cat([samples, real])).float().chunk(2)
            rebuilt = self.G.synthesis(self.prior.to_w(u_real)).float()
        features = self.perceptual.distance(self.perceptual.features(rebuilt), self.perceptual.features(real))
        terms = {
            "latent": mse_loss(u, self.prior.to_u(w)),
            "pixels": pixel_distance(rebuilt, real).mean(),
            "features": features.mean(),
            "norm": norm_penalty(u_real[:, None]).mean(),
        }
        weights = {"latent": 1.0, "pixels": PIXEL_WEIGHT, "features": FEATURE_WEIGHT, "norm": NORM_WEIGHT}
        total = torch.stack([weights[name] * term for name, term in terms.items()]).sum()
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        return {name: float(term.detach()) for name, term in terms.items()}

    @torch.no_grad()
    def _draw_samples(self) -> tuple[Tensor, Tensor]:
        """Draw latents `[N, w_dim]` and their images."""
        w = draw_latents(self.G, BATCH_SIZE, self.rng)
        with self._autocast():
            return w, self.G.synthesis(w).float()

    @torch.no_grad()
    def _fit_linear_part(self) -> None:
        """Set the encoder's linear part by ridge regression of `u` on reduced images."""
        pairs = [
            (self.prior.to_u(w), reduce_image(samples))
            for w, samples in (self._draw_samples() for _ in range(LINEAR_SAMPLES // BATCH_SIZE))
        ]
        u, x = (torch.cat(parts).double() for parts in zip(*pairs, strict=True))
        x_mean, u_mean = x.mean(0), u.mean(0)
        x, u = x - x_mean, u - u_mean
        gram = x.T @ x
        gram.diagonal().add_(RIDGE * gram.diagonal().mean())
        weight = torch.linalg.solve(gram, x.T @ u).T
        self.E.linear.weight.copy_(weight)
        self.E.linear.bias.copy_(u_mean - weight @ x_mean)

    def _autocast(self) -> torch.autocast:
        """Use bfloat16 where the processor supports it: twice as fast, and the encoder is as good."""
        device = self.G.w_avg.device
        return torch.autocast(device.type, torch.bfloat16, enabled=has_bfloat16(device))
