"""What kernel expressions mean: one rule per type, from an expression to operations on kernels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, singledispatch
from typing import Any

import numpy as np
import torch
from sklearn.base import clone

from ..architecture import Motion, Shape, asymmetry
from ..backends import GivenParameters, Output, Problem, Quantity
from ..finite import Linearized
from ..finite.linearized import GivenModule, read_module
from ..presets import Preset
from . import _evaluate
from ._network import (
    Network,
    as_network,
    finite_width,
    free_scales,
    parts,
    refuse_module,
    tree,
    within,
)
from ._terms import Leaf, Mean, Term, TermsProblem, Times, Unit, WeightedSum, leaves, walk
from .expressions import (
    Added,
    Averaged,
    DepthAveraged,
    Expression,
    Group,
    Multiplied,
    MyrtleCompositional,
    Normalized,
)
from .expressions.groups import ImageShape, as_group, elements

# Relative difference up to which a kernel is taken not to notice a motion.
_SAME = 1e-9


@dataclass(frozen=True)
class Reading:
    """How an expression is read.

    Attributes
    ----------
    quantity : {"nngp", "ntk"}
    n_features : int
    image_shape : tuple of int or None
    values : mapping
        Scales, by name, that replace the expression's own.
    """

    quantity: Quantity
    n_features: int
    image_shape: ImageShape = None
    values: Mapping[str, Any] = field(default_factory=dict)

    def of(self, part: str, quantity: Quantity | None = None) -> Reading:
        """The same for a part."""
        quantity = self.quantity if quantity is None else quantity
        return replace(self, values=within(self.values, part), quantity=quantity)

    def scale(self, name: str, value: Any) -> Any:
        """A scale of the expression's own, replaced if it is to be."""
        return self.values.get(name, value)


@singledispatch
def lower(network: Any, reading: Reading) -> Term:
    """The kernel of a network or an expression as an operation on kernels of networks.

    Raises
    ------
    ValueError, TypeError
        For parameters out of their range; for a tangent kernel that does not exist.
    """
    layers = tree(network, reading.values)
    shape = _evaluate.input_shape(layers, reading.image_shape, reading.n_features)
    (output,) = _evaluate.outputs(layers, reading.quantity)
    return Leaf(output, shape, finite_width(network))


@lower.register
def _(network: Linearized, reading: Reading) -> Term:
    layer = given_module(network, reading.quantity, reading.image_shape, reading.n_features)
    if layer.full and layer.n_outputs > 1:
        raise ValueError(
            "in a kernel expression a module has one kernel for all its outputs: take "
            "Linearized(module, outputs='mean'), or the module alone in NTKRegressor"
        )
    shape = module_shape(reading.image_shape, reading.n_features)
    return Leaf(Output(layer, "ntk"), shape, GivenParameters())


def given_module(
    network: Linearized, quantity: Quantity, image_shape: ImageShape, n_features: int
) -> GivenModule:
    """What evaluators are asked for a module.

    Raises
    ------
    TypeError
        For the NNGP, which a module does not have; for what is no module.
    ValueError
        For modules that are no function of single rows, or cannot read these.
    """
    if quantity != "ntk":
        refuse_module(network)
    return read_module(network, image_shape or (n_features,))


def module_shape(image_shape: ImageShape, n_features: int) -> Shape:
    """How a module reads rows: flat ones, or images where their shape is given."""
    return Shape(n_features) if image_shape is None else Shape(image_shape[0], image_shape[1:])


def _part(expression: Expression, name: str, reading: Reading, quantity: Any = None) -> Term:
    return lower(parts(expression)[name], reading.of(name, quantity))


@lower.register
def _(expression: Normalized, reading: Reading) -> Term:
    return Unit(_part(expression, "network", reading))


@lower.register
def _(expression: Added, reading: Reading) -> Term:
    weights = [reading.scale(f"weights.{k}", w) for k, w in enumerate(expression.numbers())]
    terms = [_part(expression, name, reading) for name in expression.parts()]
    return WeightedSum(tuple(terms), tuple(weights))


@lower.register
def _(expression: DepthAveraged, reading: Reading) -> Term:
    network = as_network(expression.network)
    if not isinstance(network, Preset) or "depth" not in network.get_params(deep=False):
        raise TypeError(
            "DepthAveraged takes a preset with a parameter depth, such as FullyConnected(), got "
            f"{network!r}"
        )
    weights = expression.numbers()
    of_depths = [clone(network).set_params(depth=depth) for depth in expression.depths]
    terms = [lower(network, reading.of("network")) for network in of_depths]
    return WeightedSum(tuple(terms), tuple(weights))


@lower.register
def _(expression: Multiplied, reading: Reading) -> Term:
    names = [*expression.parts()]
    nngp = {name: _part(expression, name, reading, "nngp") for name in names}
    product = Times(tuple(nngp.values()))
    if reading.quantity == "nngp":
        return product
    if not is_network(expression):
        raise ValueError(
            "the NTK of Multiplied is that of a product of networks, and of its parts one is no "
            f"network: {expression!r}; its NNGP is the product of kernels"
        )
    tangents = [
        Times(tuple((nngp | {name: _part(expression, name, reading)}).values())) for name in names
    ]
    return WeightedSum((*tangents, product), (1.0,) * (len(names) + 1))


