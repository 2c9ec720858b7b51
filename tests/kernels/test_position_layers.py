"""Kernels of networks that mix positions: batches, derivatives, and rows that carry graphs."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ntk_sklearn import NTKRegressor
from ntk_sklearn.kernels import NTK, NNGPKernel, NTKKernel
from ntk_sklearn.networks import (
    Activation,
    Aggregate,
    Conv,
    Dense,
    ExponentialDecay,
    Flatten,
    GlobalAvgPool,
    GlobalSumPool,
    GraphInput,
    Resize,
    SelfAttention,
    Serial,
)

ERF, RELU = Activation("erf"), Activation("relu")
DECAY = ExponentialDecay(2.0)
ATTENTION = Serial(
    Conv(2, 1.2, 0.1), ERF, SelfAttention(0.9, 1.1, w_position_std=0.5, position_decay=DECAY),
    RELU, Resize(4, "linear"), Conv(1, 1.1), GlobalAvgPool(),
)  # fmt: skip
GRAPH = Serial(
    GraphInput(), Aggregate(), Conv(1, 1.2, 0.3), RELU, Aggregate(), Conv(1, 1.1, 0.1), RELU,
    Aggregate(), GlobalSumPool(), Dense(),
)  # fmt: skip
CASES = {"attention": (ATTENTION, (2, 3)), "graph": (GRAPH, (5, 3))}
each = pytest.mark.parametrize("case", CASES)


def rows(case: str, *leading: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(len(case))
    size = torch.Size(CASES[case][1]).numel()
    return torch.randn(*leading, size, generator=generator, dtype=torch.float64)


@each
@pytest.mark.parametrize("kind", [NTKKernel, NNGPKernel])
def test_batches_are_loops(case, kind):
    network, shape = CASES[case]
    kernel = kind(network, image_shape=shape).double()
    x, z = rows(case, 2, 3), rows(case, 2, 2) + 0.1
    pairs = {"gram": (x, None, False), "block": (x, z, False), "diagonal": (x, x, True)}
    for left, right, diag in pairs.values():
        found = kernel(left, right, diag=diag)
        found = found if diag else found.to_dense()
        for k in range(2):
            one = kernel(left[k], None if right is None else right[k], diag=diag)
            one = one if diag else one.to_dense()
            torch.testing.assert_close(found[k], one, rtol=1e-12, atol=0.0)


@each
def test_derivatives_in_rows_agree_with_differences(case):
    network, shape = CASES[case]
    kernel = NTKKernel(network, image_shape=shape).double()
    x, z = rows(case, 2), rows(case, 1) - 0.2
    entries = lambda a: kernel(a, z).to_dense()  # noqa: E731
    assert torch.autograd.gradcheck(entries, (x.requires_grad_(),))


@each
def test_derivatives_in_theta_agree_with_differences(case):
    network, shape = CASES[case]
    kernel, X = NTK(network, image_shape=shape), rows(case, 3).numpy()
    K, gradient = kernel(X, eval_gradient=True)
    np.testing.assert_allclose(K, kernel(X), rtol=1e-12)
    step = 1e-5
    for k, theta in enumerate(np.eye(len(kernel.theta)) * step):
        up, down = (kernel.clone_with_theta(kernel.theta + s * theta)(X) for s in (1, -1))
        np.testing.assert_allclose(
            gradient[..., k], (up - down) / (2 * step), rtol=1e-6, atol=1e-8 * np.abs(K).max()
        )


@each
def test_the_engine_says_what_it_does_not_cover(case):
    network, shape = CASES[case]
    told = NTK(network, image_shape=shape).explain(rows(case, 2).numpy())
    name = {"attention": "SelfAttention", "graph": "GraphInput"}[case]
    assert f"fused: it does not cover the layer {name}" in told
    assert "chosen: reference" in told


# Rows that carry graphs


def carried(features: np.ndarray, adjacency: np.ndarray) -> np.ndarray:
    """Rows of X for features (channels, n) and adjacency matrices (n, n)."""
    return np.stack([np.vstack(g).ravel() for g in zip(features, adjacency, strict=True)])


def graphs(n_graphs: int = 9, n_nodes: int = 4) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(n_graphs, 2, n_nodes)), rng.random((n_graphs, n_nodes, n_nodes))


def predictions(features: np.ndarray, adjacency: np.ndarray) -> np.ndarray:
    n_nodes = features.shape[-1]
    model = NTKRegressor(GRAPH, image_shape=(2 + n_nodes, n_nodes))
    X, y = carried(features, adjacency), np.sin(np.arange(6.0))
    return model.fit(X[:6], y).predict(X[6:])


def test_predictions_do_not_depend_on_the_order_of_nodes():
    features, adjacency = graphs()
    expected = predictions(features, adjacency)
    moved, edges = features.copy(), adjacency.copy()
    rng = np.random.default_rng(1)
    for k, order in enumerate(rng.permutation(4) for _ in features):
        moved[k], edges[k] = features[k][:, order], adjacency[k][np.ix_(order, order)]
    np.testing.assert_allclose(predictions(moved, edges), expected, rtol=1e-8)


def test_nodes_without_edges_pad_smaller_graphs():
    features, adjacency = graphs()
    padded = np.pad(features, ((0, 0), (0, 0), (0, 2))), np.pad(adjacency, ((0, 0), (0, 2), (0, 2)))
    K, other = (
        NTK(GRAPH, image_shape=(2 + n, n))(carried(*g))
        for n, g in ((4, (features, adjacency)), (6, padded))
    )
    # features are divided by channels, which are as many
    np.testing.assert_allclose(other, K, rtol=1e-12)


def test_rows_with_one_graph_are_a_network_of_that_graph():
    features, adjacency = graphs()
    A = adjacency[0]
    fixed = Serial(*(Aggregate(A) if layer == Aggregate() else layer for layer in GRAPH.layers[1:]))
    K = NTK(fixed, image_shape=(2, 4))(features.reshape(9, -1))
    own = NTK(GRAPH, image_shape=(6, 4))(carried(features, np.tile(A, (9, 1, 1))))
    np.testing.assert_allclose(own, K, rtol=1e-12)


def test_graphs_need_their_nodes_as_they_are():
    network = Serial(GraphInput(), Resize(2), Aggregate(), Conv(1), Flatten())
    with pytest.raises(ValueError, match="must keep the nodes as they are"):
        NTK(network, image_shape=(6, 4))(carried(*graphs()))


def test_rows_of_another_size_are_refused():
    with pytest.raises(ValueError, match=r"image_shape=\(channels \+ n, n\)"):
        NTK(GRAPH, image_shape=(2, 12))(carried(*graphs()))
