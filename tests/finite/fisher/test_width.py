"""Eigenvalues of the Fisher matrix of wide networks, in two parametrizations."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from ntk_sklearn.finite import FisherOperator, SquaredLoss, to_module
from ntk_sklearn.kernels import NTK
from ntk_sklearn.networks import Activation, Dense, Serial, standard_parametrization

TREE = Serial(
    Dense(1.5, 0.2), Activation("erf"), Dense(1.5, 0.2), Activation("erf"), Dense(1.5, 0.2)
)
ROWS, DRAWS, SIGMA = np.random.default_rng(0).standard_normal((10, 5)), 12, 0.5


class Erf(nn.Module):
    def forward(self, x):
        return torch.erf(x)


def ntk_parametrization(width, seed):
    return to_module(TREE, (5,), width, random_state=seed)


def standard(width, seed):
    """The same random functions in torch's layers, with the weights at their final scale."""
    torch.manual_seed(seed)
    net = nn.Sequential(
        nn.Linear(5, width), Erf(), nn.Linear(width, width), Erf(), nn.Linear(width, 1)
    ).double()
    for layer in net[::2]:
        nn.init.normal_(layer.weight, std=1.5 / layer.in_features**0.5)
        nn.init.normal_(layer.bias, std=0.2)
    return net


CASES = {
    "ntk": (ntk_parametrization, lambda width: NTK(TREE)(ROWS)),
    "standard": (standard, lambda width: NTK(standard_parametrization(TREE, (5,), width))(ROWS)),
}


@pytest.mark.parametrize("width", [64, 256])
@pytest.mark.parametrize("name", CASES)
def test_largest_and_mean_eigenvalue_are_those_of_the_limit(name, width):
    module, kernel = CASES[name]
    drawn = [FisherOperator(module(width, s), ROWS, SquaredLoss(SIGMA)) for s in range(DRAWS)]
    found = np.array([[np.linalg.eigvalsh(F.dual.dense())[-1], F.trace()] for F in drawn])
    theta = kernel(width) / (len(ROWS) * SIGMA**2)
    ratios = found / [np.linalg.eigvalsh(theta)[-1], np.trace(theta)]
    allowed = 4 * ratios.std(0, ddof=1) / DRAWS**0.5 + 4 / width
    assert (np.abs(ratios.mean(0) - 1) < allowed).all()
    assert (ratios.std(0, ddof=1) < 4 / width**0.5).all()
    # the mean over all eigenvalues, most of which are zeros
    n_parameters = 5 * width + width + width**2 + width + width + 1
    assert {F.shape[0] for F in drawn} == {n_parameters}


def test_the_limit_grows_with_the_width_in_the_standard_parametrization():
    kernel = CASES["standard"][1]
    widths = 2.0 ** np.arange(12, 15)
    largest = [np.linalg.eigvalsh(kernel(int(width)))[-1] for width in widths]
    np.testing.assert_allclose(np.diff(np.log2(largest)), 1, atol=1e-2)
    mean = [np.trace(kernel(int(width))) / width**2 for width in widths]
    np.testing.assert_allclose(np.diff(np.log2(mean)), -1, atol=1e-2)
