"""Whitening: latents as coordinates with zero mean and unit covariance, in which all directions have the same scale."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Whitening:
    """The linear map between latents `w` and whitened coordinates `u`: `w = mean + u @ root`.

    Attributes:
        mean: `[w_dim]`.
        root: `[w_dim, w_dim]`, the symmetric square root of the covariance of `w`.
        inverse: of the root.
    """

    mean: Tensor
    root: Tensor
    inverse: Tensor

    def to_u(self, w: Tensor) -> Tensor:
        """Return the coordinates `[..., w_dim]` of latents."""
        return (w.to(self.mean.dtype) - self.mean) @ self.inverse

    def to_w(self, u: Tensor) -> Tensor:
        """Return the latents `[..., w_dim]` of coordinates."""
        return self.mean + u @ self.root

    def to_w_offset(self, u: Tensor) -> Tensor:
        """Return the difference of latents `[..., w_dim]` that a difference of coordinates makes."""
        return u.to(self.root.dtype) @ self.root

    def float(self) -> Whitening:
        """Return the same map in float32."""
        return Whitening(self.mean.float(), self.root.float(), self.inverse.float())


def whiten(w: Tensor, min_deviation: float) -> Whitening:
    """Fit a whitening to latents `[N, w_dim]`, in float64.

    Args:
        min_deviation: smallest standard deviation along an axis, as a share of the largest: smaller ones are raised to
            it, since little is known about axes along which latents hardly vary.
    """
    w = w.double()
    axes, variances, _ = torch.linalg.svd(torch.cov(w.T).reshape(w.shape[1], w.shape[1]))
    deviations = variances.sqrt()
    deviations = deviations.clamp_min(min_deviation * float(deviations[0].clamp_min(1e-6)))
    # The symmetric root does not depend on the signs of the axes, which linear algebra libraries choose freely.
    return Whitening(w.mean(0), axes * deviations @ axes.T, axes / deviations @ axes.T)
