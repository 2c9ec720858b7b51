"""Calls that join signals, or multiply one by a number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from .rules import Site, Wire
from .steps import Node, Step

ADDITIONS = {"add", "sub", "subtract"}
PRODUCTS = {"mul", "multiply"}
QUOTIENTS = {"truediv", "div", "divide"}
ARITHMETIC = ADDITIONS | PRODUCTS | QUOTIENTS
CONCATENATIONS = {"cat", "concat", "concatenate"}


def arithmetic(name: str, node: Node, values: Mapping[Node, Any], site: Site) -> Step:
    """A sum or product of two signals, or a signal times a number.

    Signs are left out: weights and covariances do not change with them.
    """
    operands = [values[a] if isinstance(a, Node) else a for a in node.args[:2]]
    if node.kwargs and dict(node.kwargs) != {"alpha": 1}:
        raise site.refuse(
            f"its arguments {dict(node.kwargs)} are not read; write factors as products"
        )
    signals: list[Any] = [
        a for a, v in zip(node.args, operands, strict=False) if isinstance(v, Step)
    ]
    numbers = [v for v in operands if isinstance(v, (int, float))]
    if len(signals) == 2 and name not in QUOTIENTS:
        return _joined("product" if name in PRODUCTS else "sum", signals, values, site)
    if len(signals) != 1 or len(numbers) != 1:
        raise site.refuse(
            "it takes something that is neither a signal nor a number, such as a parameter; "
            "trained factors and shifts have no layer"
        )
    step = Step(site.path, tuple(signals), values[signals[0]].wire)
    return _by_number(step, name, numbers[0], isinstance(operands[0], Step), site)


def _by_number(step: Step, name: str, number: float, first: bool, site: Site) -> Step:
    if name in ADDITIONS:
        if number:
            raise site.refuse("a constant shift is not centred; leave it to a bias")
        return step
    if name in QUOTIENTS and not first:
        raise site.refuse("a quotient by a signal has no layer")
    if number == 0:
        raise site.refuse("it multiplies or divides by 0")
    return replace(step, factor=abs(1 / number if name in QUOTIENTS else number))


def _joined(kind: str, inputs: list[Any], values: Mapping[Node, Any], site: Site) -> Step:
    wires = [values[n].wire for n in inputs]
    if not all(_agree(wires[0], wire) for wire in wires):
        raise site.refuse(
            f"signals of different shapes are stretched to fit: {[_told(w) for w in wires]}; "
            "layers join signals of one shape"
        )
    known = next((w for w in wires if w.sizes is not None), wires[0])
    return Step(site.path, tuple(inputs), known, kind=kind)


def concatenation(
    node: Node, values: Mapping[Node, Any], earlier: dict[tuple[Node, ...], Node], site: Site
) -> Step:
    """Signals side by side along the channels, with their shares of all channels.

    What begins with an earlier concatenation continues it, as lists of features that grow do:
    otherwise every one would repeat all before it.
    """
    inputs: Any = node.args[0] if node.args else node.kwargs.get("tensors")
    axis = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim", 0)
    steps = [values.get(n) if isinstance(n, Node) else None for n in inputs]
    wires = [step.wire for step in steps if isinstance(step, Step)]
    if not wires or len(wires) != len(steps):
        raise site.refuse("it must join signals of the network")
    if axis not in {1} | {-1 - w.rank - w.units for w in wires if w.rank is not None}:
        raise site.refuse(
            f"only a concatenation along the channels, dim=1, is a layer, not dim={axis}"
        )
    shares = [wire.channels for wire in wires if wire.channels is not None]
    if len(shares) < len(wires):
        raise site.refuse("the numbers of its channels are not known: pass input_shape")
    end = replace(wires[0], channels=sum(shares))
    if not all(_agree(end, replace(w, channels=end.channels)) for w in wires):
        raise site.refuse(f"its signals differ in their positions: {[_told(w) for w in wires]}")
    whole = tuple(inputs)
    if len(whole) == 1:
        return Step(site.path, whole, end)
    earlier.setdefault(whole, node)
    begun = next((k for k in reversed(range(2, len(whole))) if whole[:k] in earlier), 0)
    if begun:
        inputs = (earlier[whole[:begun]], *whole[begun:])
        shares = [sum(shares[:begun]), *shares[begun:]]
    return Step(site.path, tuple(inputs), end, kind="concat", shares=tuple(map(float, shares)))


def _agree(a: Wire, b: Wire) -> bool:
    pairs = ((a.channels, b.channels), (a.rank, b.rank), (a.sizes, b.sizes), (a.units, b.units))
    return all(x is None or y is None or x == y for x, y in pairs)


def _told(wire: Wire) -> tuple[Any, ...]:
    return (wire.channels, *(wire.sizes or ()), *(1,) * wire.units)
