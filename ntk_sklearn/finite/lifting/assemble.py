"""From steps to a tree: branches begin where the paths to a join come apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ...architecture import Dropout, Identity, Layer, NetworkError, Serial, contains
from ..widths import has_weights
from .factors import in_series
from .steps import Node, Step


@dataclass(frozen=True)
class Piece:
    """A layer, and where in the module its parts come from, by their paths in the layer."""

    layer: Layer
    origins: dict[str, str]


class Assembly:
    """The tree of the steps between two signals.

    A signal d *dominates* another one if all that it is made of passes d. Branches of a join start
    at the nearest signal that dominates all of them.
    """

    def __init__(self, steps: dict[Node, Step]) -> None:
        self.steps = steps
        self._above: dict[Node, Node] = {}  # the nearest dominator
        self._depth: dict[Node, int] = {}
        for node, step in steps.items():
            if step.inputs:
                self._above[node] = self.common(step.inputs)
            self._depth[node] = self._depth[self._above[node]] + 1 if step.inputs else 0

    def common(self, nodes: Sequence[Node]) -> Node:
        """The nearest signal that dominates all of some."""
        found = nodes[0]
        for node in nodes[1:]:
            while found is not node:
                if self._depth[found] < self._depth[node]:
                    found, node = node, found
                found = self._above[found]
        return found

    def path(self, end: Node, start: Node) -> list[Piece]:
        """What lies between a signal and one that dominates it."""
        parts: list[list[Piece]] = []
        factors: list[tuple[int, float, str]] = []
        while end is not start:
            step = self.steps[end]
            if step.factor != 1.0:
                factors.append((len(parts), step.factor, step.origin))
            if step.kind is None:
                parts.append([Piece(layer, {"": step.origin}) for layer in step.layers])
                end = step.inputs[0]
            else:
                end, joined = self._join(end)
                parts.append([joined])
        return _multiplied(parts, factors)

    def _join(self, node: Node) -> tuple[Node, Piece]:
        step = self.steps[node]
        if step.kind == "sum":
            return self._sum(list(self._terms(node)), step)
        start = self._above[node]
        if step.kind == "product":
            self._check_apart(step.inputs, start, step)
        return start, _joined(step, [in_one(self.path(n, start)) for n in step.inputs])

    def _terms(self, node: Node) -> Iterator[Node]:
        """The terms of a sum, and of sums that are used in it alone."""
        for term in self.steps[node].inputs:
            if self.steps[term].kind == "sum" and len(term.users) == 1:
                yield from self._terms(term)
            else:
                yield term

    def _sum(self, terms: list[Node], step: Step) -> tuple[Node, Piece]:
        """The sum of terms, those with a longer common way added up at its end."""
        start = self.common(terms)
        groups: dict[Node, list[Node]] = {}
        for term in terms:
            groups.setdefault(self._below(term, start), []).append(term)
        self._check_apart([group[0] for group in groups.values()], start, step, groups)
        branches = []
        for child, group in groups.items():
            if child is start:
                branches += [Piece(Identity(), {"": step.origin})] * len(group)
            elif len(group) == 1:
                branches.append(in_one(self.path(group[0], start)))
            else:
                inner, joined = self._sum(group, step)
                branches.append(in_one([*self.path(inner, start), joined]))
        return start, _joined(step, branches)

    def _below(self, node: Node, start: Node) -> Node:
        """The signal on the way from `start` that is nearest to it and dominates `node`."""
        child = node
        while node is not start:
            child, node = node, self._above[node]
        return child

    def _check_apart(
        self,
        ends: Sequence[Node],
        start: Node,
        step: Step,
        groups: dict[Node, list[Node]] | None = None,
    ) -> None:
        """Raise if branches share weights: a tree would take them for independent ones."""
        seen: set[Node] = set()
        for end in ends:
            found: set[Node] = set()
            for node in [end] if groups is None else groups[self._below(end, start)]:
                found |= self._between(node, start)
            shared = [n for n in found & seen if _random(self.steps[n])]
            if shared:
                names = sorted({self.steps[n].origin for n in shared})
                raise NetworkError(
                    f"{step.origin}: its branches share {', '.join(names)} although they do not "
                    "start behind it; branches of a tree are independent. Use modules of their own "
                    "in every branch, or join the branches where they come apart"
                )
            seen |= found

    def _between(self, end: Node, start: Node) -> set[Node]:
        found: set[Node] = set()
        todo = [end]
        while todo:
            node = todo.pop()
            if node is not start and node not in found:
                found.add(node)
                todo += self.steps[node].inputs
        return found


def _random(step: Step) -> bool:
    return any(has_weights(layer) or contains(layer, Dropout) for layer in step.layers)


def _multiplied(parts: list[list[Piece]], factors: list[tuple[int, float, str]]) -> list[Piece]:
    """The parts, last first, in order, with numbers taken into the weights before them."""
    for behind, factor, origin in reversed(factors):  # those in front first
        pieces = [piece for part in reversed(parts[behind:]) for piece in part]
        try:
            found = in_series([piece.layer for piece in pieces], factor)
        except ValueError as error:
            found, why = None, str(error)
        else:
            why = "it meets no weights that it could be taken into"
        if found is None:
            raise NetworkError(
                f"{origin}: a factor of {factor:.4g} has no layer of its own, and {why}; multiply "
                "the initial weights of a module by it"
            )
        fresh = [Piece(layer, p.origins) for layer, p in zip(found, pieces, strict=True)]
        parts = [*parts[:behind], fresh]
    return [piece for part in reversed(parts) for piece in part]


def in_one(pieces: list[Piece]) -> Piece:
    """Pieces one after another: a Serial of several, the identity for none."""
    if len(pieces) == 1:
        return pieces[0]
    if not pieces:
        return Piece(Identity(), {})
    return Piece(Serial(*(p.layer for p in pieces)), _nested("layers", pieces))


def _joined(step: Step, branches: list[Piece]) -> Piece:
    origins = {"": step.origin} | _nested("branches", branches)
    return Piece(step.join([b.layer for b in branches]), origins)


def _nested(name: str, pieces: list[Piece]) -> dict[str, str]:
    return {
        f"{name}.{k}.{path}".rstrip("."): origin
        for k, piece in enumerate(pieces)
        for path, origin in piece.origins.items()
    }
