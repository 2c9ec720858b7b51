"""What a user says about training: how far, by which steps, on which loss."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np

from ..inference import LossGradient, ModeCurriculum, Schedule, mean_loss_scale


def check_time(t: Any, learning_rate: Any = None) -> float:
    """`t` as a float in [0, inf]; with a learning rate it counts steps, which are whole."""
    try:
        time = float(t)
    except (TypeError, ValueError):
        raise TypeError(f"t must be a number in [0, inf], got {t!r}") from None
    if isinstance(t, (bool, np.bool_, str)) or not time >= 0:
        raise ValueError(f"t must be a number in [0, inf], got {t!r}")
    if learning_rate is not None and np.isfinite(time) and time != int(time):
        raise ValueError(f"with a learning_rate t counts steps and must be whole, got {t!r}")
    return time


def make_schedule(
    learning_rate: Any, momentum: Any, loss_scale: Any, weight: np.ndarray, n_outputs: int
) -> Schedule:
    """The path of training, from the parameters of an estimator."""
    if loss_scale not in ("sum", "mean"):
        raise ValueError(f"loss_scale must be 'sum' or 'mean', got {loss_scale!r}")
    if isinstance(momentum, bool) or not isinstance(momentum, Real) or not 0 <= float(momentum) < 1:
        raise ValueError(f"momentum must be a number in [0, 1), got {momentum!r}")
    scale = mean_loss_scale(weight, n_outputs) if loss_scale == "mean" else 1.0
    if learning_rate is None:
        if momentum:
            raise ValueError("momentum needs a learning_rate: without one, training is a flow")
        return Schedule(scale=scale)
    if isinstance(learning_rate, bool) or not isinstance(learning_rate, Real):
        raise TypeError(f"learning_rate must be None or a number > 0, got {learning_rate!r}")
    if not 0 < float(learning_rate) < np.inf:
        raise ValueError(f"learning_rate must be None or a number > 0, got {learning_rate!r}")
    return Schedule(float(learning_rate), float(momentum), scale)


def find_loss(
    loss: Any, known: dict[str, LossGradient], learning_rate: Any, t: float
) -> LossGradient | None:
    """The gradient of a loss that training has no closed form for; None for squared loss."""
    if isinstance(loss, str) and loss == "squared":
        return None
    if not callable(loss) and loss not in known:
        raise ValueError(
            f"loss must be one of {['squared', *known]} or a function (outputs, targets) -> "
            f"gradient, got {loss!r}"
        )
    if learning_rate is not None:
        raise ValueError(f"loss={loss!r} is trained by gradient flow: it takes no learning_rate")
    if np.isinf(t):
        raise ValueError(f"loss={loss!r} is trained for a finite time: give t")
    return loss if callable(loss) else known[loss]


def check_curriculum(curriculum: Any, loss: Any, learning_rate: Any) -> ModeCurriculum | None:
    """The curriculum, if it is one and modes are learned one by one."""
    if curriculum is None:
        return None
    if not isinstance(curriculum, ModeCurriculum):
        raise TypeError(f"curriculum must be None or a ModeCurriculum, got {curriculum!r}")
    if not isinstance(loss, str) or loss != "squared":
        raise ValueError(
            f"a curriculum shows modes, which only loss='squared' learns one by one, got {loss!r}"
        )
    for start in curriculum.starts:
        check_time(start, learning_rate)
    return curriculum
