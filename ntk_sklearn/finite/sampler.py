"""Examples in the order in which they are learned, for torch's data loaders."""

from __future__ import annotations

import math
from collections.abc import Iterator
from numbers import Integral, Real
from typing import Any

import numpy as np
from torch import Tensor
from torch.utils.data import Sampler

from .seeds import check_seed


class LearnabilitySampler(Sampler[int]):
    """Indices of the easiest examples first, of more in each epoch, of all from some epoch on.

    Epoch e (from 0 on) goes once, in random order, through the share
    ``min(1, first_share + (1 - first_share) e / epochs)`` of the examples with the smallest scores.
    An epoch begins where the one before has been gone through to its end; `set_epoch` goes to any.
    The order in an epoch depends on `random_state` and the number of the epoch only.

    Parameters
    ----------
    scores : array-like, (n,)
        Small for examples that are learned soon; equal ones by position. `ntk_sklearn.inference`
        has `residual_scores`, `mode_scores` and `left_out_scores`.
    epochs : int
        The first epoch that shows all examples; 0 shows all from the beginning.
    first_share : float, default=0.25
        The share of epoch 0, in (0, 1].
    hardest_first : bool, default=False
        Begin with the largest scores instead.
    random_state : int, default=0

    Attributes
    ----------
    epoch : int
        The one that comes next.

    Examples
    --------
    >>> sampler = LearnabilitySampler([0.3, 0.1, 0.4, 0.2], epochs=2, first_share=0.5)
    >>> [sorted(sampler) for _ in range(3)]
    [[1, 3], [0, 1, 3], [0, 1, 2, 3]]
    """

    def __init__(
        self,
        scores: Any,
        *,
        epochs: int,
        first_share: float = 0.25,
        hardest_first: bool = False,
        random_state: int = 0,
    ) -> None:
        found = _scores(scores)
        self.order = np.argsort(-found if hardest_first else found, kind="stable")
        self.epochs, self.epoch = _counted(epochs, "epochs"), 0
        if isinstance(first_share, bool) or not isinstance(first_share, Real):
            raise TypeError(f"first_share must be a number in (0, 1], got {first_share!r}")
        if not 0 < float(first_share) <= 1:
            raise ValueError(f"first_share must be a number in (0, 1], got {first_share!r}")
        self.first_share: float = float(first_share)
        self.random_state: int = check_seed(random_state)

    def set_epoch(self, epoch: int) -> None:
        """Go to an epoch, as to resume a training."""
        self.epoch = _counted(epoch, "epoch")

    def __len__(self) -> int:
        if self.epoch >= self.epochs:
            return len(self.order)
        share = self.first_share + (1.0 - self.first_share) * self.epoch / self.epochs
        return max(1, math.ceil(share * len(self.order) - 1e-9))

    def __iter__(self) -> Iterator[int]:
        epoch, shown = self.epoch, self.order[: len(self)]
        yield from np.random.default_rng((self.random_state, epoch)).permutation(shown).tolist()
        self.epoch = epoch + 1


def _scores(scores: Any) -> np.ndarray:
    values = scores.detach().cpu() if isinstance(scores, Tensor) else scores
    found = np.asarray(values, dtype=np.float64)
    if found.ndim != 1 or not found.size or np.isnan(found).any():
        raise ValueError(
            f"scores must be one number per example (n,), got an array of shape {found.shape}"
            f"{' with nan' if np.isnan(found).any() else ''}"
        )
    return found


def _counted(value: Any, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 0:
        raise ValueError(f"{name} must be an integer >= 0, got {value!r}")
    return int(value)
