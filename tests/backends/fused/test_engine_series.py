"""Activations without closed form in images: sums of Hermite coefficients at every position."""

from __future__ import annotations

import re
import threading

import numpy as np
import pytest
import torch
from fused_cases import CIRCULAR, LINE, ODD, RELU, SQUARE, conv, flat, pictures, pooled, skip
from fused_kernels import (
    FUSED,
    REFERENCE,
    SINGLE,
    diagonal,
    empty,
    error,
    matrix,
    prepared,
    problem_of,
    single_errors,
)

from ntk_sklearn.architecture import (
    Activation,
    AvgPool,
    Concat,
    ConvLocal,
    ConvTranspose,
    Dense,
    Dropout,
    GlobalAvgPool,
    LayerNorm,
    Serial,
)
from ntk_sklearn.backends.fused import interpolated
from ntk_sklearn.backends.fused.interpolated import FRONT, TERMS, at_positions, spectrum
from ntk_sklearn.duals import (
    Elementwise,
    GaussianPair,
    Mish,
    Monomial,
    Polynomial,
    Sigmoid,
    SiLU,
    Softplus,
    Tanh,
)

EIGHT = (3, 8, 8)


def act(function, *args, w_std=1.2, **options) -> Serial:
    return Serial(conv(*args, w_std=w_std, **options), Activation(function))


def runge(x):
    return 1.0 / (1.0 + 4.0 * x * x)


NETWORKS = {
    "tanh": (pooled(act("tanh"), act("tanh")), EIGHT),
    "tanh, flat": (flat(act("tanh"), act("tanh"), act("tanh")), ODD),
    "tanh, strides": (pooled(act("tanh", strides=2), act("tanh", 2, strides=(1, 2))), ODD),
    "tanh, circular": (pooled(act("tanh", **CIRCULAR), act("tanh", strides=2, **CIRCULAR)), ODD),
    "softplus": (flat(act("softplus"), act("softplus")), ODD),
    "silu, pools": (pooled(act("silu"), AvgPool(2), act("silu")), SQUARE),
    "sigmoid, line": (pooled(act("sigmoid"), act("sigmoid")), LINE),
    "mish": (pooled(act("mish", padding="valid")), ODD),
    "callable": (pooled(act(Elementwise(torch.cos)), act(Elementwise(runge))), SQUARE),
    "polynomials": (pooled(act(Polynomial((0.1, 0.5, -0.3))), act(Monomial(3), w_std=0.7)), ODD),
    "even": (pooled(act(Monomial(2), w_std=0.7)), SQUARE),
    "constant": (pooled(act(Polynomial((0.7,))), act("tanh")), SQUARE),
    "zero variance": (pooled(Serial(conv(3, 1.2, 0.0), Activation("tanh")), act("silu")), SQUARE),
    "residual": (
        pooled(conv(), skip(conv()), conv(), Concat(act("tanh"), act("erf"), shares=(1, 2))), ODD,
    ),
    "behind kinks": (pooled(conv(), RELU, act("tanh"), act("gelu")), SQUARE),
    "normalized": (pooled(conv(), LayerNorm(), Activation("tanh"), Dropout(0.3), conv()), SQUARE),
    "beside a tail": (
        Serial(act("tanh"), GlobalAvgPool(), Dense(1.2, 0.1), Activation("tanh"), Dense()), SQUARE,
    ),
    "other layers": (
        pooled(act("tanh"), ConvTranspose(2), Activation("tanh"), ConvLocal(2)), (2, 4, 3),
    ),
}  # fmt: skip


QUICK = ("tanh", "tanh, flat", "silu, pools", "polynomials", "zero variance", "other layers")


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n in QUICK else pytest.mark.slow) for n in NETWORKS]
)
def test_against_the_reference(name):
    network, shape = NETWORKS[name]
    few = 4 if shape == EIGHT else 9
    problem, X, Z = problem_of(network, shape), pictures(shape)[-few:], pictures(shape, 1)[-3:]
    Z[0] = X[1]
    assert FUSED.why_not(problem) == []
    # reached: 3e-9
    assert error(problem, X) < 1e-8
    assert error(problem, X[:3], Z) < 1e-8
    found, expected = (diagonal(evaluator, problem, X) for evaluator in (FUSED, REFERENCE))
    np.testing.assert_allclose(found, expected, rtol=1e-8)


def test_polynomials_are_exact():
    assert error(problem_of(NETWORKS["polynomials"][0], ODD), pictures(ODD)) < 1e-13


@pytest.mark.parametrize("name", ["silu, pools", "polynomials", "normalized"])
def test_single_precision(name):
    network, shape = NETWORKS[name]
    found, bound = single_errors(network, [pictures(shape, seed) for seed in range(2)])
    assert (found <= bound).all(), found / bound


def bright() -> np.ndarray:
    """Images of which some need more terms than there are."""
    X = pictures(SQUARE)[[0, 1, 4, 5, 7, 8]]
    X[[1, 4]] *= np.array([20.0, 9.0])[:, None, None, None]
    return X


