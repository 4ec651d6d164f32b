"""The tutorials' way: the mean latent of faces with an attribute, less that of faces without.

Source: Larsen et al. 2016, "Autoencoding beyond pixels using a learned similarity metric", arXiv:1512.09300, section
4.2; White 2016, arXiv:1609.04468, section 3.3.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def difference_of_means(w: Tensor, targets: NDArray[np.float32]) -> Tensor:
    """`[A, w_dim]` of encoded faces `[N, w_dim]`.

    Args:
        targets: `[N, A]`, above a half where a face has the attribute; NaN where it isn't known.
    """
    has = torch.from_numpy(targets > 0.5)
    lacks = torch.from_numpy(targets <= 0.5)
    return torch.stack([w[has[:, i]].mean(0) - w[lacks[:, i]].mean(0) for i in range(has.shape[1])])
