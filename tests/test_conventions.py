"""The conversions of kernels in docs/conventions.md, against recorded numbers and slow loops."""

from __future__ import annotations

import math
import sys
from dataclasses import replace

import numpy as np
import pytest
import slow_loops
import torch
from markdown_pages import ROOT, run
from sklearn.svm import SVC

from ntk_sklearn.kernels import NNGP, NTK
from ntk_sklearn.networks import Conv, Convolutional, Dense, FullyConnected, Serial

SQRT2 = math.sqrt(2.0)
# Four points of the plane: unit vectors, a longer one, antiparallel ones.
X = np.array([[1.0, 0.0], [0.0, 2.0], [0.6, 0.8], [-1.0, 0.0]])
IMAGES = np.random.default_rng(0).standard_normal((2, 2, 3, 4))


@pytest.fixture(scope="module")
def docs():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "conventions", None)
        yield run(ROOT / "docs" / "conventions.md", "conventions")


def bias_free(depth: int) -> FullyConnected:
    return FullyConnected(depth, w_std=SQRT2, b_std=0.0)


def entries(K: np.ndarray, places: str) -> list[float]:
    """Entries by their indices: "01 12" for (0, 1) and (1, 2)."""
    return [K[int(i), int(j)] for i, j in places.split()]


# scikit-ntk 1.2.1: NeuralTangentKernel(depth, bias)(X) before its normalization, to ten digits,
# and the derivative of the normalized kernel in log bias, at depth 3 and bias 0.1.

SKNTK = {
    (1, 0.0): (0.6366197724, 1.1004472266, 0, 2.9265070164, -0.0995527734, 2, 8),
    (1, 0.1): (0.6516197724, 1.1174955542, 0.01, 2.9444586887, -0.0866011011, 2.02, 8.02),
    (3, 0.0): (2.1207762136, 1.9522866852, 0.6857086363, 5.0803930899, 0.7065056993, 4, 16),
    (3, 0.1): (2.1434302371, 1.9794822529, 0.7047553650, 5.1105837862, 0.7268612746, 4.04, 16.04),
}
SKNTK_GRADIENT = (0.0007088822, 0.0037607592, -0.058817763, -0.0101035362)


@pytest.mark.parametrize("normalized", [False, True])
@pytest.mark.parametrize("depth, bias", SKNTK)
def test_scikit_ntk(docs, depth, bias, normalized):
    K = NTK(docs.scikit_ntk(2, depth, bias, normalized))(X)
    factor = (depth + 1) * (bias**2 + 1) if normalized else 1.0
    found = entries(factor * K, "01 02 03 12 23 00 11")
    np.testing.assert_allclose(found, SKNTK[depth, bias], rtol=0, atol=6e-11)


def test_gradient_of_scikit_ntk(docs):
    step = 1e-5
    above, below = (NTK(docs.scikit_ntk(2, 3, 0.1 * math.exp(s)))(X) for s in (step, -step))
    found = entries((above - below) / (2 * step), "01 02 11 12")
    np.testing.assert_allclose(found, SKNTK_GRADIENT, rtol=0, atol=2e-9)  # rounding over the step


# The released UCI code of Arora et al. 2020: kernel_value(X, d_max, fix_dep), to ten digits.

UCI = {
    (2, 0): (1.00, 0.3183098862, 0.5502236133, 0, 1.4632535082, -0.0497763867),
    (2, 1): (0.50, 0.3183098862, 0.3387737839, 0, 0.8271197200, 0.0387737839),
    (3, 0): (0.75, 0.3428543181, 0.3861040752, 0.0795774715, 1.0170757254, 0.0764512540),
    (3, 1): (0.50, 0.3428543181, 0.3081893373, 0.0795774715, 0.7594344898, 0.0996827882),
    (3, 2): (0.25, 0.2468655451, 0.1833584465, 0.0795774715, 0.4244418348, 0.0895103122),
}


@pytest.mark.parametrize("d_max, fixed", UCI)
def test_uci_code(docs, d_max, fixed):
    found = entries(NTK(docs.uci_code(2, d_max, fixed))(X), "00 01 02 03 12 23")
    np.testing.assert_allclose(found, UCI[d_max, fixed], rtol=0, atol=6e-11)


def test_uci_code_with_all_but_the_readout_fixed_is_an_nngp(docs):
    network = docs.uci_code(2, 3, fixed=2)
    np.testing.assert_allclose(NTK(network)(X), NNGP(network)(X), rtol=1e-14, atol=1e-16)


