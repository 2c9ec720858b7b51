"""Parametrizations against recorded kernels, slow recursions, and networks of finite width."""

from __future__ import annotations

import json
import math
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import slow_loops
import torch
from torch import nn

from ntk_sklearn import (
    NNGPClassifier,
    NNGPRegressor,
    NTKClassifier,
    NTKClassifierCV,
    NTKRegressor,
    NTKRegressorCV,
)
from ntk_sklearn.finite import to_module
from ntk_sklearn.kernels import NNGP, NTK, NTKKernel
from ntk_sklearn.networks import (
    Activation,
    AtInitialization,
    Concat,
    Conv,
    Dense,
    Flatten,
    FullyConnected,
    GlobalAvgPool,
    NetworkError,
    ResNet,
    SelfAttention,
    Serial,
    biases_from_zero,
    maximal_update,
    residual,
    standard_parametrization,
)

RELU, ERF = Activation("relu"), Activation("erf")
LAST = Dense(0.9, 0.1)
STANDARD = {
    "dense": (Serial(Dense(1.3, 0.3), RELU, Dense(1.1, 0.2), RELU, LAST), 32),
    "dense_no_bias": (Serial(Dense(1.3), ERF, Dense(1.3), ERF, Dense()), 32),
    "dense_zero_bias": (Serial(Dense(1.3), ERF, Dense()), 32),
    "convolutional": (
        Serial(
            Conv(3, 1.3, 0.3), RELU, Conv((2, 1), 1.2, 0.2, strides=(2, 1), padding="valid"), RELU,
            Flatten(), LAST,
        ),
        16,
    ),
    "pooled": (
        Serial(Conv(3, 1.3, 0.3, padding="circular"), RELU, GlobalAvgPool(), Dense(0.9)), 16,
    ),
    "residual": (
        Serial(Dense(1.3, 0.3), residual(Serial(ERF, Dense(1.1, 0.2))), ERF, LAST), 32,
    ),
    "concat": (
        Serial(
            Dense(1.3, 0.3),
            Concat(Serial(ERF, Dense(1.1, 0.2)), Dense(1.2, 0.1), shares=(3, 1)),
            LAST,
        ),
        32,
    ),
}  # fmt: skip


@cache
def recorded() -> dict:
    return json.loads((Path(__file__).parents[1] / "golden" / "standard.json").read_text())


@pytest.mark.parametrize("name", STANDARD)
def test_recorded_kernels_of_the_standard_parametrization(name):
    network, width = STANDARD[name]
    images = name in ("convolutional", "pooled")
    x, z = (np.array(recorded()[key]) for key in (("images", "images") if images else ("x", "z")))
    z = z[::-1].copy() if images else z
    tree = standard_parametrization(network, x.shape[1:], width, biases=name == "dense_zero_bias")
    for kernel, quantity in ((NTK, "ntk"), (NNGP, "nngp")):
        expected = np.array(recorded()[name][quantity])
        np.testing.assert_allclose(kernel(tree)(x, z), expected, rtol=1e-10)


@pytest.mark.parametrize("b_std", [0.0, 0.3])
def test_standard_parametrization_by_its_recursion(b_std):
    X = np.random.default_rng(0).standard_normal((4, 3))
    network = Serial(Dense(1.3, b_std), RELU, Dense(1.3, b_std), RELU, Dense(1.3, b_std))
    K = NTK(standard_parametrization(network, (3,), 50, biases=True))(X)
    expected = [[slow_loops.standard(x, z, [50, 50], 1.3, b_std) for z in X] for x in X]
    np.testing.assert_allclose(K, expected, rtol=1e-7)  # the slow one takes arccos near 1


def test_multipliers_are_kept():
    frozen = Serial(Dense(2.0, 0.1, lr_multiplier=0.0), RELU, Dense(2.0, 0.1, lr_multiplier=0.5))
    tree = standard_parametrization(frozen, (3,), 10, biases=True)
    assert tree.layers[0] == Dense(2.0, 0.1, lr_multiplier=0.0, bias_ntk=0.0)
    assert tree.layers[2] == Dense(2.0, 0.1, lr_multiplier=0.5 * 10 / 4.0, bias_ntk=0.5)


