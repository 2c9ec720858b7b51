"""What a torch optimizer does to the outputs of a module: its D, its m, and its last step."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ..tangent import Inputs, Jacobian, ModuleFunction, as_function
from ..tangent.tiles import as_given
from .base import Diagonal
from .reading import NoStateError, check_optimizer, read
from .rules import Rule, change, converted, gradient


def preconditioner(optimizer: Optimizer, function: ModuleFunction | nn.Module) -> Diagonal:
    r"""The D by which the last step of an optimizer divided its momentum.

    ========  =====================================================  ============================
    class     D                                                      m
    ========  =====================================================  ============================
    SGD       1                                                      gradient or buffer; Nesterov
                                                                     gradient + momentum buffer
    Adam(W)   sqrt(v / (1 - beta2^t)) + eps; amsgrad: largest v      exp_avg / (1 - beta1^t)
    RMSprop   sqrt(v) + eps; centered: sqrt(v - mean^2) + eps        gradient, or D times buffer
    Adagrad   sqrt(sum) + eps                                        gradient
    ========  =====================================================  ============================

    All from the state *after* the step's update of it, as the step itself used them. The kernel
    ``J D^-1 J^T`` describes training while D stays as it is: it depends on all gradients seen, so
    that there is no kernel of Adam as such.

    Parameters
    ----------
    optimizer : torch.optim.SGD, Adam, AdamW, RMSprop or Adagrad
        Of the parameters of ``function.module``.
    function : ModuleFunction or torch.nn.Module

    Returns
    -------
    Diagonal
        Its `learning_rate` is the largest rate of the function's parameters (of Adagrad the one
        decayed to the last step); where groups have smaller ones, D holds what is missing, so
        that the last step is ``-learning_rate * D^-1 m`` (and weight decay, if decoupled).

    Raises
    ------
    TypeError
        For other optimizers, with the names of those that can be read.
    ValueError
        If a parameter of the function is not among the optimizer's, or has no state yet; SGD, and
        Adagrad with a positive initial accumulator, have a D before their first step.
    """
    function = as_function(function)
    found = rules(optimizer, function)
    rate = max(rule.current_rate for rule in found.values())
    inverse = {
        name: (rule.current_rate / rate if rate else 1.0) / rule.denominator
        for name, rule in found.items()
    }
    return Diagonal(function.flatten(inverse), rate)


def last_update(optimizer: Optimizer, function: ModuleFunction) -> Tensor:
    r"""What the last step added to the parameters, from the optimizer's state: exact.

    .. math:: \Delta\theta = -\eta D^{-1} m - \eta \lambda \theta

    Parameters
    ----------
    optimizer : torch.optim.Optimizer
        See `preconditioner`. Where m is not in its state (SGD without momentum or with Nesterov's,
        RMSprop without momentum, Adagrad), gradients are those that the step has seen: call this
        before ``zero_grad``.
    function : ModuleFunction
        Made *before* the step: its `values` are the theta from which the step went.

    Returns
    -------
    Tensor, (n_parameters,)

    Raises
    ------
    TypeError
        For optimizers other than those of `preconditioner`; for a module in place of the function.
    ValueError
        As in `preconditioner`; if no step was taken, or gradients are gone; and if the module's
        parameters are not where this update leads from those of the function.
    """
    if not isinstance(function, ModuleFunction):
        raise TypeError(
            "function must be a ModuleFunction(module) made before the step, whose parameters a "
            f"module no longer has, got {type(function).__name__}"
        )
    live = dict(function.module.named_parameters())
    found = {
        name: _change(name, rule, function.values[name], live[name].grad)
        for name, rule in rules(optimizer, function).items()
    }
    update = function.flatten(found)
    _check_led_here(function, update, live)
    return update


def predicted_step(optimizer: Optimizer, function: ModuleFunction, X: Inputs) -> Any:
    r"""The change of the outputs in the step that was just taken, to first order in its size.

    .. math:: \Delta f = -\eta J D^{-1} m - \eta \lambda J \theta,

    D and m as in `preconditioner`, lambda the decoupled weight decay, J and theta before the step.
    The relative error of this falls in proportion to the learning rate. That of
    :math:`-\eta J D^{-1} J^T r`, with the gradient in place of m, does not, unless there is no
    momentum or the step was the first.

    Parameters
    ----------
    optimizer, function
        As in `last_update`. With a function of some of the trained parameters, this is the part of
        the change that comes from these.
    X : inputs
        Rows, as the module reads them.

    Returns
    -------
    ndarray or Tensor, (n, k)
        A tensor if X has one.

    Raises
    ------
    TypeError, ValueError
        As in `last_update`.
    """
    update = last_update(optimizer, function)
    return as_given(Jacobian(function, function.values, function.prepare(X)).jvp(update), X)


def rules(optimizer: Optimizer, function: ModuleFunction) -> dict[str, Rule]:
    """The rules by which an optimizer moves the parameters of a function, by their names."""
    check_optimizer(optimizer)
    groups = {p: group for group in optimizer.param_groups for p in group["params"]}
    live = dict(function.module.named_parameters())
    foreign = [name for name in function.values if live[name] not in groups]
    if foreign:
        raise ValueError(
            f"the optimizer does not move {foreign}: make the ModuleFunction of the module that is "
            "trained, and name in its `parameters` those that are"
        )
    found, missing = {}, []
    for name, value in function.values.items():
        try:
            rule = read(optimizer, groups[live[name]], live[name])
        except NoStateError:
            missing.append(name)
            continue
        found[name] = converted(rule, value)
    if missing:
        raise ValueError(
            f"the optimizer has no state for {missing}: D exists after a step that has moved them; "
            "leave out by `parameters` of ModuleFunction what never gets a gradient"
        )
    return found


def _change(name: str, rule: Rule, theta: Tensor, slope: Tensor | None) -> Tensor:
    if rule.step == 0:
        raise ValueError(f"the optimizer has taken no step with {name}")
    if not rule.reads_gradient:
        return change(rule, theta, None)
    if slope is None:
        raise ValueError(
            f"{name} has no gradient, which the optimizer's state does not contain: take a step, "
            "and ask before zero_grad"
        )
    dense = slope.to_dense() if slope.is_sparse else slope
    return change(rule, theta, gradient(rule, theta, dense.detach().to(theta)))


def _check_led_here(
    function: ModuleFunction, update: Tensor, live: dict[str, torch.nn.Parameter]
) -> None:
    """Whether the module is where the update leads, up to rounding."""
    for name, change_ in function.unflatten(update).items():
        start, now = function.values[name], live[name].detach().to(update)
        eps = max(torch.finfo(kind).eps for kind in (live[name].dtype, update.dtype))
        rounding = eps**0.5 * change_.norm() + 4.0 * eps * torch.maximum(start.norm(), now.norm())
        if not (start + change_ - now).norm() <= rounding:
            raise ValueError(
                f"{name} is not where the function's and the optimizer's last step lead: make the "
                "ModuleFunction before the step, and ask after it and before anything else changes "
                "parameters, gradients or rates; leave out by `parameters` of ModuleFunction what "
                "the step has left out for want of a gradient"
            )
