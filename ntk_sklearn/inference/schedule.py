"""How far training goes: a time of gradient flow, or a number of gradient descent's steps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .filters import gradient_flow, heavy_ball
from .training import Learned, TrainingModes, mean_loss_scale


@dataclass(frozen=True)
class Schedule:
    """The path that training takes on squared loss; a `t` says how far.

    Attributes
    ----------
    learning_rate : float or None
        None is gradient flow, where `t` is the time; else `t` counts steps of this size.
    momentum : float
        Of the steps.
    scale : float
        What the loss is divided by: 1 for a sum.
    """

    learning_rate: float | None = None
    momentum: float = 0.0
    scale: float = 1.0

    def learned(self, t: float) -> Learned:
        """The fraction that is learned of a mode, as a function of its eigenvalue."""
        if self.learning_rate is None:
            return lambda values: gradient_flow(values, t / self.scale)
        rate = self.learning_rate / self.scale
        return lambda values: heavy_ball(values, t, rate, self.momentum)

    def decay(self, values: np.ndarray) -> np.ndarray:
        """By what -log |residual| grows in a unit of time, or in a step, for each eigenvalue.

        Raises
        ------
        ValueError
            With momentum modes oscillate, and no such number exists.
        """
        if self.momentum:
            raise ValueError("learning times of modes are known without momentum only")
        scaled: np.ndarray = values / self.scale
        if self.learning_rate is None:
            return scaled
        step = self.learning_rate * scaled
        with np.errstate(divide="ignore"):
            large = np.log(np.abs(1.0 - step))  # of small steps it would lose digits
        return -np.where(step < 0.5, np.log1p(-np.minimum(step, 0.5)), large)

    def bound(self, largest: float) -> float:
        """The learning rate from which on a mode with the `largest` eigenvalue diverges."""
        return 2.0 * (1.0 + self.momentum) * self.scale / largest if largest > 0 else np.inf

    def check(self, largest: float) -> None:
        """Refuse steps that diverge on a mode with the `largest` eigenvalue (ridge included).

        Raises
        ------
        ValueError
            Naming the bound 2 (1 + momentum) / largest.
        """
        bound = self.bound(largest)
        if self.learning_rate is not None and self.learning_rate >= bound:
            raise ValueError(
                f"gradient descent diverges with learning_rate={self.learning_rate:g}: it must be "
                f"below 2 (1 + momentum) / (largest eigenvalue) = {bound:.6g} for these data"
            )


def max_learning_rate(
    modes: TrainingModes,
    n_outputs: int = 1,
    momentum: float = 0.0,
    loss_scale: str = "sum",
    ridge: float = 0.0,
) -> float:
    """The learning rate from which on descent with momentum diverges, 2 (1 + momentum) / v_max.

    For ``loss_scale="mean"`` it is larger by the number of samples times outputs.
    """
    mean = loss_scale == "mean"
    scale = mean_loss_scale(modes.root_weight**2, n_outputs) if mean else 1.0
    return Schedule(momentum=momentum, scale=scale).bound(modes.system.largest + ridge)