def test_cost_of_the_support_vector_machine_of_the_uci_code(docs):
    rng = np.random.default_rng(0)
    Z, y = rng.standard_normal((60, 3)), rng.integers(0, 2, 60)
    outputs = []
    for network, C in ((docs.uci_code(3, 4), 2.0), (bias_free(3), 2.0 * 3 / 2**3)):
        K = NTK(network)(Z)
        outputs.append(SVC(C=C, kernel="precomputed", tol=1e-9).fit(K, y).decision_function(K))
    np.testing.assert_allclose(*outputs, atol=1e-6)


# Arora et al. 2019, Cho and Saul 2009. The loops take an arccos, which halves their digits where
# rows are parallel.


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_dense_networks_of_arora(docs, depth):
    network = docs.arora(2, depth)
    expected = np.array([[slow_loops.arora(x, z, depth) for z in X] for x in X])
    np.testing.assert_allclose(NNGP(network)(X), expected[..., 0], rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(NTK(network)(X), expected[..., 1], rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(NTK(network).diag(X), (depth + 1) * (X**2).sum(1), rtol=1e-14)


@pytest.mark.parametrize("depth, recorded", [(1, 0.330920), (3, 0.351008), (10, 0.342980)])
def test_recorded_correlations_of_bias_free_relu(depth, recorded):
    K = NTK(bias_free(depth))(np.array([[1.0, 0.0], [0.3, math.sqrt(0.91)]]))
    assert K[0, 1] / K[0, 0] == pytest.approx(recorded, abs=5e-7)


@pytest.mark.parametrize("activation", ["erf", "gelu", "sin"])
def test_normalized_activations_of_arora_keep_unit_variance(docs, activation):
    np.testing.assert_allclose(NNGP(docs.arora(2, 4, activation)).diag(X[[0, 2, 3]]), 1, rtol=1e-13)


@pytest.mark.parametrize("degree, depth", [(0, 1), (0, 2), (1, 1), (1, 3)])
def test_arc_cosine_kernels(docs, degree, depth):
    expected = [[slow_loops.arc_cosine(x, z, degree, depth) for z in X] for x in X]
    found = NNGP(docs.arc_cosine(2, degree, depth))(X)
    np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("pooled", [False, True])
@pytest.mark.parametrize("depth", [2, 3, 4])
def test_convolutional_ntk_of_arora(docs, depth, pooled):
    expected = [[slow_loops.cntk(x, z, depth, pooled) for z in IMAGES] for x in IMAGES]
    found = NTK(docs.cntk((2, 3, 4), depth, pooled))(IMAGES)
    np.testing.assert_allclose(found, expected, rtol=1e-7)


def test_bias_of_li(docs):
    convolutions, *rest = docs.cntk((2, 3, 4), 3, pooled=False).layers
    biased = [
        replace(layer, b_std=0.7) if isinstance(layer, Conv) else layer
        for layer in convolutions.layers
    ]
    found = NTK(Serial(*biased, *rest))(IMAGES)[0, 1]
    expected = slow_loops.cntk(*IMAGES, depth=3, pooled=False, gamma=0.7)
    assert found == pytest.approx(expected, rel=1e-7)


def test_depth_of_the_cntk_tables_is_one_more(docs):
    def correlation(network):
        K = NTK(network)(IMAGES)
        return K[0, 1] / math.sqrt(K[0, 0] * K[1, 1])

    plain = Convolutional(depth=2, head="flatten", b_std=0.0)
    assert correlation(plain) == pytest.approx(correlation(docs.cntk((2, 3, 4), 3, pooled=False)))


# BoTorch's InfiniteWidthBNNKernel, to four digits: two batches of rows.

BOTORCH_X = np.array(
    [
        [[0.496, 0.768, 0.088], [0.132, 0.307, 0.634], [0.490, 0.896, 0.455],
         [0.632, 0.348, 0.401], [0.022, 0.168, 0.293]],
        [[0.518, 0.697, 0.800], [0.161, 0.282, 0.681], [0.915, 0.397, 0.874],
         [0.419, 0.552, 0.952], [0.036, 0.185, 0.373]],
    ]
)  # fmt: skip
BOTORCH_Z = np.array(
    [[[0.305, 0.932, 0.175], [0.269, 0.150, 0.031]], [[0.208, 0.929, 0.723], [0.742, 0.526, 0.243]]]
)
# (depth, weight_var, bias_var, batch): the columns of the kernel
BOTORCH = {
    (0, 1.0, 0.1, 0): [[0.3942, 0.2458, 0.4547, 0.2958, 0.1715],
                       [0.1838, 0.1337, 0.1934, 0.1782, 0.1134]],
    (0, 2.0, 0.5, 1): [[1.3891, 1.0252, 1.2940, 1.3588, 0.7994],
                       [1.1303, 0.7889, 1.2334, 1.0551, 0.6431]],
    (2, 1.0, 0.1, 0): [[0.2488, 0.2178, 0.2641, 0.2286, 0.1983],
                       [0.1985, 0.1872, 0.2036, 0.1962, 0.1793]],
    (2, 1.0, 0.1, 1): [[0.2869, 0.2429, 0.2820, 0.2837, 0.2160],
                       [0.2564, 0.2172, 0.2691, 0.2498, 0.1986]],
}  # fmt: skip


@pytest.mark.parametrize("depth, weight_var, bias_var, batch", BOTORCH)
def test_botorch(docs, depth, weight_var, bias_var, batch):
    K = NNGP(docs.botorch(depth, weight_var, bias_var))(BOTORCH_X[batch], BOTORCH_Z[batch])
    recorded = BOTORCH[depth, weight_var, bias_var, batch]
    np.testing.assert_allclose(K.T, recorded, rtol=0, atol=5.1e-5)


# The table of factors: kernel, network and factor of d and L.

FACTORS = {
    "scikit-ntk": (NTK, lambda docs, d, L: docs.scikit_ntk(d, L, 0.0), lambda d, L: d / (L + 1)),
    "Arora, NTK": (NTK, lambda docs, d, L: docs.arora(d, L), lambda d, L: d),
    "Arora, NNGP": (NNGP, lambda docs, d, L: docs.arora(d, L), lambda d, L: d),
    "UCI code": (NTK, lambda docs, d, L: docs.uci_code(d, L + 1), lambda d, L: d / 2**L),
    "UCI code, NNGP": (NNGP, lambda docs, d, L: docs.uci_code(d, L + 1, L), lambda d, L: d / 2**L),
    "BoTorch": (NNGP, lambda docs, d, L: docs.botorch(L, 2.0, 0.0), lambda d, L: 2),
    "Cho and Saul": (NNGP, lambda docs, d, L: docs.arc_cosine(d, 1, L), lambda d, L: d),
    "2 T": (NTK, lambda docs, d, L: docs.chain([Dense(SQRT2)] * (L + 1)), lambda d, L: 2),
    "2 N": (NNGP, lambda docs, d, L: docs.chain([Dense(SQRT2)] * (L + 1)), lambda d, L: 2),
}


@pytest.mark.parametrize("depth", [1, 4])
@pytest.mark.parametrize("name", FACTORS)
def test_factors_between_bias_free_relu_kernels(docs, name, depth):
    kernel, network, factor = FACTORS[name]
    Z = np.random.default_rng(0).standard_normal((6, 5))
    expected = factor(5, depth) * kernel(bias_free(depth))(Z)
    np.testing.assert_allclose(kernel(network(docs, 5, depth))(Z), expected, rtol=1e-13)


# The standard parametrization


def standard_network(docs, widths: list[int], b_std: float) -> Serial:
    return docs.chain([docs.standard(n, 1.3, b_std) for n in [2, *widths]])


@pytest.mark.parametrize("b_std", [0.0, 0.3])
def test_standard_parametrization_by_recursion(docs, b_std):
    K, widths = NTK(standard_network(docs, [50, 70], b_std))(X), [50, 70]
    expected = [[slow_loops.standard(x, z, widths, 1.3, b_std) for z in X] for x in X]
    np.testing.assert_allclose(K, expected, rtol=1e-7)


def test_standard_parametrization_of_torch_networks(docs):
    width, n_draws = 2048, 30
    K = NTK(standard_network(docs, [width], 0.3))(X[1:3])
    draws = torch.stack([torch_ntk(X[1:3], width, 1.3, 0.3, seed) for seed in range(n_draws)])
    error = draws.std(0) / math.sqrt(n_draws)
    assert ((draws.mean(0) - torch.tensor(K)).abs() < 4 * error).all()
    assert (error < 0.01 * draws.mean(0).abs()).all()


def torch_ntk(rows, width: int, w_std: float, b_std: float, seed: int) -> torch.Tensor:
    """Products of all parameters' gradients, of a network as PyTorch users write it."""
    generator = torch.Generator().manual_seed(seed)
    hidden, readout = torch.nn.Linear(2, width), torch.nn.Linear(width, 1)
    network = torch.nn.Sequential(hidden, torch.nn.ReLU(), readout).double()
    for layer in (hidden, readout):
        torch.nn.init.normal_(layer.bias, std=b_std, generator=generator)
        std = w_std / math.sqrt(layer.in_features)
        torch.nn.init.normal_(layer.weight, std=std, generator=generator)
    parameters = list(network.parameters())
    gradients = [
        torch.cat([g.flatten() for g in torch.autograd.grad(output, parameters, retain_graph=True)])
        for output in network(torch.tensor(rows))[:, 0]
    ]
    J = torch.stack(gradients)
    return J @ J.T
