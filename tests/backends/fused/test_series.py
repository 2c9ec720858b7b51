"""Activations without closed form in the engine: sums of Hermite coefficients."""

from __future__ import annotations

import re
from math import factorial, sqrt

import numpy as np
import pytest
import torch
from fused_cases import RELU, SQUARE, conv, near_rows, pictures, rows
from fused_kernels import FUSED, SINGLE, error, matrix, problem_of

from ntk_sklearn.architecture import (
    Activation,
    Concat,
    Dense,
    GlobalAvgPool,
    LayerNorm,
    Serial,
    residual,
)
from ntk_sklearn.backends.fused.series import SHARE, series_table
from ntk_sklearn.duals import Elementwise, Monomial, Polynomial, Softplus, Tanh


def dense(function, depth=2, w_std=1.3, b_std=0.3):
    return Serial(*[Dense(w_std, b_std), Activation(function)] * depth, Dense())


NETWORKS = {
    "tanh": dense("tanh", 3),
    "softplus": dense("softplus"),
    "silu": dense("silu"),
    "mish": dense("mish", 1),
    "sigmoid": dense("sigmoid", 1),
    "callable": dense(Elementwise(torch.tanh), 1),
    "polynomial": dense(Polynomial((0.1, 0.5, -0.3)), w_std=0.9),
    "monomial": dense(Monomial(3), 1, w_std=0.6),
    "mixed": Serial(
        Dense(1.2, 0.1), residual(Serial(RELU, Dense(1.1, 0.2))), Activation("tanh"), Dense(),
        Activation("silu"), Dense(0.8),
    ),
    "concat": Serial(
        Dense(1.2, 0.1), Concat(RELU, Activation("tanh"), shares=(1, 2)), Dense(),
        Activation("tanh"), Dense(),
    ),
    "normalized": Serial(Dense(), LayerNorm(), Activation("tanh"), Dense()),
}  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
def test_against_the_reference(name):
    problem = problem_of(NETWORKS[name], (5,))
    assert FUSED.why_not(problem) == []
    # reached: 3e-10; both have errors of at most 1e-9
    assert error(problem, rows(5)) < 2e-9
    assert error(problem, near_rows(5)) < 2e-9
    assert error(problem, rows(5)[:4], rows(5, 1)) < 2e-9


@pytest.mark.parametrize("name", ["tanh", "polynomial"])
def test_single_precision(name):
    assert error(problem_of(NETWORKS[name], (5,), SINGLE), rows(5)) < 5e-6


def test_inputs_of_large_variance_go_through_the_recursion():
    X = rows(4)
    X[6:] *= np.array([10.0, 200.0, 1e-4])[:, np.newaxis]
    problem = problem_of(NETWORKS["tanh"], (4,))
    assert error(problem, X) < 2e-9
    assert error(problem, X[:7], X[5:]) < 2e-9


def test_behind_a_head():
    network = Serial(conv(), RELU, GlobalAvgPool(), Dense(1.2, 0.1), Activation("tanh"), Dense())
    X = pictures(SQUARE)
    X[7] *= 100.0
    assert error(problem_of(network, SQUARE), X) < 2e-9


def test_what_is_not_a_number_stays_so():
    X = rows(4)
    X[2] = np.nan
    found = matrix(FUSED, problem_of(NETWORKS["tanh"], (4,)), X)
    assert np.isnan(found[:, 2]).all()
    assert np.isfinite(found[:, 0, 1]).all()


def test_kinks_behind_series_are_refused():
    network = Serial(Dense(), Activation("tanh"), Dense(), RELU, Dense())
    (reason,) = FUSED.why_not(problem_of(network, (4,)))
    assert re.search(r"the kink of ABReLU.* behind the activation Tanh\(\)", reason)


def test_no_more_terms_than_needed_and_no_fewer():
    v = torch.tensor([0.0, 0.01, 1.0, 4.0, 100.0], dtype=torch.float64)
    for dual in (Tanh(), Softplus()):
        _, need, *columns = series_table(dual, v)
        assert (need.diff() >= 0).all()
        assert need[0] == 1
        values = torch.stack(columns[::2], -1)
        for k in range(4):
            kept = values[k, : int(need[k])].square().sum()
            assert abs(kept - dual.variance(v)[k]) <= 1.1 * SHARE * kept
    assert need[4] <= 257


@pytest.mark.parametrize("degree", [1, 4])
def test_polynomials_have_so_many_terms(degree):
    v = torch.tensor([0.0, 1.0, 2.0], dtype=torch.float64)
    reciprocal, need, *columns = series_table(Monomial(degree), v)
    assert len(columns) == 2 * (degree + 1)
    assert (need <= degree + 1).all()
    assert reciprocal.tolist() == pytest.approx([0.0, 1.0, 0.5**0.5])
    # the leading coefficient of s^n is sqrt(n!)
    leading = [0.0, *(sqrt(factorial(degree)) * x ** (degree / 2) for x in (1.0, 2.0))]
    assert columns[2 * degree].tolist() == pytest.approx(leading)
