"""The critical weight scale: closed forms, published points, and presets that ask for it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import brentq
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from ntk_sklearn import NNGPRegressor, NTKRegressor
from ntk_sklearn.duals import RBF, Erf, LeakyReLU
from ntk_sklearn.kernels import NNGP, NTK, NTKKernel
from ntk_sklearn.networks import (
    Conv,
    Convolutional,
    Dense,
    FullyConnected,
    Myrtle,
    ResNet,
    critical_w_std,
    phase,
)

SQRT2 = math.sqrt(2.0)


def of_sine(b_std: float) -> float:
    """With T, T' = (1 -+ exp(-2 q)) / 2: (q - b^2) coth q = 1."""
    q = brentq(lambda q: (q - b_std**2) / math.tanh(q) - 1.0, b_std**2 + 1e-6, 50.0, xtol=1e-14)
    return math.sqrt((q - b_std**2) / ((1.0 - math.exp(-2.0 * q)) / 2.0))


def of_cosine(b_std: float) -> float:
    """With T and T' exchanged: (q - b^2) tanh q = 1."""
    q = brentq(lambda q: (q - b_std**2) * math.tanh(q) - 1.0, b_std**2, 50.0, xtol=1e-14)
    return math.sqrt((q - b_std**2) / ((1.0 + math.exp(-2.0 * q)) / 2.0))


CLOSED_FORMS = [
    ("relu", 0.0, SQRT2),
    (LeakyReLU(0.5), 0.0, math.sqrt(2.0 / 1.25)),
    ("abs", 0.0, 1.0),
    ("identity", 0.0, 1.0),
    ("erf", 0.0, math.sqrt(math.pi) / 2.0),  # 1 / phi'(0), where q = 0
    (Erf(2.0, 0.3), 0.0, math.sqrt(math.pi) / 1.2),
    ("sin", 0.0, 1.0),
    ("sin", 0.3, of_sine(0.3)),
    ("sin", 1.0, of_sine(1.0)),
    ("cos", 0.0, of_cosine(0.0)),
    ("cos", 0.7, of_cosine(0.7)),
    (RBF(2.0), 0.4, 0.5),  # T = 1, T' = 2 gamma at angle 0
    ("gaussian", 0.0, 1.0 + 1.0 / SQRT2),  # T = (1 + 4 q)^-1/2, T' = 4 q (1 + 4 q)^-3/2
]


@pytest.mark.parametrize("activation, b_std, expected", CLOSED_FORMS)
def test_closed_forms(activation, b_std, expected):
    assert critical_w_std(activation, b_std) == pytest.approx(expected, rel=1e-12)


def test_published_point_of_erf():
    # neural-tangents' phase diagram has (1.76, 0.18) for (w^2, b^2), read off a grid
    assert critical_w_std("erf", math.sqrt(0.18)) ** 2 == pytest.approx(1.76, abs=0.013)
    assert phase("erf", math.sqrt(1.76), math.sqrt(0.18)).chi_1 == pytest.approx(1.0, abs=0.004)


@pytest.mark.parametrize("activation", ["erf", "sin", "cos", "gaussian"])
@pytest.mark.parametrize("b_std", [0.05, 1.0, 3.0])
def test_phases_change_at_the_critical_scale(activation, b_std):
    w_std = critical_w_std(activation, b_std)
    names = [phase(activation, factor * w_std, b_std).name for factor in (0.999, 1.0, 1.001)]
    assert names == ["ordered", "critical", "chaotic"]


@pytest.mark.parametrize(
    "activation, b_std, told",
    [
        ("relu", 0.1, "use b_std=0"),
        ("identity", 1.0, "use b_std=0"),
        ("gelu", 0.2, "at w_std=1.5.* repelling"),
        ("monomial", 0.0, "no critical w_std"),
        ("exp", 0.0, "repelling"),
        ("sign", 0.0, "step"),
        ("erf", -1.0, "b_std must be finite and not negative"),
    ],
)
def test_where_there_is_none(activation, b_std, told):
    with pytest.raises(ValueError, match=told):
        critical_w_std(activation, b_std)


# Presets


def test_presets_build_the_critical_network():
    w_std = critical_w_std("erf", 0.3)
    built = FullyConnected(2, activation="erf", w_std="critical", b_std=0.3).build()
    assert [layer for layer in built.layers if isinstance(layer, Dense)] == [
        Dense(w_std, 0.3), Dense(w_std, 0.3), Dense()
    ]  # fmt: skip
    preset = Convolutional(1, padding="circular", w_std="critical", b_std=0.0)
    assert preset.build().layers[0] == Conv(3, SQRT2, padding="circular")


CIRCULAR = 'use padding="circular"'
REFUSED = [
    (FullyConnected(w_std="critical"), "b_std=0.5.*use b_std=0"),
    (Convolutional(w_std="critical", b_std=0.0), CIRCULAR),
    (Convolutional(w_std="critical", b_std=0.0, padding="valid"), CIRCULAR),
    (Convolutional(w_std="critical", b_std=0.0, padding=(1, 1)), CIRCULAR),
    (Convolutional(w_std="critical", padding="circular"), "b_std=0.1.*use b_std=0"),
    (Myrtle(w_std="critical"), "border.*pooling"),
    (ResNet(w_std="critical"), "branch_scale"),
    (FullyConnected(w_std="chaos", b_std=0.0), "number or 'critical', got 'chaos'"),
]


@pytest.mark.parametrize("preset, told", REFUSED, ids=str)
def test_presets_without_a_critical_scale_refuse_it(preset, told):
    with pytest.raises(ValueError, match=told):
        preset.build()


CRITICAL = FullyConnected(2, activation="erf", w_std="critical", b_std=0.3)


def test_copies_keep_the_word():
    assert clone(CRITICAL).w_std == "critical"
    assert "w_std='critical'" in repr(CRITICAL)
    assert CRITICAL.with_scales({"readout_w_std": 0.5}).w_std == "critical"
    assert clone(CRITICAL).set_params(b_std=0.1).build() != CRITICAL.build()


def test_derived_scales_are_no_hyperparameters():
    assert CRITICAL.scales == {"readout_w_std": 1.0, "readout_b_std": 0.0}
    kernel = NTK(CRITICAL)
    assert [h.name for h in kernel.hyperparameters] == ["readout_w_std"]
    assert kernel.theta.size == 0
    assert list(NTKKernel(CRITICAL).scales) == ["readout_w_std"]
    with pytest.raises(ValueError, match="w_std"):
        assert NTK(CRITICAL, scale_bounds={"w_std": (0.5, 2.0)}).hyperparameters


def test_kernels_and_estimators_take_it():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((12, 3))
    y = np.sin(2 * X[:, 0]) + 0.1 * rng.standard_normal(12)
    number = clone(CRITICAL).set_params(w_std=critical_w_std("erf", 0.3))
    np.testing.assert_array_equal(NNGP(CRITICAL)(X), NNGP(number)(X))
    assert np.isfinite(NNGPRegressor(CRITICAL, optimizer="lbfgs").fit(X, y).predict(X)).all()
    narrow = clone(CRITICAL).set_params(width=8, n_networks=2)
    assert np.isfinite(NTK(narrow)(X)).all()
    grid = {"network__w_std": ["critical", 1.0], "network__b_std": [0.1, 0.3]}
    search = GridSearchCV(NTKRegressor(CRITICAL), grid, cv=2).fit(X, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
