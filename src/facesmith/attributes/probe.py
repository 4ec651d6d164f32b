"""A linear probe: one logistic regression on image features for each attribute."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import binary_cross_entropy_with_logits

WEIGHT_DECAY = 0.1  # on standardized features; best for 3,000 faces with 1,408 features
ITERATIONS = 60


class Probe:
    """Predicts attributes from features. The share of positive predictions is that of the labels in training.

    Args:
        features: `[N, D]`.
        labels: `[N, A]`, 1 for yes, 0 for no, NaN if unknown. Some of each attribute are known.
    """

    def __init__(self, features: NDArray[np.float32], labels: NDArray[np.float32]) -> None:
        self._mean, self._scale = features.mean(0), features.std(0) + 1e-6
        x, known = self._scaled(features), torch.from_numpy(~np.isnan(labels))
        y = torch.from_numpy(np.nan_to_num(labels))
        self._linear = torch.nn.Linear(x.shape[1], y.shape[1])
        torch.nn.init.zeros_(self._linear.weight)
        torch.nn.init.zeros_(self._linear.bias)
        optimizer = torch.optim.LBFGS(self._linear.parameters(), max_iter=ITERATIONS, line_search_fn="strong_wolfe")

        def closure() -> torch.Tensor:
            optimizer.zero_grad()
            losses = binary_cross_entropy_with_logits(self._linear(x), y, reduction="none")
            means = (losses * known).sum(0) / known.sum(0).clamp_min(1)
            loss = means.sum() + WEIGHT_DECAY * self._linear.weight.square().sum()
            loss.backward()  # type: ignore[no-untyped-call]
            return loss

        optimizer.step(closure)  # type: ignore[no-untyped-call]
        logits = self.logits(features)
        shares = np.nanmean(labels, 0)
        self._thresholds = np.array(
            [np.quantile(column, 1 - share) for column, share in zip(logits.T, shares, strict=True)]
        )

    def logits(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Logits `[N, A]` of features `[N, D]`."""
        with torch.no_grad():
            logits: NDArray[np.float32] = self._linear(self._scaled(features)).numpy()
        return logits

    def predict(self, features: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Whether a face has an attribute, `[N, A]`."""
        return self.logits(features) > self._thresholds

    def _scaled(self, features: NDArray[np.float32]) -> torch.Tensor:
        return torch.from_numpy((features - self._mean) / self._scale)
