"""A module as a polynomial in its parameters: linearized, or expanded to a higher order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from math import factorial
from numbers import Integral
from typing import Any

from torch import Tensor, nn
from torch.func import jvp

from .function import ModuleFunction, Values, check_module
from .plain import ElementarySteps

_AtParameters = Callable[[Any], Any]


class TaylorExpansion(nn.Module):
    r"""Taylor polynomial of a module's outputs in its trained parameters.

    .. math:: f_d(x; \theta) = \sum_{k=0}^{d} \frac{1}{k!}
              \frac{d^k}{ds^k} f(x; \theta_0 + s (\theta - \theta_0)) \Big|_{s=0}

    A module of its own: it reads what the module reads, and its outputs have the module's shape.
    Its parameters start at copies :math:`\theta_0` of the module's and can be trained by any
    optimizer. Its state, as of `state_dict`, can be loaded into an expansion of the same order
    about the same parameters. The derivatives are nested Jacobian-vector products; no Jacobian is
    formed. One call costs up to about :math:`2^d` forward passes.

    Made by `linearize` and `taylor_expand`, which have the details.

    Attributes
    ----------
    function : ModuleFunction
        The module as a function of its trained parameters; ``function.values`` is theta_0.
    order : int
    theta : torch.nn.Module
        Holds the expansion's own parameters by the names that they have in the module.
    """

    def __init__(self, function: ModuleFunction, order: int) -> None:
        super().__init__()
        self.function = function
        self.order = order
        self.theta = nn.Module()
        for name, value in function.values.items():
            _hold(self.theta, name, nn.Parameter(value.clone()))

    @property
    def values(self) -> dict[str, Tensor]:
        """The expansion's own parameters by the names that they have in the module."""
        return dict(self.theta.named_parameters())

    def forward(self, *inputs: Tensor, **named: Tensor) -> Tensor:
        """Outputs at the expansion's own parameters, in the module's shape.

        Parameters
        ----------
        *inputs, **named : Tensor, (n, ...)
            What the module reads: positional arguments, or named ones.
        """
        return self.at(self.values, *inputs, **named)

    def at(self, values: Values, *inputs: Tensor, **named: Tensor) -> Tensor:
        """Outputs at other parameters, a mapping of the names in `values`.

        Raises
        ------
        TypeError
            For positional and named inputs together.
        ValueError
            If the parameters have other names; if the module has been put into training mode and
            its outputs are no longer a function of one row.
        """
        if inputs and named:
            raise TypeError("inputs must be all positional or all named")
        check_module(self.function.module)
        read = named or inputs
        direction = self._direction(values)
        terms = _derivatives(lambda p: self.function.shaped(p, read), direction, self.order)
        with nullcontext() if self.order == 1 else ElementarySteps():
            found = terms(dict(self.function.values))
        return sum((term / factorial(k) for k, term in enumerate(found[1:], 1)), found[0])

    def _direction(self, values: Values) -> dict[str, Tensor]:
        """theta - theta_0."""
        origin = self.function.values
        if set(values) != set(origin):
            raise ValueError(f"values must be of the parameters {list(origin)}, got {list(values)}")
        return {name: values[name] - start for name, start in origin.items()}

    def get_extra_state(self) -> dict[str, Any]:
        """What a state belongs to: the order, and a fingerprint of theta_0 and all that stays."""
        return {"order": self.order, "origin": self.function.fingerprint()}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Refuse a state whose parameters mean another function here.

        Raises
        ------
        ValueError
            For the state of an expansion of another order, or about other parameters.
        """
        if state != self.get_extra_state():
            raise ValueError(
                "this is the state of an expansion of another order or about other parameters: "
                "load the module's own state first, and expand the module there"
            )

    def _apply(self, fn: Any, recurse: bool = True) -> TaylorExpansion:
        raise TypeError(
            "an expansion keeps the precision and the device of its module: convert the module "
            "first, as by linearize(module.double())"
        )

    def extra_repr(self) -> str:
        """Order, and what is expanded."""
        return f"order={self.order}, module={type(self.function.module).__name__}"


def linearize(module: nn.Module, parameters: Sequence[str] | None = None) -> TaylorExpansion:
    r"""The module linearized in its parameters, about where they are.

    .. math:: f_{lin}(x; \theta) = f(x; \theta_0) + J(x) (\theta - \theta_0)

    Its tangent kernel is that of the module at :math:`\theta_0`, and stays so wherever its
    parameters go: gradient flow on squared loss is exactly kernel gradient flow from f(x; theta_0).

    Parameters
    ----------
    module : torch.nn.Module
        With outputs (n, ...), row by row. It is not touched: parameters and buffers are copied.
    parameters : sequence of str or None
        Names (as of ``module.named_parameters()``), or beginnings of dotted names, of the
        parameters that vary; None for all that require a gradient. The others stay.

    Returns
    -------
    TaylorExpansion
        Of order 1.

    Raises
    ------
    TypeError
        If `module` is none.
    ValueError
        For modules whose rows depend on each other (batch statistics) or on chance (dropout), and
        for names that are none of the module's.

    References
    ----------
    Lee et al., "Wide neural networks of any depth evolve as linear models under gradient descent",
    2019, equation 5.

    Examples
    --------
    >>> import torch
    >>> from ntk_sklearn.finite import linearize
    >>> linear = linearize(torch.nn.Linear(3, 1))
    >>> optimizer = torch.optim.SGD(linear.parameters(), lr=0.1)
    """
    return taylor_expand(module, 1, parameters)


def taylor_expand(
    module: nn.Module, order: int, parameters: Sequence[str] | None = None
) -> TaylorExpansion:
    r"""The module as a polynomial of a given degree in the distance that its parameters move.

    Where the outputs are d + 1 times continuously differentiable, the error of order d is
    :math:`O(\|\theta - \theta_0\|^{d+1})`; outputs that are polynomials of degree d in the
    parameters are reproduced exactly. Networks with kinks such as relu are piecewise polynomials:
    the expansion is that of the piece that theta_0 lies in.

    Parameters
    ----------
    module, parameters
        As in `linearize`.
    order : int
        At least 1.

    Returns
    -------
    TaylorExpansion

    Raises
    ------
    TypeError, ValueError
        As in `linearize`, and for an `order` that is no positive integer.
    """
    if isinstance(order, bool) or not isinstance(order, Integral) or order < 1:
        raise ValueError(f"order must be an integer >= 1, got {order!r}")
    return TaylorExpansion(ModuleFunction(module, parameters), int(order))


def _derivatives(f: _AtParameters, direction: Mapping[str, Tensor], order: int) -> _AtParameters:
    """The function that returns f and its first `order` derivatives along the direction."""
    if order == 0:
        return lambda at: (f(at),)
    below = _derivatives(f, direction, order - 1)

    def one_more(at: Any) -> tuple[Tensor, ...]:
        found: Any = jvp(below, (at,), (dict(direction),))
        return (*found[0], found[1][-1])

    return one_more


def _hold(owner: nn.Module, name: str, value: nn.Parameter) -> None:
    """Register a parameter below modules that its dotted name names."""
    *path, last = name.split(".")
    for part in path:
        if part not in owner._modules:
            owner.add_module(part, nn.Module())
        owner = owner._modules[part]  # type: ignore[assignment]
    owner.register_parameter(last, value)