def test_one_layer_alone_and_presets():
    assert standard_parametrization(Dense(0.5, 1.0), (3,), 7) == Dense(
        0.5, 1.0, lr_multiplier=12.0, bias_ntk=1.0
    )
    tree = standard_parametrization(ResNet((1,)).build(), (3, 8, 8), 16)
    assert tree.layers[0].lr_multiplier == pytest.approx(3 * 9 / 2)
    assert tree.layers[-1].lr_multiplier == 16


@pytest.mark.parametrize(
    "network, told",
    [
        (Serial(Dense(0.0, 1.0), RELU, Dense()), r"layers.0: .*w_std=0"),
        (Serial(Dense(), RELU, Dense(bias_ntk=1.0)), r"layers.2: .*bias_ntk is set"),
        (standard_parametrization(Dense(), (3,), 7), "network: .*bias_ntk is set"),
    ],
)
def test_layers_without_a_standard_parametrization(network, told):
    with pytest.raises(ValueError, match=told):
        standard_parametrization(network, (3,), 7)


def test_scales_may_be_learned_tensors():
    w_std = torch.tensor(1.3, requires_grad=True)
    tree = standard_parametrization(Serial(Dense(w_std), RELU, Dense()), (3,), 10)
    (gradient,) = torch.autograd.grad(tree.layers[0].lr_multiplier, w_std)
    assert gradient.item() == pytest.approx(-2 * 3 / 1.3**3)


# Networks as PyTorch users write them, with parameters drawn at their final scale

ROWS = np.array([[0.0, 2.0], [0.6, 0.8]])
W_STD, B_STD, READOUT = 1.3, 0.3, 0.9
NETWORK = Serial(Dense(W_STD, B_STD), RELU, Dense(W_STD, B_STD), RELU, Dense(READOUT, B_STD))


class Rates(dict):
    """Learning rates of the parameters by name, and a readout drawn with a factor of its own."""

    readout = 1.0


def maximal_update_rates(width: int, base: int) -> Rates:
    ratio = width / base
    rates = Rates({"0.weight": ratio, "0.bias": ratio, "2.bias": ratio, "4.weight": 1 / ratio})
    rates.readout = ratio**-0.5
    return rates


