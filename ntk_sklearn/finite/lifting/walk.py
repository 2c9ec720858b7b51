"""From the graph of a forward to steps: what every node of it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import prod
from numbers import Real
from typing import Any

from torch import fx, nn

from ...architecture import GlobalAvgPool, GlobalSumPool, Layer
from ...duals import Monomial
from .calls import ACTIVATIONS, ADDITIONS, PASSED_ON, PRODUCTS, QUOTIENTS, as_module
from .layers import Activation, activation
from .refusals import CALLS
from .rules import Read, Reading, Site, Wire, read_checked
from .steps import Node, Step


class Sizes:
    """The sizes of a signal, as a forward asks for them."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire

    def __getitem__(self, axis: Any) -> Any:
        """"batch", or a number where it is known."""
        known = (self.wire.channels, *(self.wire.sizes or ()), *(1,) * self.wire.units)
        if axis == 0:
            return "batch"
        return known[axis - 1] if isinstance(axis, int) and 0 < axis <= len(known) else None


class Walk:
    """Reads the nodes of a graph in order.

    Parameters
    ----------
    names : dict
        Of the modules that are called, by what the graph calls them.
    modules : dict
        The modules themselves.
    wire : Wire
        What is known of the input.
    """

    def __init__(
        self,
        names: dict[str, str],
        modules: dict[str, nn.Module],
        wire: Wire,
        reading: Reading,
    ) -> None:
        self.names, self.modules, self.reading = names, modules, reading
        self.input = wire
        self.values: dict[Node, Any] = {}
        self._seen: dict[int, str] = {}  # where modules with parameters were called

    def run(self, graph: fx.Graph) -> dict[Node, Step]:
        """The steps of all signals; the graph's output is read by the last one."""
        for node in graph.nodes:
            self.values[node] = self._value(node)
        return {node: value for node, value in self.values.items() if isinstance(value, Step)}

    def _value(self, node: Node) -> Any:
        if node.op == "placeholder":
            return Step("the input", (), self.input)
        if node.op == "call_module":
            return self._module(node)
        if node.op == "get_attr":
            return None
        if node.op == "output":
            return self._output(node)
        return self._call(node)

    def _output(self, node: Node) -> Step:
        end = node.args[0]
        step = self.values.get(end) if isinstance(end, fx.Node) else None
        if not isinstance(step, Step):
            raise self._site(node).refuse("its forward must return one tensor; return the output alone")
        return Step("the output", (end,), step.wire)

    def _site(self, node: Node, wire: Wire | None = None) -> Site:
        owners = list(node.meta.get("nn_module_stack", {}))
        name = self.names.get(owners[-1], owners[-1]) if owners else "the module"
        if node.op in ("call_function", "call_method"):
            name = f"{name} ({_name(node)[0]})"
        return Site(name, wire or Wire(), self.reading)

    def _module(self, node: Node) -> Step:
        module, path = self.modules[str(node.target)], self.names[str(node.target)]
        site = Site(path, Wire(), self.reading)
        source = self._only_signal(node, site)
        if any(True for _ in module.parameters()):
            self._check_first(id(module), path, site)
        step = self._read(module, replace(site, wire=self.values[source].wire), source)
        return replace(step, in_place=bool(getattr(module, "inplace", False)))

    def _check_first(self, key: int, path: str, site: Site) -> None:
        if key in self._seen:
            raise site.refuse(
                "it is called twice: the same weights in two places (tied) make the signals behind "
                "them dependent; use two modules"
            )
        self._seen[key] = path

    def _read(self, module: nn.Module, site: Site, source: Node) -> Step:
        layers, wire = read_checked(module, site)
        return Step(site.path, (source,), wire, layers)

    def _only_signal(self, node: Node, site: Site) -> Node:
        """The one input of a node; anything else but constants is refused."""
        signals = [n for n in node.all_input_nodes if isinstance(self.values[n], Step)]
        if any(self.values[n] is None for n in node.all_input_nodes):
            raise site.refuse(
                "a parameter or buffer is used outside of a module; use the modules that hold "
                "weights (nn.Linear, nn.Conv2d, ...)"
            )
        if len(signals) != 1 or not node.args or node.args[0] is not signals[0]:
            raise site.refuse("it must be called on one signal of the network alone")
        return signals[0]

    def _call(self, node: Node) -> Any:
        name, in_place = _name(node)
        site = self._site(node)
        if name in CALLS:
            raise site.refuse(CALLS[name])
        if name in ("size", "shape", "getitem", "dim"):
            return self._sizes(node, name, site)
        if name in ("cat", "concat", "concatenate"):
            return self._concat(node, site)
        if name in ADDITIONS | PRODUCTS | QUOTIENTS:
            found = self._arithmetic(node, name, site)
        else:
            found = self._unary(node, name, site)
        return replace(found, in_place=in_place or bool(node.kwargs.get("inplace")))

    def _unary(self, node: Node, name: str, site: Site) -> Step:
        source = self._only_signal(node, site)
        site = replace(site, wire=self.values[source].wire)
        wire, args, kwargs = site.wire, tuple(map(self._plain, node.args[1:])), dict(node.kwargs)
        step = Step(site.path, (source,), wire)
        if name in PASSED_ON:
            return step
        if name in ACTIVATIONS:
            return replace(step, layers=(activation(ACTIVATIONS[name], site),))
        if name == "pow":
            return replace(step, layers=(_power(args, site),))
        if name in ("mean", "sum", "squeeze", "view", "reshape"):
            layers, behind = _RESHAPES[name](site, args, kwargs)
            return replace(step, layers=layers, wire=behind)
        try:
            module = as_module(name, args, kwargs, wire.channels)
        except (TypeError, ValueError) as error:
            raise site.refuse(f"it is called in a way that is not read: {error}") from None
        if module is None:
            raise site.refuse(
                "there is no rule for this call; write it with the modules and functions that "
                "docs/lifting.md lists, or build the tree of layers by hand"
            )
        return self._read(module, site, source)

    def _plain(self, value: Any) -> Any:
        """An argument, with sizes in the place of nodes."""
        if isinstance(value, (tuple, list)):
            return tuple(map(self._plain, value))
        return self.values[value] if isinstance(value, fx.Node) else value

    def _sizes(self, node: Node, name: str, site: Site) -> Any:
        source = self.values.get(node.args[0])
        if name == "getitem" and isinstance(source, Sizes):
            return source[node.args[1]]
        if isinstance(source, Step) and name in ("size", "shape"):
            sizes = Sizes(source.wire)
            return sizes[node.args[1]] if len(node.args) > 1 and name == "size" else sizes
        raise site.refuse("parts of a signal are not layers; use the whole, or modules of their own")

    def _arithmetic(self, node: Node, name: str, site: Site) -> Step:
        values = [self._plain(a) for a in node.args[:2]]
        if node.kwargs and node.kwargs != {"alpha": 1}:
            raise site.refuse(f"its arguments {dict(node.kwargs)} are not read; write factors as products")
        if all(isinstance(v, Step) for v in values) and name not in QUOTIENTS:
            return self._join(node, "product" if name in PRODUCTS else "sum", node.args[:2], site)
        signals = [n for n, v in zip(node.args, values, strict=False) if isinstance(v, Step)]
        numbers = [v for v in values if isinstance(v, Real)]
        if len(signals) != 1 or len(numbers) != 1:
            raise site.refuse(
                "it takes something that is neither a signal nor a number, such as a parameter; "
                "trained factors and shifts have no layer"
            )
        return self._scaled(signals[0], numbers[0], name, values, site)

    def _scaled(self, source: Any, number: Any, name: str, values: list[Any], site: Site) -> Step:
        step = Step(site.path, (source,), self.values[source].wire)
        if name in ADDITIONS:
            if number:
                raise site.refuse("a constant shift is not centred; leave it to a bias (b_std)")
            return step
        if name in QUOTIENTS and not isinstance(values[0], Step):
            raise site.refuse("a quotient by a signal has no layer")
        if number == 0:
            raise site.refuse("multiplied by 0")
        return replace(step, factor=abs(1 / number if name in QUOTIENTS else number))

    def _join(self, node: Node, kind: str, inputs: Any, site: Site) -> Step:
        wires = [self.values[n].wire for n in inputs]
        if not all(_agree(wires[0], wire) for wire in wires):
            raise site.refuse(
                f"signals of different shapes are stretched to fit: {[_told(w) for w in wires]}; "
                "layers join signals of one shape"
            )
        known = next((w for w in wires if w.sizes is not None), wires[0])
        return Step(site.path, tuple(inputs), known, kind=kind)

    def _concat(self, node: Node, site: Site) -> Step:
        inputs, *rest = node.args
        axis = rest[0] if rest else node.kwargs.get("dim", node.kwargs.get("axis", 0))
        inputs = tuple(inputs) if isinstance(inputs, (tuple, list)) else ()
        if not inputs or not all(isinstance(self.values.get(n), Step) for n in inputs):
            raise site.refuse("it must join signals of the network")
        wires = [self.values[n].wire for n in inputs]
        axes = {1} | {-1 - w.rank - w.units for w in wires if w.rank is not None}
        if axis not in axes:
            raise site.refuse(f"only concatenation along the channels, dim=1, is a layer, not {axis}")
        shares = [wire.channels for wire in wires]
        if not all(shares):
            raise site.refuse("the numbers of channels are not known: pass input_shape")
        first = replace(wires[0], channels=sum(s for s in shares if s))
        if not all(_agree(first, replace(w, channels=first.channels)) for w in wires):
            raise site.refuse(f"its signals differ in positions: {[_told(w) for w in wires]}")
        weights = tuple(float(s) for s in shares if s)
        return Step(site.path, inputs, first, kind="concat", shares=weights)


