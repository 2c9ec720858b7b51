"""Rules read from the state of torch's optimizers, by type."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import replace
from functools import singledispatch
from typing import Any

from torch import Tensor
from torch.optim import SGD, Adagrad, Adam, AdamW, Optimizer, RMSprop

from .rules import Rule, ones

SUPPORTED = (SGD, Adam, AdamW, RMSprop, Adagrad)

Group = Mapping[str, Any]


class NoStateError(ValueError):
    """The optimizer has taken no step that moved the parameter, so that it has no D."""


def check_optimizer(optimizer: Any) -> None:
    """Refuse what is not known to step like one of the `SUPPORTED` optimizers.

    Raises
    ------
    TypeError
    """
    steps = [inspect.unwrap(known.step) for known in SUPPORTED]
    if not isinstance(optimizer, SUPPORTED) or inspect.unwrap(type(optimizer).step) not in steps:
        names = ", ".join(known.__name__ for known in SUPPORTED)
        raise TypeError(
            f"optimizer must be one of torch.optim's {names} (with its own step), got "
            f"{type(optimizer).__name__}"
        )


@singledispatch
def read(optimizer: Optimizer, group: Group, parameter: Tensor) -> Rule:
    """The rule of one parameter.

    Raises
    ------
    NoStateError
        If D does not exist before a first step.
    """
    raise TypeError(f"the state of {type(optimizer).__name__} cannot be read")


@read.register
def _(optimizer: SGD, group: Group, parameter: Tensor) -> Rule:
    buffer = optimizer.state.get(parameter, {}).get("momentum_buffer")
    momentum = float(group["momentum"])
    rule = Rule(
        ones(parameter),
        step=int(momentum == 0.0 or buffer is not None),
        buffer=buffer if momentum else None,
        remembers=momentum != 0.0,
        momentum=momentum,
        gain=1.0 - float(group["dampening"]),
        lookahead=bool(group["nesterov"]),
    )
    return _in_group(rule, group)


@read.register(Adam)
@read.register(AdamW)
def _(optimizer: Adam | AdamW, group: Group, parameter: Tensor) -> Rule:
    state = _state(optimizer, parameter)
    step = int(state["step"])
    beta1, beta2 = (float(beta) for beta in group["betas"])
    squares = state["max_exp_avg_sq" if group["amsgrad"] else "exp_avg_sq"]
    denominator = squares.sqrt() / (1.0 - beta2**step) ** 0.5 + group["eps"]
    decoupled = group.get("decoupled_weight_decay", isinstance(optimizer, AdamW))
    rule = Rule(
        denominator,
        step=step,
        buffer=state["exp_avg"],
        remembers=True,
        momentum=beta1,
        gain=1.0 - beta1,
        corrected=True,
    )
    return _in_group(rule, group, decoupled)


@read.register
def _(optimizer: RMSprop, group: Group, parameter: Tensor) -> Rule:
    state = _state(optimizer, parameter)
    squares = state["square_avg"]
    if group["centered"]:
        squares = squares.addcmul(state["grad_avg"], state["grad_avg"], value=-1.0)
    denominator = squares.sqrt() + group["eps"]
    momentum = float(group["momentum"])
    # its buffer gathers D^-1 g, each with the D of its own step
    rule = Rule(
        denominator,
        step=int(state["step"]),
        buffer=denominator * state["momentum_buffer"] if momentum > 0.0 else None,
        remembers=momentum > 0.0,
        momentum=momentum,
    )
    return _in_group(rule, group)


@read.register
def _(optimizer: Adagrad, group: Group, parameter: Tensor) -> Rule:
    state = _state(optimizer, parameter)
    step = int(state["step"])
    if step == 0 and group["initial_accumulator_value"] == 0:
        raise NoStateError
    rule = Rule(
        state["sum"].sqrt() + group["eps"],
        step=step,
        rate_decay=float(group["lr_decay"]),
    )
    return _in_group(rule, group)


def _state(optimizer: Optimizer, parameter: Tensor) -> Any:
    state = optimizer.state.get(parameter)
    if not state:
        raise NoStateError
    return state


def _in_group(rule: Rule, group: Group, decoupled: bool = False) -> Rule:
    """The rule with what all optimizers call the same."""
    decay = float(group["weight_decay"])
    return replace(
        rule,
        rate=float(group["lr"]),
        l2=0.0 if decoupled else decay,
        decoupled=decay if decoupled else 0.0,
        sign=-1.0 if group["maximize"] else 1.0,
    )