def drawn(width: int, seed: int, rates: Rates, bias: float = B_STD) -> nn.Sequential:
    sizes, scales = (2, width, width, 1), (W_STD, W_STD, READOUT * rates.readout)
    generator, layers = torch.Generator().manual_seed(seed), []
    for fan_in, fan_out, w_std in zip(sizes[:-1], sizes[1:], scales, strict=True):
        layer = nn.Linear(fan_in, fan_out, dtype=torch.float64)
        nn.init.normal_(layer.weight, std=w_std / math.sqrt(fan_in), generator=generator)
        nn.init.normal_(layer.bias, std=bias, generator=generator)
        layers += [layer, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def tangent_kernel(network: nn.Sequential, rates: Rates) -> torch.Tensor:
    """Products of gradients, each parameter's times its learning rate."""
    total = torch.zeros(len(ROWS), len(ROWS), dtype=torch.float64)
    outputs = network(torch.tensor(ROWS))[:, 0]
    rows = [torch.autograd.grad(f, list(network.parameters()), retain_graph=True) for f in outputs]
    for k, (name, _) in enumerate(network.named_parameters()):
        J = torch.stack([row[k].flatten() for row in rows])
        total += rates.get(name, 1.0) * J @ J.T
    return total


def assert_mean(width: int, n_draws: int, rates: Rates, expected: np.ndarray, **kind) -> None:
    draws = torch.stack(
        [tangent_kernel(drawn(width, seed, rates, **kind), rates) for seed in range(n_draws)]
    )
    error = draws.std(0) / math.sqrt(n_draws)
    assert ((draws.mean(0) - torch.tensor(expected)).abs() < 4 * error).all()
    assert (error < 0.02 * draws.mean(0).abs()).all()


def test_networks_in_the_standard_parametrization():
    width = 512
    expected = NTK(standard_parametrization(NETWORK, (2,), width))(ROWS)
    assert_mean(width, 60, Rates(), expected)


@pytest.mark.parametrize("base", [1, 40])
@pytest.mark.parametrize("width, n_draws", [(128, 250), (512, 60)])
def test_maximal_update_networks_at_initialization(base, width, n_draws):
    expected = NTK(maximal_update(NETWORK, (2,), base))(ROWS)
    assert_mean(width, n_draws, maximal_update_rates(width, base), expected)


def test_mean_field_networks_at_initialization():
    # f = 1/n sum a phi(w x), all parameters standard normal, learning rate n
    width, generator = 4096, torch.Generator().manual_seed(0)
    expected = NTK(maximal_update(Serial(Dense(math.sqrt(2)), RELU, Dense()), (2,)))(ROWS)
    found = torch.zeros(2, 2, dtype=torch.float64)
    for _ in range(40):
        w, a = (torch.randn(width, k, generator=generator, dtype=torch.float64) for k in (2, 1))
        h = torch.tensor(ROWS) @ w.T
        slopes = (h > 0).double() * a.T
        found += (h.relu() @ h.relu().T + (slopes @ slopes.T) * torch.tensor(ROWS @ ROWS.T)) / width
    np.testing.assert_allclose(found / 40, expected, rtol=0.02)  # 4 / sqrt(40 * 4096)


def test_maximal_update_is_the_kernel_of_the_standard_parametrization():
    tree = maximal_update(NETWORK, (2,), 30, biases=True)
    standard = standard_parametrization(NETWORK, (2,), 30, biases=True)
    assert tree == AtInitialization(*standard.layers)
    assert tree != standard
    np.testing.assert_array_equal(NTK(tree)(ROWS), NTK(standard)(ROWS))


def test_outputs_of_maximal_update_networks_vanish_and_those_of_others_do_not():
    def spread(width: int, rates: Rates) -> float:
        x = torch.tensor(ROWS)
        found = [drawn(width, s, rates, bias=0.0)(x).detach() for s in range(40)]
        return torch.cat(found).std().item()

    narrow, wide = (spread(n, maximal_update_rates(n, 32)) for n in (32, 512))
    assert wide < narrow / 2.5  # a quarter in the limit
    assert spread(512, Rates()) > narrow / 2


def change_of_kernel(width: int, rates: Rates, learning_rate: float) -> float:
    """Relative change of the tangent kernel while targets 1 and -1 are learned."""
    network, x = drawn(width, 0, rates), torch.tensor(ROWS)
    before, y = tangent_kernel(network, rates), torch.tensor([[1.0], [-1.0]], dtype=torch.float64)
    parameters = dict(network.named_parameters())
    for _ in range(60):
        loss = 0.5 * ((network(x) - y) ** 2).sum()
        gradients = torch.autograd.grad(loss, list(parameters.values()))
        with torch.no_grad():
            for (name, p), gradient in zip(parameters.items(), gradients, strict=True):
                p -= learning_rate * rates.get(name, 1.0) * gradient
    assert loss < 0.2
    return ((tangent_kernel(network, rates) - before).norm() / before.norm()).item()


def test_the_kernel_moves_with_maximal_update_rates_and_stays_in_the_standard_parametrization():
    maximal = [change_of_kernel(n, maximal_update_rates(n, 1), 0.02) for n in (64, 512)]
    assert maximal == pytest.approx([2.4, 2.4], abs=0.4)
    narrow, wide = (change_of_kernel(n, Rates(), 0.2 / n) for n in (64, 512))
    assert wide < narrow / 2 < 0.1


MARKED = maximal_update(NETWORK, (2,), 30)
ESTIMATORS = [
    NTKRegressor, NTKClassifier, NTKRegressorCV, NTKClassifierCV, NNGPRegressor, NNGPClassifier,
]  # fmt: skip


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("network", [MARKED, Serial(MARKED)], ids=["root", "inside"])
def test_estimators_refuse_kernels_of_initialization(estimator, network):
    X, y = np.random.default_rng(0).standard_normal((8, 2)), [0, 1] * 4
    with pytest.raises(NetworkError, match=r"at initialization only.*kernels\.NTK"):
        estimator(network).fit(X, y)


def test_marked_networks_have_no_nngp_and_no_finite_network():
    with pytest.raises(NetworkError, match="outputs vanish"):
        NNGP(MARKED)(ROWS)
    with pytest.raises(NetworkError, match="to_module"):
        to_module(MARKED, (2,), 8)
    found = NTKKernel(MARKED)(torch.tensor(ROWS)).to_dense()
    np.testing.assert_allclose(found.detach(), NTK(MARKED)(ROWS), rtol=1e-6)  # float32 parameters


def test_maximal_update_needs_a_readout():
    network = Serial(Dense(), residual(Serial(RELU, Dense())))
    with pytest.raises(NetworkError, match="end the network with Dense"):
        maximal_update(network, (2,))


# Biases that start from zero


def test_biases_from_zero_add_to_the_tangent_kernel_alone():
    X = np.random.default_rng(0).standard_normal((4, 3))
    network = Serial(Dense(1.3, 0.3), RELU, Dense(1.3, 0.3, lr_multiplier=0.5), RELU, Dense())
    zero = biases_from_zero(network)
    free = Serial(Dense(1.3), RELU, Dense(1.3, lr_multiplier=0.5), RELU, Dense())
    np.testing.assert_array_equal(NNGP(zero)(X), NNGP(free)(X))
    expected = [[zero_bias_recursion(x, z) for z in X] for x in X]
    np.testing.assert_allclose(NTK(zero)(X), expected, rtol=1e-7)


def zero_bias_recursion(x: np.ndarray, z: np.ndarray) -> float:
    """Widths to infinity of the network above, with the derivatives by its biases added."""
    covs, theta = [float(a @ b) / 3 for a, b in ((x, z), (x, x), (z, z))], 0.0
    for layer, (w, beta2, rate) in enumerate([(1.3, 0.09, 1.0), (1.3, 0.09, 0.5), (1.0, 0.0, 1.0)]):
        if layer:
            value, slope = slow_loops.relu_moments(*covs)
            own = (slow_loops.relu_moments(v, v, v)[0] for v in covs[1:])
            covs, theta = [value, *own], theta * slope
        theta = w * w * (theta + rate * covs[0]) + rate * beta2
        covs = [w * w * v for v in covs]
    return theta


def test_one_scale_for_all_biases_and_what_is_kept():
    network = Serial(Dense(1.0, 0.3), RELU, Dense(bias_ntk=0.7), RELU, Dense())
    found = [layer.bias_ntk for layer in biases_from_zero(network, 0.1).layers[::2]]
    assert found == pytest.approx([0.01, 0.7, 0.01])
    assert all(layer.b_std == 0 for layer in biases_from_zero(network).layers[::2])


def test_networks_whose_biases_start_from_zero():
    """PyTorch networks in the NTK parametrization, with a factor in front of their biases."""
    beta, width, n_draws = 0.4, 1024, 60
    expected = NTK(biases_from_zero(FullyConnected(1, w_std=1.3, b_std=beta).build(), beta))(ROWS)
    draws = []
    for seed in range(n_draws):
        module = drawn_from_zero(width, seed)
        rates = Rates({"0.weight": 1.3**2 / 2, "2.weight": 1 / width})
        rates |= {"0.bias": beta**2, "2.bias": beta**2}
        draws.append(tangent_kernel(module, rates))
    error = torch.stack(draws).std(0) / math.sqrt(n_draws)
    assert ((torch.stack(draws).mean(0) - torch.tensor(expected)).abs() < 4 * error).all()
    assert (error < 0.02 * torch.tensor(expected).abs()).all()


def drawn_from_zero(width: int, seed: int) -> nn.Sequential:
    generator = torch.Generator().manual_seed(seed)
    layers = [nn.Linear(2, width, dtype=torch.float64), nn.Linear(width, 1, dtype=torch.float64)]
    for layer, w_std in zip(layers, (1.3, 1.0), strict=True):
        std = w_std / math.sqrt(layer.in_features)
        nn.init.normal_(layer.weight, std=std, generator=generator)
        nn.init.zeros_(layer.bias)
    return nn.Sequential(layers[0], nn.ReLU(), layers[1])


@pytest.mark.parametrize(
    "apply",
    [
        lambda network: standard_parametrization(network, (3,), 8),
        lambda network: maximal_update(network, (3,), 8),
        biases_from_zero,
    ],
)
def test_presets_are_refused_with_the_remedy(apply):
    with pytest.raises(TypeError, match=r"a tree of layers.*build\(\) returns"):
        apply(FullyConnected(1))


def test_attention_has_no_parametrization():
    tree = Serial(Conv(1), SelfAttention(), GlobalAvgPool(), Dense())
    with pytest.raises(NotImplementedError, match="SelfAttention"):
        standard_parametrization(tree, (1, 3), 8)


def test_a_number_is_no_input_shape():
    with pytest.raises(TypeError, match="input_shape must be"):
        standard_parametrization(Dense(), 72, 8)