@lower.register
def _(expression: MyrtleCompositional, reading: Reading) -> Term:
    layers = expression.build(reading.scale("gamma", None))
    if reading.quantity == "ntk":
        raise ValueError(
            "MyrtleCompositional has no tangent kernel: take it as NNGP, in NNGPRegressor, "
            "NNGPClassifier or a learner of scikit-learn; Myrtle() is the network with an NTK"
        )
    shape = _evaluate.input_shape(layers, reading.image_shape, reading.n_features)
    return Unit(Leaf(Output(layers, "nngp"), shape))


@lower.register
def _(expression: Averaged, reading: Reading) -> Term:
    group = as_group(expression.group)
    elements(group, reading.n_features, reading.image_shape)  # does it fit the rows?
    inner = _part(expression, "network", reading)
    why_both = "; ".join(dict.fromkeys(asymmetries(expression, reading)))
    return Mean(inner, group, reading.n_features, reading.image_shape, why_both)


def is_network(network: Network) -> bool:
    """Whether NNGP and NTK are those of one network."""
    if isinstance(network, (Normalized, MyrtleCompositional, Linearized)):
        return False
    return all(is_network(part) for part in parts(network).values())


def averages(network: Network) -> bool:
    """Whether a kernel permutes features, which must then not be scaled one by one."""
    return isinstance(network, Averaged) or any(map(averages, parts(network).values()))


# Whether a group may act on one argument alone.


def asymmetries(expression: Averaged, reading: Reading) -> list[str]:
    """Why both arguments are averaged; empty if k(gx, gz) = k(x, z) for all g.

    Known from the trees, whatever the values of the scales.
    """
    network = as_network(expression.network)
    ones = dict.fromkeys(free_scales(network), 1.0)
    term = lower(network, replace(reading, values=ones))
    if any(isinstance(inner, Mean) for inner in walk(term)):
        return ["what is averaged is itself an average over a group"]
    group = as_group(expression.group)
    sizes = reading.n_features, reading.image_shape
    found = {
        leaf.output.network: "networks of a finite width have no symmetry"
        if leaf.finite is not None
        else _asymmetry(leaf, group, *sizes)
        for leaf in leaves(term)
    }
    return [why for why in found.values() if why]


@lru_cache(maxsize=64)
def _asymmetry(leaf: Leaf, group: Group, n_features: int, image_shape: ImageShape) -> str | None:
    spatial = leaf.shape.spatial
    motions = group.generators(spatial) if spatial else [Motion()]
    if motions is None:
        return f"{group!r} is not known to move positions of the image"
    for motion in motions:
        why = asymmetry(leaf.output.network, leaf.shape, motion)
        if why:
            return why
    return _counterexample(leaf, elements(group, n_features, image_shape))


def _counterexample(leaf: Leaf, indices: np.ndarray) -> str | None:
    """One pair of random rows, and a few elements of the group: what the tree says is confirmed."""
    random = np.random.RandomState(0)
    x, z = random.normal(size=(2, 1, indices.shape[1]))
    problem = Problem((leaf.output,), leaf.shape, torch.float64, torch.device("cpu"))

    def kernel(a: np.ndarray, b: np.ndarray) -> float:
        pair = torch.from_numpy(np.ascontiguousarray(a)), torch.from_numpy(np.ascontiguousarray(b))
        return float(_evaluate.matrix(problem, *pair)[0, 0, 0])

    expected = kernel(x, z)
    for g in indices[random.permutation(len(indices))[:3]]:
        if abs(kernel(x[:, g], z[:, g]) - expected) > _SAME * abs(expected):
            return "the kernel of two rows changes when both are transformed"
    return None


# Problems.


def problem_of(
    network: Network,
    quantities: Sequence[Quantity],
    image_shape: ImageShape,
    n_features: int,
    dtype: torch.dtype,
    device: torch.device,
) -> Problem | TermsProblem:
    """What the evaluators are asked for the kernels of a network or an expression."""
    if isinstance(network, Expression):
        readings = [Reading(quantity, n_features, image_shape) for quantity in quantities]
        outputs = tuple(lower(network, reading) for reading in readings)
        return TermsProblem(outputs, n_features, dtype, device)
    if isinstance(network, Linearized):
        found = [given_module(network, q, image_shape, n_features) for q in quantities]
        shape = module_shape(image_shape, n_features)
        asked = tuple(Output(layer, "ntk") for layer in found)
        return Problem(asked, shape, dtype, device, GivenParameters())
    layers = tree(network)
    return Problem(
        outputs=_evaluate.outputs(layers, *quantities),
        input_shape=_evaluate.input_shape(layers, image_shape, n_features),
        dtype=dtype,
        device=device,
        finite=finite_width(network),
    )


def rebuilding(
    network: Network, quantity: Quantity, image_shape: ImageShape, n_features: int
) -> Callable[[Mapping[str, Any]], Any]:
    """The network, or the operations of an expression, for other scales."""
    if not isinstance(network, Expression):
        return lambda values: tree(network, values)
    reading = Reading(quantity, n_features, image_shape)
    return lambda values: lower(network, replace(reading, values=values))
