"""The catapult against the exact recursion of a linear network, and in wider ones."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from ntk_sklearn.finite import to_module
from ntk_sklearn.networks import Dense, FullyConnected, Serial
from ntk_sklearn.studies import catapult

RNG = np.random.default_rng(0)
X = RNG.standard_normal((6, 4))
y = np.sin(X[:, 0])
LINEAR = Serial(Dense(), Dense())


def recursion(f, lam, rate, width, n_steps):
    """Outputs and kernels of f = u v / sqrt(width) for the target 0.

    Lewkowycz et al. 2020, equations 4 and 5, exact at any width.
    """
    path = [(f, lam)]
    for _ in range(n_steps):
        new = f * (1 - rate * lam + rate**2 * f**2 / width)
        lam += rate * f**2 / width * (rate * lam - 4)
        f = new
        path.append((f, lam))
    return np.array(path).T


def test_a_linear_network_follows_the_exact_recursion():
    width, n_steps, multiples = 50, 40, (0.4, 0.9, 1.2, 1.7)
    module = to_module(LINEAR, (1,), width, 1, 0)
    found = catapult(module, [[1.0]], [0.0], multiples, n_steps)
    f = float(module(torch.ones(1, 1).double()).detach())
    u, v = (p.detach() for p in module.parameters())
    lam = float(u.square().sum() + v.square().sum()) / width
    assert found.start_eigenvalue == pytest.approx(lam, rel=1e-12)
    np.testing.assert_allclose(found.learning_rates, 2 * np.array(multiples) / lam)
    for k, rate in enumerate(found.learning_rates):
        outputs, kernels = recursion(f, lam, rate, width, n_steps)
        found_outputs = np.sqrt(2 * found.losses[k])
        np.testing.assert_allclose(found_outputs, np.abs(outputs), rtol=1e-9, atol=1e-13)
        assert found.end_eigenvalues[k] == pytest.approx(kernels[-1], rel=1e-10)
    assert found.regimes == ("lazy", "lazy", "catapult", "catapult")


def test_the_three_regimes_of_a_linear_network():
    """Of several rows: boundaries at 2 / lambda and about 4 / lambda."""
    module = to_module(LINEAR, (4,), 256, 1, 0)
    found = catapult(module, X, X @ [0.3, -0.2, 0.1, 0.0], (0.5, 0.9, 1.3, 1.6, 1.9, 2.2, 3.0), 150)
    assert found.regimes == ("lazy",) * 2 + ("catapult",) * 3 + ("divergent",) * 2
    before = found.multiples * 2
    np.testing.assert_allclose(found.end_sharpness[:2], before[:2], rtol=0.05)
    assert (found.end_sharpness[2:5] < 2).all()
    assert (found.losses[2:5].max(axis=1) > 3 * found.losses[2:5, 0]).all()
    assert (found.losses[:5, -1] < 1e-3 * found.losses[:5, 0]).all()
    assert (np.diff(found.losses[0]) < 0).all()
    assert np.isnan(found.end_sharpness[5:]).all()
    assert np.isinf(found.losses[5:, -1]).all()


@pytest.mark.parametrize("activation", ["relu", "erf"])
def test_kernels_of_nonlinear_networks_shrink_until_steps_are_stable(activation):
    network = FullyConnected(1, activation=activation, b_std=0.0)
    module = to_module(network.build(), (4,), 256, 1, 0)
    found = catapult(module, X, y, (0.9, 1.3, 1.6, 8.0), 150)
    assert found.regimes == ("lazy", "catapult", "catapult", "divergent")
    assert (found.end_sharpness[1:3] < 2).all()
    assert (found.end_eigenvalues[1:3] < 0.8 * found.start_eigenvalue).all()
    assert (found.losses[:3, -1] < 1e-3 * found.losses[:3, 0]).all()


def test_deep_relu_networks_converge_beyond_four():
    module = to_module(FullyConnected(2, b_std=0.0).build(), (4,), 128, 1, 0)
    found = catapult(module, X, y, (3.0,), 100)  # learning rate times eigenvalue: 6
    assert found.regimes == ("catapult",)
    assert found.end_sharpness[0] < 2


def test_a_model_that_is_linear_in_its_parameters_has_no_catapult():
    module = nn.Linear(4, 2, bias=False).double()
    found = catapult(module, X, np.stack([y, y**2], axis=1), (0.5, 0.95, 1.05), 200)
    assert found.start_eigenvalue == pytest.approx(np.linalg.eigvalsh(X.T @ X)[-1])
    assert found.regimes == ("lazy", "lazy", "divergent")
    np.testing.assert_allclose(found.end_eigenvalues[:2], found.start_eigenvalue)


@pytest.mark.parametrize(
    "given, told",
    [
        ({"multiples": (0.5, -1.0)}, "multiples must be positive"),
        ({"multiples": 0.5}, "multiples must be positive"),
        ({"multiples": ()}, "multiples must be positive"),
        ({"y": np.nan * y}, "y must be finite numbers"),
        ({"X": 0 * X, "parameters": ["weight"]}, "tangent kernel is 0"),
        ({"n_steps": 0}, "n_steps must be a positive integer"),
        ({"y": y[:2]}, "y must have the shape"),
    ],
)
def test_what_cannot_be_trained_is_refused(given, told):
    module = nn.Linear(4, 1).double()
    with pytest.raises(ValueError, match=told):
        catapult(**{"module": module, "X": X, "y": y, **given})