@pytest.mark.parametrize("masked", [False, True])
def test_images_of_large_variance_go_through_the_recursion(masked):
    layers = (act("tanh"), Dropout(0.3)) if masked else (act("tanh"), AvgPool(2))
    problem, X = problem_of(pooled(*layers, act("tanh")), SQUARE), bright()
    assert error(problem, X) < 1e-8
    assert error(problem, X[:3], X[4:]) < 1e-8
    found, expected = (diagonal(evaluator, problem, X) for evaluator in (FUSED, REFERENCE))
    np.testing.assert_allclose(found, expected, rtol=1e-8)


def test_what_is_not_a_number_stays_so():
    X = bright()
    X[2, 0, 1, 1] = np.nan
    found = matrix(FUSED, problem_of(pooled(act("tanh"), act("tanh")), SQUARE), X)
    assert np.isnan(found[:, 2]).all()
    assert np.isnan(found[:, :, 2]).all()
    assert np.isfinite(np.delete(np.delete(found, 2, 1), 2, 2)).all()


@pytest.mark.parametrize(
    "dtype", [torch.float64, pytest.param(SINGLE, marks=pytest.mark.slow)], ids=["double", "single"]
)
def test_tiles_in_threads_are_blocks(dtype):
    """Up to rounding: neighbours in a vector may need more terms, but do not get them."""
    problem = problem_of(NETWORKS["silu, pools"][0], SQUARE, dtype)
    X = np.concatenate([pictures(SQUARE, seed) * (0.4 + 0.2 * seed) for seed in range(4)])
    whole, x = matrix(FUSED, problem, X, X.copy()), prepared(FUSED, problem, X)
    places = [(slice(0, 15), slice(5, 22)), (slice(3, 35), slice(17, 33)), (slice(9, 10),) * 2]
    found = [empty(problem, *(s.stop - s.start for s in place)) for place in places]
    threads = [
        threading.Thread(target=FUSED.tile, args=(problem, x, r, x, c, False, out))
        for (r, c), out in zip(places, found, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for (r, c), values in zip(places, found, strict=True):
        np.testing.assert_allclose(
            values, whole[:, r, c], rtol=1e-13 if dtype is not SINGLE else 2e-6
        )


REFUSED = {
    "kinked": (pooled(act("elu")), "activation ELU.* whose kinks need more than a series"),
    "kink behind": (pooled(act("tanh"), AvgPool(2), conv(), RELU),
                    r"the kink of ABReLU.* behind the activation Tanh\(\)"),
    "kink behind a sum": (pooled(conv(), skip(act("silu")), Activation("sign")),
                          r"the kink of Sign.* behind the activation SiLU\(\)"),
    "kink behind a head": (
        Serial(act("tanh"), GlobalAvgPool(), Dense(), Activation("relu"), Dense()),
        r"the kink of ABReLU.* behind the activation Tanh\(\)"),
    "degree": (pooled(act(Monomial(TERMS + 1))), "of a degree above"),
}  # fmt: skip


@pytest.mark.parametrize("network, words", REFUSED.values(), ids=list(REFUSED))
def test_refused_by_name(network, words):
    (reason,) = FUSED.why_not(problem_of(network, SQUARE))
    assert re.search(words, reason)


DUALS = [Tanh(), Softplus(), SiLU(), Mish(), Sigmoid(), Polynomial((1, 2, 3))]


@pytest.mark.parametrize("dual", DUALS, ids=repr)
def test_coefficients_sum_up_to_the_expectations(dual):
    v = torch.tensor([0.0, 1e-9, 3e-4, 0.02, 0.5, 0.97, 1.0, 1.6], dtype=torch.float64)
    table, behind = at_positions(dual, v)
    kept, n = spectrum(dual), table.shape[1] - FRONT
    torch.testing.assert_close(behind, dual.variance(v), rtol=1e-10, atol=1e-30)
    cosine = torch.tensor([-1.0, -0.4, 0.0, 0.7, 0.999]).double()[:, None, None]
    h = table[:, None, FRONT:] * table[None, :, FRONT:] * cosine[..., None] ** kept.orders[:n]
    root, scale = v.sqrt(), (behind[:, None] * behind).sqrt()
    sizes = root[:, None] * root
    pair = GaussianPair(cosine * sizes, v[:, None], v)
    value, slope = dual.covariance(pair)
    found = table[:, None, 2] * table[:, 2] + sizes * cosine * h.sum(-1)
    own = GaussianPair(v, v, v)
    slopes = dual.covariance(own)[1]
    assert ((found - value).abs() <= 3e-9 * scale + 1e-30).all()
    found = (h * (kept.orders[:n] + 1.0)).sum(-1)
    assert ((found - slope).abs() <= 3e-9 * (slopes[:, None] * slopes).sqrt()).all()


def test_what_is_not_resolved_is_computed_without_interpolation(monkeypatch):
    dual, v = Elementwise(runge), torch.linspace(0.1, 0.2, 7, dtype=torch.float64)
    expected, behind = at_positions(dual, v)
    monkeypatch.setattr(interpolated, "_EXACT", 0.0)
    interpolated._panel.cache_clear()
    found, others = at_positions(dual, v)
    interpolated._panel.cache_clear()
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-11)
    torch.testing.assert_close(others, behind, rtol=1e-11, atol=0)
    assert (found != expected).any()
