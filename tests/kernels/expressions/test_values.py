"""Expressions against their formulas, applied to whole matrices of the networks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from ntk_sklearn.kernels import (
    NNGP,
    NTK,
    Added,
    Averaged,
    DepthAveraged,
    Mixture,
    Multiplied,
    Normalized,
    _evaluate,
)
from ntk_sklearn.networks import (
    Activation,
    Convolutional,
    Dense,
    Dropout,
    FullyConnected,
    Product,
    Serial,
)

rng = np.random.default_rng(5)
X, Z = rng.normal(size=(9, 8)), rng.normal(size=(4, 8))
X[7], X[8], Z[3] = X[0], -2.0 * X[1], X[2]  # equal and antiparallel rows
IMAGE = (2, 2, 2)
RELU, ERF = FullyConnected(2, b_std=0.3), FullyConnected(1, activation="erf", b_std=0.2)
IMAGES = Convolutional(2, padding="circular")
REVERSED = np.array([np.arange(8), np.arange(8)[::-1]])
BOTH = pytest.mark.parametrize("kind", [NTK, NNGP])


def unit(K, left, right):
    return K / np.sqrt(left[:, None] * right)


def of(kind, network):
    return kind(network, image_shape=IMAGE)


def normalized(kind, network, X, Z):
    k = of(kind, network)
    return unit(k(X, Z), k.diag(X), k.diag(Z))


def product(kind, X, Z):
    K1, K2 = (of(NNGP, n)(X, Z) for n in (RELU, IMAGES))
    if kind is NNGP:
        return K1 * K2
    T1, T2 = (of(NTK, n)(X, Z) for n in (RELU, IMAGES))
    return T1 * K2 + K1 * T2 + K1 * K2


def normalized_average(kind, X, Z):
    k = of(kind, RELU)

    def mean(A, B):
        return 0.5 * (k(A, B) + k(A[:, ::-1].copy(), B))

    return unit(mean(X, Z), np.diag(mean(X, X.copy())), np.diag(mean(Z, Z.copy())))


CASES = {
    "normalized": (Normalized(RELU), lambda kind, X, Z: normalized(kind, RELU, X, Z)),
    "normalized images": (Normalized(IMAGES), lambda kind, X, Z: normalized(kind, IMAGES, X, Z)),
    "added": (
        Added([RELU, ERF, IMAGES], weights=[1.0, 0.5, 2.0]),
        lambda kind, X, Z: (
            of(kind, RELU)(X, Z) + 0.5 * of(kind, ERF)(X, Z) + 2.0 * of(kind, IMAGES)(X, Z)
        ),
    ),
    "mixture": (
        Mixture([RELU, ERF]),
        lambda kind, X, Z: 0.5 * (of(kind, RELU)(X, Z) + of(kind, ERF)(X, Z)),
    ),
    "multiplied": (Multiplied([RELU, IMAGES]), product),
    "depths": (
        DepthAveraged(RELU, depths=(1, 3), weights=(1, 3)),
        lambda kind, X, Z: sum(
            w * of(kind, FullyConnected(d, b_std=0.3))(X, Z) for d, w in ((1, 0.25), (3, 0.75))
        ),
    ),
    "normalized average": (Normalized(Averaged(RELU, REVERSED)), normalized_average),
    "nested": (
        Added([Normalized(Mixture([RELU, ERF])), Averaged(ERF, REVERSED)]),
        lambda kind, X, Z: (
            normalized(kind, Mixture([RELU, ERF]), X, Z)
            + 0.5 * (of(kind, ERF)(X, Z) + of(kind, ERF)(X[:, ::-1].copy(), Z))
        ),
    ),
}
each = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


@each
@BOTH
def test_cross_block_is_the_formula(case, kind):
    expression, formula = case
    np.testing.assert_allclose(of(kind, expression)(X, Z), formula(kind, X, Z), rtol=1e-12)


@each
@BOTH
def test_gram_is_symmetric_positive_and_has_the_formula_s_entries(case, kind):
    expression, formula = case
    K = of(kind, expression)(X)
    np.testing.assert_array_equal(K, K.T)
    np.testing.assert_allclose(K, formula(kind, X, X.copy()), rtol=1e-11)
    values = np.linalg.eigvalsh(K)
    assert values[0] > -len(K) * np.finfo(float).eps * values[-1]
    np.testing.assert_allclose(of(kind, expression).diag(X), np.diag(K), rtol=1e-14)


@each
def test_float32_is_that_much_less_precise(case):
    exact = of(NTK, case[0])(X, Z)
    found = NTK(case[0], image_shape=IMAGE, dtype="float32")(X, Z)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, exact, atol=2e-6 * np.abs(exact).max())


@each
def test_small_tiles_change_nothing(case, monkeypatch):
    kernel = NTK(case[0], image_shape=IMAGE)
    K, C, d = kernel(X), kernel(X, Z), kernel.diag(X)
    plan = _evaluate.plan_matrix
    monkeypatch.setattr(
        _evaluate, "plan_matrix", lambda *args, **kw: replace(plan(*args, **kw), side=4)
    )
    for found, expected in ((kernel(X), K), (kernel(X, Z), C), (kernel.diag(X), d)):
        np.testing.assert_allclose(found, expected, rtol=1e-12)


@each
def test_reference_evaluator_agrees(case):
    found = NNGP(case[0], image_shape=IMAGE, backend="reference")(X)
    np.testing.assert_allclose(found, of(NNGP, case[0])(X), rtol=1e-9)


def test_threads_change_no_bits():
    kernel, before, found = of(NTK, CASES["nested"][0]), torch.get_num_threads(), []
    rows = np.tile(X, (8, 1)) + np.arange(72.0)[:, None]
    for n in (1, 3):
        torch.set_num_threads(n)
        try:
            found.append((kernel(rows), kernel.diag(rows)))
        finally:
            torch.set_num_threads(before)
    np.testing.assert_array_equal(found[0][0], found[1][0])
    np.testing.assert_array_equal(found[0][1], found[1][1])


def test_ones_on_the_diagonal_are_exact():
    for kind in (NTK, NNGP):
        kernel = of(kind, Normalized(IMAGES))
        np.testing.assert_array_equal(np.diag(kernel(X)), np.ones(len(X)))
        np.testing.assert_array_equal(kernel.diag(X), np.ones(len(X)))


def test_rows_without_variance_are_0():
    X0 = np.vstack([X[:2], np.zeros((1, 8))])
    kernel = NTK(Normalized(FullyConnected(1, b_std=0.0)))
    np.testing.assert_array_equal(kernel(X0)[2], np.zeros(3))
    np.testing.assert_array_equal(kernel.diag(X0), [1.0, 1.0, 0.0])


@BOTH
def test_product_is_that_of_a_product_layer(kind):
    first = Serial(Dense(1.3, 0.2), Activation("relu"), Dense(0.9, 0.1))
    second = Serial(Dense(0.7, 0.4), Activation("erf"), Dense(1.1))
    layers = Serial(Product(first, second), Dense())
    found = kind(Multiplied([first, second]))(X)
    np.testing.assert_allclose(found, kind(layers)(X), rtol=1e-12)


def test_dropout_in_a_part_pins_its_own_variance():
    network = Serial(Dense(1.2), Activation("relu"), Dropout(0.3), Dense())
    k = NNGP(Added([network, network]))
    np.testing.assert_allclose(k(X), 2.0 * NNGP(network)(X), rtol=1e-14)
    np.testing.assert_allclose(k.diag(X), 2.0 * NNGP(network).diag(X), rtol=1e-14)
    # two masks are averaged: half of the variance that dropout adds
    mean, plain = NNGP(Averaged(network, REVERSED)), NNGP(network)
    extra = plain.diag(X) - np.diag(plain(X, X.copy()))
    across = np.diag(plain(X[:, ::-1].copy(), X))
    expected = 0.5 * (np.diag(plain(X, X.copy())) + across + extra)
    np.testing.assert_allclose(mean.diag(X), expected, rtol=1e-13)
    np.testing.assert_allclose(np.diag(mean(X)), expected, rtol=1e-13)


def test_finite_widths_and_infinite_ones_side_by_side():
    narrow = FullyConnected(1, width=16, n_networks=3)
    k = NTK(Added([narrow, ERF], weights=[0.5, 1.0]))
    expected = 0.5 * NTK(narrow)(X, Z) + NTK(ERF)(X, Z)
    np.testing.assert_allclose(k(X, Z), expected, rtol=1e-12)
    assert k.theta.shape == (0,)  # a finite width has no learnable scales


def test_matrix_in_a_file_and_progress(tmp_path):
    kernel, calls = of(NTK, Normalized(IMAGES)), []
    out = np.memmap(tmp_path / "K", dtype=float, mode="w+", shape=(9, 9))
    kernel.matrix(X, out=out, progress=lambda *at: calls.append(at))
    np.testing.assert_array_equal(out, kernel(X))
    assert calls[0][0] == 0
    assert calls[-1][0] == calls[-1][1]


def test_budget_refuses_before_anything_is_allocated():
    with pytest.raises(MemoryError, match="memory_budget"):
        NTK(Normalized(), memory_budget="1KB")(np.ones((1000, 3)))


def test_budget_makes_tiles_smaller():
    rows, expression = rng.normal(size=(60, 8)), Normalized(Averaged(RELU, REVERSED))
    kernel = NTK(expression, backend="reference", memory_budget="300KB")
    assert "tiles of 60 x 60" not in kernel.explain(rows)
    np.testing.assert_allclose(kernel(rows), NTK(expression)(rows), rtol=1e-9)


def test_all_depths_are_computed_in_one_pass():
    text = NTK(DepthAveraged(FullyConnected(), depths=(1, 2, 3))).explain(X)
    assert text.count("ntk of") == 3
    kernel = NTK(DepthAveraged(FullyConnected(), depths=(1, 2, 3))).of_network("ntk")
    (problem,) = kernel.problem(8).problems(*kernel.problem(8).outputs)
    assert len(problem.outputs) == 3


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        (Added([]), "at least one"),
        (Added(RELU), "sequence of networks"),
        (Added(RELU, ERF), r"as in Added\(\[a, b\]\)"),
        (Added(network for network in (RELU, ERF)), "sequence of networks"),
        (Added({RELU.depth: RELU}), "sequence of networks"),
        (Mixture([RELU, FullyConnected(1, width=8)]), r"Added\(networks, weights\)"),
        (Normalized(Mixture([Normalized(FullyConnected(1, width=8))])), "finite width"),
        (Added([RELU], weights=[1.0, 2.0]), "1 positive numbers"),
        (Added([RELU], weights=[0.0]), "1 positive numbers"),
        (Mixture([RELU, ERF], weights=[1.0, -2.0]), "2 positive numbers"),
        (DepthAveraged(Serial(Dense())), "preset with a parameter depth"),
        (DepthAveraged(depths=()), "sequence of integers"),
        (Multiplied([RELU, Normalized()]), "no network"),
        (Normalized("relu"), "network must be None"),
    ],
)
def test_errors_name_what_is_wrong(expression, message):
    with pytest.raises((ValueError, TypeError), match=message):
        NTK(expression)(X)


def test_a_backend_that_does_not_exist_is_told_of_before_anything_else():
    for network in (RELU, Normalized(RELU)):
        with pytest.raises(ValueError, match="backend must be 'auto' or one of"):
            NTK(network, backend="nope").explain(X)
    told = NTK(Normalized(RELU), backend="empirical").explain(X)
    assert "refused: backend='empirical' cannot evaluate" in told


def test_product_of_kernels_that_are_no_networks_has_an_nngp():
    K = NNGP(Multiplied([RELU, Normalized(ERF)]))(X)
    np.testing.assert_allclose(K, NNGP(RELU)(X) * NNGP(Normalized(ERF))(X), rtol=1e-12)
