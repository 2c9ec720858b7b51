"""Branches side by side along a spatial axis."""

from __future__ import annotations

from dataclasses import dataclass, replace
from numbers import Integral

from ._paths import at
from .checks import NetworkError, Signal, branch_ends, signal_rule
from .layers import Layer, _as_layers
from .shapes import Shape, branch_shapes, need_image, shape_rule
from .windows import ShapeError


@dataclass(frozen=True, repr=False, init=False)
class ConcatPositions(Layer):
    r"""Branches that read the same input, side by side along a spatial axis.

    Covariances and tangent kernels of positions of different branches are 0, which holds where the
    signals are independent and have mean 0: at most one branch may reach the branching point
    without passing fresh random weights, and at most one may end in an activation. Channels stay
    Gaussian if all branches are. (`Concat` puts branches side by side along the channels.)

    Parameters
    ----------
    *branches : Layer
        At least one; of equal sizes along the other axes.
    axis : int
        The spatial axis.
    """

    branches: tuple[Layer, ...]
    axis: int

    def __init__(self, *branches: Layer, axis: int = 0) -> None:
        found = _as_layers(branches, "ConcatPositions", minimum=1)
        object.__setattr__(self, "branches", found)
        if isinstance(axis, bool) or not isinstance(axis, Integral) or axis < 0:
            raise ValueError(f"ConcatPositions.axis must be an integer >= 0, got {axis!r}")
        object.__setattr__(self, "axis", int(axis))

    def __repr__(self) -> str:
        axis = [f"axis={self.axis}"] if self.axis else []
        return f"ConcatPositions({', '.join([*map(repr, self.branches), *axis])})"


@shape_rule.register
def _(layer: ConcatPositions, shape: Shape, path: str) -> Shape:
    ends = branch_shapes(layer.branches, shape, path)
    for end in ends:
        need_image(end)
    sizes, a = [end.spatial for end in ends], layer.axis
    if len({(*s[:a], *s[a + 1 :]) for s in sizes}) > 1 or a >= len(sizes[0]):
        raise ShapeError(f"branches of sizes {sizes} do not fit side by side along axis {a}")
    return Shape(ends[0].channels, (*sizes[0][:a], sum(s[a] for s in sizes), *sizes[0][a + 1 :]))


@signal_rule.register
def _(layer: ConcatPositions, signal: Signal, path: str) -> Signal:
    ends = branch_ends(layer.branches, signal, path)
    stale = [k for k, end in enumerate(ends) if not end.fresh]
    if len(stale) > 1:
        raise NetworkError(
            f"{at(path)}: branches {stale} of a concatenation of positions reach the branching "
            "point without passing fresh random weights; they are correlated. At most one branch "
            "may be an identity (or a slice, pooling): put Conv() into the others"
        )
    if len(ends) > 1:
        _check_independent(layer, ends, path)
    why = [end for end in ends if not end.gaussian]
    return replace(
        why[0] if why else ends[0],
        fresh=not stale or signal.fresh,
        mixed=any(end.mixed for end in ends),
        normalized=any(end.normalized for end in ends),
    )


def _check_independent(layer: ConcatPositions, ends: list[Signal], path: str) -> None:
    """Branches with equally many channels, whose products are 0 on average."""
    for k, end in enumerate(ends):
        if not end.wide:
            raise NetworkError(
                f"{at(path)}: branch {k} of a concatenation of positions carries the network's "
                "input, whose channels are finitely many, beside infinitely many: put Conv() into "
                "the branch"
            )
    active = [k for k, end in enumerate(ends) if not end.gaussian]
    if len(active) > 1:
        raise NetworkError(
            f"{at(path)}: branches {active} of a concatenation of positions are not Gaussian "
            f"({ends[active[0]].why_not}): their products have a mean, which is not followed. End "
            "all but one with Conv(), or move the activation behind the concatenation"
        )
