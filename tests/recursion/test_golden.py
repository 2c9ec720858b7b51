"""Recorded kernels of neural-tangents, see tests/golden/README.md."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from golden_networks import TABLES, network, recorded, specifications
from reference_kernels import kernels, relative_error

from ntk_sklearn.architecture import check_network

# The tables' ntk is itself off where two inputs coincide.
LOW_WHERE_EQUAL = ("cnn3_flatten", "resnet_flatten")
COINCIDENT = {"ntk_train": np.eye(4, dtype=bool), "ntk": np.eye(4, 3, k=-1, dtype=bool)}
COINCIDENT["ntk"][2:] = False  # x2[0] is x1[1], and no other pair


def computed(name: str, dtype: torch.dtype = torch.float64) -> dict[str, np.ndarray]:
    tree, data = network(name), recorded(name)
    check_network(tree)
    blocks = kernels(tree, data["x1"], data["x2"], dtype), kernels(tree, data["x1"], dtype=dtype)
    return dict(zip(TABLES, [*blocks[0], *blocks[1]], strict=True))


@pytest.mark.parametrize("name", specifications())
def test_recorded_kernels(name):
    # both sides are float64 with errors of a few roundings per layer
    found, expected = computed(name), recorded(name)
    for table in TABLES:
        keep = np.ones(expected[table].shape, dtype=bool)
        if name in LOW_WHERE_EQUAL and table in COINCIDENT:
            keep = ~COINCIDENT[table]
        assert relative_error(found[table][keep], expected[table][keep]) < 1e-13, table


@pytest.mark.parametrize("name", LOW_WHERE_EQUAL)
def test_coincident_inputs(name):
    found, data = computed(name), recorded(name)
    exact = [angle_zero(specifications()[name]["net"], x) for x in data["x1"]]
    for table, mask in COINCIDENT.items():
        value = found[table][mask]
        np.testing.assert_allclose(value, data[table][mask], rtol=5e-9)
        pairs = exact if table == "ntk_train" else exact[1:2]
        np.testing.assert_allclose(value, [ntk for _, ntk in pairs], rtol=1e-12)


@pytest.mark.parametrize("name", [name for name in specifications() if name != "fc30_relu"])
def test_single_precision(name):
    # reached: 3e-7
    found, expected = computed(name, torch.float32), recorded(name)
    for table in TABLES:
        assert relative_error(found[table], expected[table]) < 1e-6, table


def angle_zero(node: list, x: np.ndarray) -> tuple[float, float]:
    """nngp and ntk of an image with itself: at angle 0 a ReLU halves both."""
    zeros = np.zeros(x.shape[1:])
    k, t = _angle_zero(node, (x**2).mean(0), zeros)
    return float(k), float(t)


def _angle_zero(node: list, k: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    kind, *rest = node
    if kind == "serial":
        for child in rest:
            k, t = _angle_zero(child, k, t)
    elif kind == "residual":
        ends = [_angle_zero(branch, k, t) for branch in rest]
        k, t = (sum(parts) for parts in zip(*ends, strict=True))
    elif kind == "Relu":
        k, t = k / 2, t / 2
    elif kind == "Flatten":
        k, t = k.mean(), t.mean()
    elif kind in ("Conv", "Dense"):
        w2, b2 = rest[0]["W_std"] ** 2, rest[0]["b_std"] ** 2
        window = box if kind == "Conv" else np.asarray
        k, t = w2 * window(k) + b2, w2 * window(t + k) + b2
    return k, t


def box(image: np.ndarray) -> np.ndarray:
    """Mean over 3 x 3 windows, zero outside."""
    padded, (rows, columns) = np.pad(image, 1), image.shape
    return sum(padded[i : i + rows, j : j + columns] for i in range(3) for j in range(3)) / 9.0
