"""The product of branches: gates, and kernels that are multiplied."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ._paths import at
from .checks import NetworkError, Signal, branch_ends, signal_rule
from .layers import Layer, Sum, _as_layers
from .shapes import shape_rule


@dataclass(frozen=True, repr=False, init=False)
class Product(Layer):
    r"""The elementwise product of branches that all read the same input.

    Units u_k of independent branches have ``E[prod_k u_k(x) u_k(z)] = prod_k K_k``, so covariances
    multiply, and the tangent kernel follows the product rule:

    .. math:: K = \prod_k K_k, \qquad \Theta = \sum_k \Theta_k \prod_{j \ne k} K_j.

    Branches may end in activations, as gates do: ``Product(Dense(), Serial(Dense(),
    Activation("erf")))``. At most one may reach the branching point without passing fresh random
    weights: two that do are not independent. A product is not Gaussian: a dense or convolutional
    layer has to follow. All branches carry infinitely many channels, and those of at most one may
    differ from one another (behind a `Concat`, or a `Flatten` of positions).

    Parameters
    ----------
    *branches : Layer
        At least one.

    References
    ----------
    Novak et al., "Neural tangents", 2020 (``FanInProd``).
    """

    branches: tuple[Layer, ...]

    def __init__(self, *branches: Layer) -> None:
        object.__setattr__(self, "branches", _as_layers(branches, "Product", minimum=1))

    def __repr__(self) -> str:
        return f"Product({', '.join(map(repr, self.branches))})"


shape_rule.register(Product, shape_rule.dispatch(Sum))  # branches must agree in the same way


@signal_rule.register
def _(layer: Product, signal: Signal, path: str) -> Signal:
    ends = branch_ends(layer.branches, signal, path)
    stale = [k for k, end in enumerate(ends) if not end.fresh]
    mixed = [k for k, end in enumerate(ends) if end.mixed]
    _check_wide(layer, ends, path)
    if len(stale) > 1:
        raise NetworkError(
            f"{at(path)}: branches {stale} of a product reach the branching point without passing "
            "fresh random weights; they are not independent, and the product of covariances is not "
            "that of their product. Put Dense() or Conv() into all but one"
        )
    if len(mixed) > 1:
        raise NetworkError(
            f"{at(path)}: in branches {mixed} of a product channels of several positions or "
            "branches stand side by side; the mean over channels of a product is not the product "
            "of their means. Put Dense() or Conv() behind Flatten() or Concat() in all but one"
        )
    # with one stale branch the product is as fresh as what entered it
    fresh = not stale or signal.fresh
    if len(ends) == 1:
        return replace(ends[0], fresh=fresh)
    why = "a product of branches is not Gaussian"
    return replace(ends[0], gaussian=False, why_not=why, fresh=fresh, wide=True, mixed=bool(mixed))


def _check_wide(layer: Product, ends: list[Signal], path: str) -> None:
    for k, end in enumerate(ends):
        if not end.wide:
            raise NetworkError(
                f"{at(path)}: branch {k} of a product carries the network's input, whose channels "
                "are finitely many: their product with others does not average out. Put Dense() or "
                "Conv() into the branch"
            )
