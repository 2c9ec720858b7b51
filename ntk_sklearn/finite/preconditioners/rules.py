r"""How torch's optimizers move one parameter: one rule with different numbers for all of them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Rule:
    r"""The state of an optimizer at one parameter, and what it does with the next gradient.

    .. math::
        g &= \pm \nabla L + \lambda_2 \theta, \qquad b \leftarrow \beta b + \gamma g, \\
        \theta &\leftarrow (1 - \eta \lambda) \theta - \eta_t D^{-1} m, \qquad
        \eta_t = \frac{\eta}{1 + (t - 1) \kappa},

    where m is b, or g without momentum, or g + beta b (Nesterov), divided by 1 - beta^t if it is
    corrected for its start from zero.

    Attributes
    ----------
    denominator : Tensor
        D, of the parameter's shape, as the last step used it.
    step : int
        How many steps t were taken. SGD does not count: 0 if its momentum has no buffer, else 1.
    rate, rate_decay : float
        eta, kappa.
    buffer : Tensor or None
        b; None without momentum, or before the first step.
    remembers : bool
        Whether there is momentum.
    momentum, gain : float
        beta, gamma.
    lookahead, corrected : bool
        Nesterov's momentum; division by 1 - beta^t.
    l2, decoupled : float
        lambda_2, lambda.
    sign : float
        -1 if the objective is maximized.
    """

    denominator: Tensor
    step: int
    rate: float = 0.0
    rate_decay: float = 0.0
    buffer: Tensor | None = None
    remembers: bool = False
    momentum: float = 0.0
    gain: float = 1.0
    lookahead: bool = False
    corrected: bool = False
    l2: float = 0.0
    decoupled: float = 0.0
    sign: float = 1.0

    @property
    def current_rate(self) -> float:
        """eta_t of the last step, or of the first one if none was taken."""
        return self.rate / (1.0 + max(self.step - 1, 0) * self.rate_decay)

    @property
    def reads_gradient(self) -> bool:
        """Whether m is not known from the buffer alone."""
        return not self.remembers or self.lookahead

    @property
    def steady_gain(self) -> float:
        """What m becomes, per gradient, while gradients stay as they are."""
        # Nesterov's, which torch allows without dampening only: 1 + beta / (1 - beta), the same
        return self.gain / (1.0 - self.momentum) if self.remembers else 1.0


def gradient(rule: Rule, theta: Tensor, slope: Tensor) -> Tensor:
    """The g of a parameter theta where the objective has this slope."""
    return rule.sign * slope + rule.l2 * theta


def direction(rule: Rule, g: Tensor | None) -> Tensor:
    """The m of the last step; g is needed if the rule `reads_gradient`."""
    if not rule.remembers:
        assert g is not None
        return g
    assert rule.buffer is not None
    m = rule.buffer
    if rule.lookahead:
        assert g is not None
        m = g + rule.momentum * m
    return m / (1.0 - rule.momentum**rule.step) if rule.corrected else m


def change(rule: Rule, theta: Tensor, g: Tensor | None) -> Tensor:
    """What the last step added to a parameter that was theta before it."""
    decay = rule.rate * rule.decoupled * theta
    return -rule.current_rate * direction(rule, g) / rule.denominator - decay


def advance(rule: Rule, theta: Tensor, slope: Tensor) -> tuple[Rule, Tensor]:
    """One more step with D kept as it is: the rule and the parameter behind it."""
    g = gradient(rule, theta, slope)
    buffer = None
    if rule.remembers:  # torch's first buffer of SGD is g itself, whatever its dampening
        buffer = g if rule.buffer is None else rule.momentum * rule.buffer + rule.gain * g
    after = replace(rule, buffer=buffer, step=rule.step + 1)
    return after, theta + change(after, theta, g)


def converted(rule: Rule, like: Tensor) -> Rule:
    """The rule in the precision, and on the device, of `like`."""
    buffer = None if rule.buffer is None else rule.buffer.detach().to(like, copy=True)
    return replace(rule, denominator=rule.denominator.detach().to(like, copy=True), buffer=buffer)


def ones(parameter: Tensor) -> Tensor:
    """D = I at one parameter."""
    return torch.ones_like(parameter, requires_grad=False)
