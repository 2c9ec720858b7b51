"""Which trees have an infinite-width limit: the check behind `check_network`.

An activation needs Gaussian input, and a sum of branches is Gaussian with the sum of their
covariances only if every branch is Gaussian and at most one of them reaches the branching point
without passing fresh random weights: two that do are correlated, and the sum misses their cross
term. Channels of a concatenation are a mixture, not a Gaussian, unless the branches agree.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import singledispatch

from ._paths import at, join
from .layers import (
    Activation,
    Concat,
    Conv,
    Dense,
    Flatten,
    GlobalAvgPool,
    GlobalSumPool,
    Layer,
    Serial,
    Sum,
)


class NetworkError(ValueError):
    """The tree does not describe a network whose infinite-width limit is a Gaussian process."""


@dataclass(frozen=True)
class Signal:
    """What is known of a signal: Gaussian (or not, with the reason), and its freshness.

    `fresh` says whether random weights were passed since the last branching point; `wide` whether
    the number of channels tends to infinity (the input itself has finitely many); `spatial`
    whether it has positions, and `mixed` whether channels of several positions or branches stand
    side by side. `normalized` says that a LayerNorm has no weights behind it yet, `graph` that the
    rows of X carry a graph each.
    """

    gaussian: bool = False
    why_not: str = "the network's input is not Gaussian"
    fresh: bool = False
    wide: bool = False
    spatial: bool = False
    mixed: bool = False
    normalized: bool = False
    graph: bool = False


def check_network(network: Layer) -> None:
    """Raise `NetworkError` unless the tree has a Gaussian infinite-width limit.

    Raises
    ------
    NetworkError
        In words: which layer, why, and what to write instead.
    """
    if not isinstance(network, Layer):
        raise TypeError(f"a network is a tree of layers, got {network!r}")
    end = signal_rule(network, Signal(), "")
    if not end.gaussian:
        raise NetworkError(
            f"the network does not end in a Gaussian output ({end.why_not}): end it with Dense(), "
            "or with Conv() and a pooling head"
        )
    if end.normalized:
        raise NetworkError(
            "the network ends in a LayerNorm without weights behind it: it would normalize over "
            "the outputs, which are finitely many; end the network with Dense()"
        )


@singledispatch
def signal_rule(layer: Layer, signal: Signal, path: str) -> Signal:
    """What is known of the signal behind a layer: one rule per layer type."""
    return signal  # pooling and Identity keep what is known


@signal_rule.register(Dense)
@signal_rule.register(Conv)
def _(layer: Layer, signal: Signal, path: str) -> Signal:
    spatial, graph = not isinstance(layer, Dense), signal.graph
    return Signal(True, why_not="", fresh=True, wide=True, spatial=spatial, graph=graph)


@signal_rule.register
def _(layer: Flatten, signal: Signal, path: str) -> Signal:
    return replace(signal, spatial=False, mixed=signal.mixed or signal.spatial)


@signal_rule.register(GlobalAvgPool)
@signal_rule.register(GlobalSumPool)
def _(layer: Layer, signal: Signal, path: str) -> Signal:
    return replace(signal, spatial=False)


@signal_rule.register
def _(layer: Activation, signal: Signal, path: str) -> Signal:
    if not signal.gaussian:
        raise NetworkError(
            f"{at(path)}: {layer!r} needs Gaussian input, but {signal.why_not}; put Dense() or "
            "Conv() before it"
        )
    if signal.mixed:
        raise NetworkError(
            f"{at(path)}: {layer!r} needs Gaussian input, but channels behind Flatten() are a "
            "mixture of the Gaussians of all positions; put the activation before Flatten()"
        )
    return replace(signal, gaussian=False, why_not=f"the output of {layer!r} is not Gaussian")


@signal_rule.register
def _(layer: Serial, signal: Signal, path: str) -> Signal:
    for k, child in enumerate(layer.layers):
        signal = signal_rule(child, signal, join(path, f"layers.{k}"))
    return signal


@signal_rule.register
def _(layer: Sum, signal: Signal, path: str) -> Signal:
    ends = branch_ends(layer.branches, signal, path)
    for k, end in enumerate(ends):
        if not end.gaussian:
            raise NetworkError(
                f"{at(path)}: branch {k} of a sum, {layer.branches[k]!r}, is not Gaussian: "
                f"{end.why_not}; the sum has no Gaussian limit. End the branch with Dense() or "
                "Conv(), or move the activation out of it"
            )
    stale = [k for k, end in enumerate(ends) if not end.fresh]
    if len(stale) > 1:
        raise NetworkError(
            f"{at(path)}: branches {stale} of a sum reach the branching point without passing "
            "fresh random weights; they are correlated and the sum of covariances misses their "
            "cross term. At most one branch may be an identity (or pooling): put Dense() or Conv() "
            "into the others"
        )
    # with one stale branch the sum is as fresh as what entered it; signal.gaussian holds by then
    fresh = not stale or signal.fresh
    return Signal(
        gaussian=True,
        why_not="",
        fresh=fresh,
        wide=True,
        spatial=ends[0].spatial,
        mixed=any(end.mixed for end in ends),
        normalized=any(end.normalized for end in ends),
        graph=signal.graph,
    )


@signal_rule.register
def _(layer: Concat, signal: Signal, path: str) -> Signal:
    ends = branch_ends(layer.branches, signal, path)
    for k, end in enumerate(ends):
        if not end.wide:
            raise NetworkError(
                f"{at(path)}: branch {k} of a concatenation carries the network's input, whose "
                "channels are finitely many: their share of infinitely many vanishes. Put Dense() "
                "or Conv() into the branch"
            )
    why = f"channels of {type(layer).__name__} are a mixture of different Gaussians"
    fresh = all(e.fresh for e in ends)
    graph = signal.graph
    return Signal(gaussian=False, why_not=why, fresh=fresh, wide=True, mixed=True, graph=graph)


def branch_ends(branches: tuple[Layer, ...], signal: Signal, path: str) -> list[Signal]:
    """The ends of all branches, with freshness counted from this branching point."""
    start = replace(signal, fresh=False)
    return [
        signal_rule(branch, start, join(path, f"branches.{k}")) for k, branch in enumerate(branches)
    ]
