"""From the graph of a forward to steps: what every node of it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import fx, nn

from ...architecture import Activation, Layer
from ...duals import Monomial
from .activations import activation
from .calls import ACTIVATIONS, COPIES, PASSED_ON, as_module
from .joins import ARITHMETIC, CONCATENATIONS, arithmetic, concatenation
from .refusals import CALLS
from .reshapes import RESHAPES, Sizes
from .rules import Reading, Site, Wire, read_checked
from .steps import Node, Step
from .tracing import ROOT


class Walk:
    """Reads the nodes of a graph in order.

    Parameters
    ----------
    modules : mapping
        The modules that are called, by what the graph calls them.
    names : mapping
        What users call them.
    wire : Wire
        What is known of the input.
    reading : Reading
    """

    def __init__(
        self,
        modules: Mapping[str, nn.Module],
        names: Mapping[str, str],
        wire: Wire,
        reading: Reading,
    ) -> None:
        self.modules, self.names, self.reading = modules, names, reading
        self.input = wire
        self.values: dict[Node, Any] = {}  # steps, sizes, and None for parameters
        self._called: set[nn.Module] = set()
        self._side_by_side: dict[tuple[Node, ...], Node] = {}  # concatenations of these

    def run(self, graph: fx.Graph) -> dict[Node, Step]:
        """The steps of all signals, the input first and the output last."""
        for node in graph.nodes:
            self.values[node] = self._value(node)
        return {node: value for node, value in self.values.items() if isinstance(value, Step)}

    def _value(self, node: Node) -> Any:
        if node.op == "placeholder":
            return Step("the input", (), self.input)
        if node.op == "get_attr":
            return None
        if node.op == "call_module":
            return self._module(node)
        return self._output(node) if node.op == "output" else self._call(node)

    def _output(self, node: Node) -> Step:
        end = node.args[0]
        if not isinstance(end, Node) or not isinstance(self.values[end], Step):
            raise self._site(node).refuse("its forward must return one tensor, the output")
        return Step("the output", (end,), self.values[end].wire)

    def _site(self, node: Node) -> Site:
        """The place of a node: the module whose forward it stands in, and what is called there."""
        owners = list(node.meta.get("nn_module_stack", {}))
        name = self.names[owners[-1].partition("@")[0]] if owners else ROOT  # @: later calls
        if node.op in ("call_function", "call_method"):
            name = f"{name} (calling {_name(node)[0]})"
        return Site(name, Wire(), self.reading)

    def _module(self, node: Node) -> Step:
        module, path = self.modules[str(node.target)], self.names[str(node.target)]
        source, site = self._signal(node, Site(path, Wire(), self.reading))
        if module in self._called and any(True for _ in module.parameters()):
            raise site.refuse(
                "it is called twice: the same weights in two places (tied) make the signals behind "
                "them dependent; use two modules"
            )
        self._called.add(module)
        return self._read(module, site, source, bool(getattr(module, "inplace", False)))

    def _read(self, module: nn.Module, site: Site, source: Node, in_place: bool) -> Step:
        layers, wire = read_checked(module, site)
        return Step(site.path, (source,), wire, layers, in_place=in_place)

    def _signal(self, node: Node, site: Site) -> tuple[Node, Site]:
        """The one signal that a node reads, and the site with its wire."""
        if any(self.values[n] is None for n in node.all_input_nodes):
            raise site.refuse(
                "it reads a parameter or buffer itself; use the modules that hold weights "
                "(nn.Linear, nn.Conv2d, ...)"
            )
        signals = [n for n in node.all_input_nodes if isinstance(self.values[n], Step)]
        if len(signals) != 1 or not node.args or node.args[0] is not signals[0]:
            raise site.refuse("it must be called on one signal of the network alone")
        return signals[0], replace(site, wire=self.values[signals[0]].wire)

    def _call(self, node: Node) -> Any:
        name, in_place = _name(node)
        site = self._site(node)
        in_place = in_place or bool(node.kwargs.get("inplace"))
        if name in CALLS:
            raise site.refuse(CALLS[name])
        if name in ("size", "shape", "getitem"):
            return self._sizes(node, name, site)
        if name in CONCATENATIONS:
            return concatenation(node, self.values, self._side_by_side, site)
        if name in ARITHMETIC:
            return replace(arithmetic(name, node, self.values, site), in_place=in_place)
        return self._unary(node, name, site, in_place)

    def _unary(self, node: Node, name: str, site: Site, in_place: bool) -> Step:
        source, site = self._signal(node, site)
        args, kwargs = tuple(map(self._plain, node.args[1:])), dict(node.kwargs)
        step = Step(site.path, (source,), site.wire, in_place=in_place)
        if name in PASSED_ON:
            return replace(step, copies=name in COPIES)
        if name in ACTIVATIONS:
            return replace(step, layers=(activation(ACTIVATIONS[name], site),))
        if name == "pow":
            return replace(step, layers=(_power(args, site),))
        if name in RESHAPES:
            layers, wire = RESHAPES[name](site, args, kwargs)
            return replace(step, layers=layers, wire=wire)
        return self._read(_as_module(name, args, kwargs, site), site, source, in_place)

    def _plain(self, value: Any) -> Any:
        """An argument, with sizes in the place of nodes."""
        if isinstance(value, (tuple, list)):
            return tuple(map(self._plain, value))
        return self.values[value] if isinstance(value, Node) else value

    def _sizes(self, node: Node, name: str, site: Site) -> Any:
        source = self._plain(node.args[0])
        if name == "getitem" and isinstance(source, Sizes):
            return source[node.args[1]]
        if name != "getitem" and isinstance(source, Step):
            sizes = Sizes(source.wire)
            axis = (*node.args[1:], node.kwargs.get("dim"))[0] if name == "size" else None
            return sizes if axis is None else sizes[axis]
        raise site.refuse("parts of a signal are no layers; use the whole, or several modules")


def _name(node: Node) -> tuple[str, bool]:
    """What is called, and whether its name says that it overwrites its input."""
    name = str(node.target) if node.op == "call_method" else getattr(node.target, "__name__", "")
    if name == "getattr":
        return str(node.args[1]), False
    in_place = name.endswith("_") and not name.endswith("__")
    return name.rstrip("_") if in_place else name, in_place


def _power(args: tuple[Any, ...], site: Site) -> Layer:
    if len(args) == 1 and isinstance(args[0], int) and args[0] >= 1:
        return Activation(Monomial(args[0]))
    raise site.refuse("powers have a rule for whole exponents >= 1")


def _as_module(name: str, args: tuple[Any, ...], kwargs: dict[str, Any], site: Site) -> nn.Module:
    try:
        module = as_module(name, args, kwargs, site.wire.channels)
    except (TypeError, ValueError) as error:
        raise site.refuse(f"it is called in a way that is not read: {error}") from None
    if module is None:
        raise site.refuse(
            "there is no rule for this call; write it with the modules and functions that "
            "docs/lifting.md lists, or build the tree of layers by hand"
        )
    return module