def _name(node: Node) -> tuple[str, bool]:
    """What is called, and whether it overwrites its input."""
    name = str(node.target) if node.op == "call_method" else getattr(node.target, "__name__", "")
    if name == "getattr":
        return str(node.args[1]), False
    in_place = name.endswith("_") and not name.startswith("_")
    return name.rstrip("_") if in_place else name, in_place


def _agree(a: Wire, b: Wire) -> bool:
    return all(
        x is None or y is None or x == y
        for x, y in ((a.channels, b.channels), (a.rank, b.rank), (a.sizes, b.sizes))
    ) and (a.units == b.units)


def _told(wire: Wire) -> tuple[Any, ...]:
    return (wire.channels, *(wire.sizes or ()), *(1,) * wire.units)


def _power(args: tuple[Any, ...], site: Site) -> Layer:
    if len(args) == 1 and isinstance(args[0], int) and args[0] >= 1:
        return Activation(Monomial(args[0]))
    raise site.refuse("powers have a rule for whole exponents >= 1")


def _pooled(layer: Layer) -> Callable[[Site, tuple[Any, ...], dict[str, Any]], Read]:
    """A mean or sum over all spatial axes."""

    def pooled(site: Site, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Read:
        given = dict(zip(("dim", "keepdim"), args, strict=False)) | kwargs
        axes, wire = given.get("dim"), site.wire
        axes = (axes,) if isinstance(axes, int) else tuple(axes or ())
        rank = len(axes) if wire.rank is None else wire.rank
        found = sorted(a % (rank + 2) for a in axes if -rank - 2 <= a < rank + 2)
        if not rank or wire.units or found != list(range(2, rank + 2)):
            raise site.refuse(
                f"a mean or sum over the axes {axes} is no layer; over all spatial axes it is "
                "global pooling"
            )
        units = rank if given.get("keepdim") else 0
        return (layer,), Wire(wire.channels, 0, (), units)

    return pooled


def _squeezed(site: Site, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Read:
    wire, axes = site.wire, kwargs.get("dim", args[0] if args else None)
    axes = (axes,) if isinstance(axes, int) else axes
    if axes is None:
        return (), replace(wire, units=0)
    found = {a % (2 + wire.units) for a in axes if -2 - wire.units <= a < 2 + wire.units}
    if len(found) != len(axes) or found & {0, 1}:
        raise site.refuse(f"the axes {axes} are not those that global pooling leaves behind")
    return (), replace(wire, units=wire.units - len(found))


def _reshaped(site: Site, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Read:
    """Everything side by side: view(n, -1)."""
    sizes = args[0] if len(args) == 1 and isinstance(args[0], tuple) else args
    features, wire = site.wire.features, site.wire
    if len(sizes) == 2 and sizes[0] in ("batch", -1):
        if (sizes[0] == "batch" and sizes[1] == -1) or (features and sizes[1] == features):
            return read_checked(nn.Flatten(), site)
        if features is None:
            raise site.refuse(
                f"whether {sizes[1]} numbers are one input is not known: pass input_shape, or "
                "write x.flatten(1)"
            )
    raise site.refuse(
        f"a signal of {prod(wire.sizes) if wire.sizes else 'some'} positions is only flattened, "
        "by x.flatten(1) or x.view(len(x), -1); rows of X become images by image_shape"
    )


_RESHAPES = {
    "mean": _pooled(GlobalAvgPool()),
    "sum": _pooled(GlobalSumPool()),
    "squeeze": _squeezed,
    "view": _reshaped,
    "reshape": _reshaped,
}
