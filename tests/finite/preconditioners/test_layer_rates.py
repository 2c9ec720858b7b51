"""One learning rate per layer: trees against the preconditioned kernels of finite networks."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ntk_sklearn.finite import (
    layer_learning_rates,
    learning_rates,
    preconditioned_kernel,
    to_module,
)
from ntk_sklearn.finite.tangent import EmpiricalNTK, ModuleFunction
from ntk_sklearn.kernels import NTK
from ntk_sklearn.networks import (
    Activation,
    Conv,
    Dense,
    Flatten,
    FullyConnected,
    SelfAttention,
    Serial,
    residual,
)

TREE = Serial(
    Dense(1.4, 0.3), Activation("relu"), Dense(1.4, 0.2, lr_multiplier=0.5), Activation("erf"),
    Dense(1.0, 0.1),
)  # fmt: skip
RATES = {"layers.0": 0.3, "layers.2": (2.0, 0.7), "layers.4": 5.0}
ROWS = np.random.default_rng(0).standard_normal((4, 3))


def preconditioned(tree, rates, seed, width, rows):
    """K_D (n, n) of one finite network of `tree`, D^-1 with the rate of every layer."""
    module = to_module(tree, rows.shape[1:], width, random_state=seed)
    by_name = {}
    for rate, name in zip(rates.values(), affine_names(module), strict=True):
        weight, bias = rate if isinstance(rate, tuple) else (rate, rate)
        by_name |= {f"{name}.weight": weight, f"{name}.bias": bias}
    function = ModuleFunction(module)
    D = learning_rates(function, {n: r for n, r in by_name.items() if n in function.values})
    found = preconditioned_kernel(function, rows, preconditioner=D)
    return found[:, 0, :, 0]


def affine_names(module):
    return [name.removesuffix(".weight") for name, _ in module.named_parameters()
            if name.endswith("weight")]  # fmt: skip


@pytest.mark.parametrize("seed", [0, 1])
def test_networks_of_the_tree_have_the_preconditioned_kernel_exactly(seed):
    """Their parameters differ by a factor per layer, and their functions do not."""
    tree = layer_learning_rates(TREE, RATES)
    module = to_module(tree, (3,), 20, random_state=seed)
    x = torch.from_numpy(ROWS)
    plain = to_module(TREE, (3,), 20, random_state=seed)
    torch.testing.assert_close(module(x), plain(x), rtol=1e-12, atol=1e-12)
    expected = EmpiricalNTK(module).blocks(x)[:, 0, :, 0].numpy()
    np.testing.assert_allclose(preconditioned(TREE, RATES, seed, 20, ROWS), expected, rtol=1e-10)


def test_preconditioned_kernels_converge_to_that_of_the_tree():
    limit = NTK(layer_learning_rates(TREE, RATES))(ROWS)
    n_draws, errors = 30, []
    for width in (16, 256):
        draws = np.array([preconditioned(TREE, RATES, s, width, ROWS) for s in range(n_draws)])
        errors.append(np.sqrt(((draws - limit) ** 2).mean((1, 2)).mean()) / np.linalg.norm(limit))
    assert 2.8 < errors[0] / errors[1] < 5.6  # 4 in the limit
    spread = draws.std(0) / np.sqrt(n_draws)
    assert (np.abs(draws.mean(0) - limit) < 4 * spread).all()
    assert np.abs(NTK(TREE)(ROWS) / limit - 1).min() > 0.1


def test_convolutions_and_branches():
    tree = Serial(Conv(3, 1.3), residual(Serial(Activation("relu"), Conv(3, 1.2, 0.4))),
                  Flatten(), Dense())  # fmt: skip
    rates = {"layers.0": 0.2, "layers.1.branches.0.layers.1": (3.0, 0.5), "layers.3": 2.0}
    rows = np.random.default_rng(1).standard_normal((3, 2, 5))
    module = to_module(layer_learning_rates(tree, rates), (2, 5), 6, random_state=3)
    found = preconditioned(tree, rates, 3, 6, rows)
    expected = EmpiricalNTK(module).blocks(rows)[:, 0, :, 0].numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_rates_of_one_and_zero():
    ones = layer_learning_rates(TREE, dict.fromkeys(RATES, 1.0))
    np.testing.assert_array_equal(NTK(ones)(ROWS), NTK(TREE)(ROWS))
    readout = layer_learning_rates(TREE, {"layers.0": 0.0, "layers.2": 0.0})
    first, middle = Dense(1.4, 0.3, lr_multiplier=0.0), Dense(1.4, 0.2, lr_multiplier=0.0)
    frozen = Serial(first, Activation("relu"), middle, Activation("erf"), Dense(1.0, 0.1))
    np.testing.assert_array_equal(NTK(readout)(ROWS), NTK(frozen)(ROWS))


def test_one_layer_is_the_whole_network():
    assert layer_learning_rates(Dense(1.0, 0.5), {"": (2.0, 3.0)}) == Dense(
        1.0, 0.5, lr_multiplier=2.0, bias_ntk=0.75
    )


@pytest.mark.parametrize("network, rates, error, message", [
    (TREE, {"layers.1": 2.0}, ValueError, r"'layers.1'.*'layers.0', 'layers.2', 'layers.4'"),
    (TREE, {"layers.0": -1.0}, ValueError, "finite and >= 0"),
    (TREE, {"layers.0": (1.0, float("inf"))}, ValueError, "finite and >= 0"),
    (FullyConnected(1), {}, TypeError, r"build\(\)"),
    (Serial(Conv(1), SelfAttention(), Flatten(), Dense()), {}, NotImplementedError, "Attention"),
])  # fmt: skip
def test_bad_rates_are_refused(network, rates, error, message):
    with pytest.raises(error, match=message):
        layer_learning_rates(network, rates)
