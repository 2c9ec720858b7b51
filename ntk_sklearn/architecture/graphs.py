"""Layers on graphs: positions are nodes, and each adds up what its neighbours carry."""

from __future__ import annotations

from dataclasses import dataclass, replace
from numbers import Integral
from typing import Any

from ._paths import at
from .checks import NetworkError, Signal, signal_rule
from .layers import Layer
from .matrices import Matrix, as_matrix
from .position_maps import PositionMap, axis_maps
from .shapes import Shape, shape_rule
from .windows import ShapeError


@dataclass(frozen=True, repr=False)
class Aggregate(PositionMap):
    r"""Sums over neighbours in a graph, ``z(i) = sum_j A_ij x(j)``: one step of message passing.

    Nodes are the positions along one spatial axis. With ``Conv(1)``, which acts on every node
    alone, before or after it, this is a graph convolution; A is used as it is given, normalized or
    not, with self-loops or without. No weights; covariances become ``A K A^T``.

    Parameters
    ----------
    adjacency : matrix or None
        A, of shape (nodes behind the layer, nodes in front of it), in general square: row i
        holds the weights of the edges that lead to node i. Nested sequences, arrays and sparse
        arrays are taken. None: every row of X carries a matrix of its own, see `GraphInput`.
    axis : int
        The spatial axis of the nodes.

    Raises
    ------
    TypeError, ValueError
        For anything but a finite matrix, or an axis that is no integer >= 0.

    Notes
    -----
    neural-tangents (``Aggregate``) puts tails first: its ``pattern`` is the transpose of A.

    References
    ----------
    Kipf and Welling, "Semi-supervised classification with graph convolutional networks", 2017; Du
    et al., "Graph neural tangent kernel", 2019.
    """

    adjacency: Any = None
    axis: int = 0

    def __post_init__(self) -> None:
        if self.adjacency is not None:
            matrix = as_matrix(self.adjacency, "Aggregate.adjacency")
            object.__setattr__(self, "adjacency", matrix)
        if isinstance(self.axis, bool) or not isinstance(self.axis, Integral) or self.axis < 0:
            raise ValueError(f"Aggregate.axis must be an integer >= 0, got {self.axis!r}")


@axis_maps.register
def _(layer: Aggregate, spatial: tuple[int, ...]) -> tuple[Matrix | None, ...]:
    if layer.axis >= len(spatial):
        raise ShapeError(f"axis {layer.axis} of images with {len(spatial)} spatial axes")
    A, n_nodes = layer.adjacency, spatial[layer.axis]
    if A is not None and A.shape[1] != n_nodes:
        raise ShapeError(
            f"the adjacency has {A.shape[1]} columns, but axis {layer.axis} has {n_nodes} nodes"
        )
    return tuple(A if axis == layer.axis else None for axis in range(len(spatial)))


@dataclass(frozen=True, repr=False)
class GraphInput(Layer):
    r"""Begins a network whose rows of X carry a graph each: reads the nodes, keeps the edges.

    A row is an image of shape (channels + n, n) for n nodes: first the features of the nodes
    (channels, n), then the adjacency matrix (n, n), whose entry (i, j) is the weight of the edge
    from node j to node i. So pass ``image_shape=(channels + n, n)``. The layer hands on the
    features; each ``Aggregate()`` without a matrix of its own uses the row's.

    Smaller graphs are padded with nodes without features and edges. They change nothing where an
    `Aggregate` follows the last bias in front of a ``GlobalSumPool()``, since rows of zeros in the
    adjacency make these nodes 0.

    References
    ----------
    Du et al., "Graph neural tangent kernel", 2019.
    """


@shape_rule.register
def _(layer: GraphInput, shape: Shape, path: str) -> Shape:
    n_nodes = shape.spatial[0] if len(shape.spatial) == 1 else 0
    if not n_nodes or shape.channels is None or shape.channels <= n_nodes:
        raise ShapeError(
            "it reads rows of shape (channels + n, n), the features of n nodes and their "
            "adjacency matrix: pass image_shape=(channels + n, n); the rows have "
            f"{shape.channels} channels and {shape.spatial} positions"
        )
    return Shape(shape.channels - n_nodes, shape.spatial)


def check_nodes(n_nodes: int, row_shape: tuple[int, ...]) -> None:
    """Raise unless a signal has the nodes that the adjacency in rows of that shape speaks of."""
    if row_shape[1:] != (n_nodes,):
        raise ShapeError(
            f"Aggregate() uses the adjacency of the rows of X, whose shape is {row_shape}, on "
            f"{n_nodes} nodes: layers in front of it must keep the nodes as they are"
        )


@signal_rule.register
def _(layer: GraphInput, signal: Signal, path: str) -> Signal:
    if signal != Signal() or "branches" in path:
        raise NetworkError(
            f"{at(path)}: {layer!r} reads rows of X: it must be the first layer of the network, in "
            "front of all branches"
        )
    return replace(signal, graph=True)


@signal_rule.register
def _(layer: Aggregate, signal: Signal, path: str) -> Signal:
    if layer.adjacency is None and not signal.graph:
        raise NetworkError(
            f"{at(path)}: {layer!r} uses the adjacency that rows of X carry: begin the network "
            "with GraphInput(), or give the layer a matrix"
        )
    return signal
