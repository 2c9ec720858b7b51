"""Phases against recursions followed for thousands of layers, and closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
from equal_layers import MOMENTS, follow

from ntk_sklearn.duals import Exp, LeakyReLU, Monomial, Polynomial
from ntk_sklearn.networks import critical_w_std, phase

SQRT2 = math.sqrt(2.0)
OFF_CRITICALITY = [
    ("erf", 1.0, 0.3), ("erf", 3.0, 0.1), ("erf", 3.0, 0.0), ("erf", 10.0, 0.5), ("erf", 1.2, 0.2),
    ("relu", 1.2, 0.3), ("relu", 0.5, 1.0), ("sin", 2.0, 0.3), ("sin", 5.0, 0.1), ("sin", 0.9, 0.5),
    ("cos", 1.2, 0.1), ("cos", 3.0, 0.0),
]  # fmt: skip


@pytest.mark.parametrize("activation, w_std, b_std", OFF_CRITICALITY)
def test_deep_recursions_end_in_the_fixed_point(activation, w_std, b_std):
    found = phase(activation, w_std, b_std)
    end = follow(MOMENTS[activation], w_std, b_std, 2000, 1.0, 0.3)
    assert found.name == ("ordered" if found.chi_1 < 1 else "chaotic")
    assert found.nngp_limit == pytest.approx((end.q, end.k), rel=1e-11, abs=1e-13)
    assert found.ntk_limit[1] == pytest.approx(end.different, rel=1e-10, abs=1e-12)
    slopes = [w_std**2 * MOMENTS[activation](k, end.q, end.q)[1] for k in (end.q, end.k)]
    assert (found.chi_1, found.chi_c) == pytest.approx(tuple(slopes), rel=1e-6)
    if found.name == "ordered":
        assert found.ntk_limit[0] == pytest.approx(end.same, rel=1e-11)
    else:
        assert found.ntk_limit[0] == math.inf


SLOW = [parameters for parameters in OFF_CRITICALITY if 0.4 < phase(*parameters).chi_c < 0.99]


@pytest.mark.parametrize("activation, w_std, b_std", SLOW)
def test_correlations_approach_their_limit_at_the_rate_chi_c(activation, w_std, b_std):
    found = phase(activation, w_std, b_std)
    depths = [round(k * found.correlation_depth) for k in (8, 12)]
    gaps = []
    for depth in depths:  # from the fixed variance, so that only the correlation moves
        end = follow(MOMENTS[activation], w_std, b_std, depth, found.q, 0.6 * found.c + 0.3)
        gaps.append(abs(end.k / end.q - found.c))
    rate = (gaps[1] / gaps[0]) ** (1.0 / (depths[1] - depths[0]))
    assert rate == pytest.approx(found.chi_c, rel=1e-3)


CRITICAL = [("relu", 0.0), ("erf", 0.2), ("sin", 0.3), ("cos", 0.4)]


@pytest.mark.parametrize("activation, b_std", CRITICAL)
def test_critical_tangent_kernels_keep_a_share_for_different_inputs(activation, b_std):
    w_std = critical_w_std(activation, b_std)
    found = phase(activation, w_std, b_std)
    assert (found.name, found.c) == ("critical", 1.0)
    assert found.correlation_depth == found.gradient_depth == math.inf
    assert found.ntk_limit == (math.inf, math.inf)
    errors = []
    for depth in (500, 5000):
        end = follow(MOMENTS[activation], w_std, b_std, depth, found.q, 0.3)
        assert end.same == pytest.approx((depth + 1) * found.q, rel=1e-9)
        errors.append(abs(end.different / end.same - found.ntk_correlation))
    # 1 / l for kinks, log l / l for smooth activations (Hayou et al. 2019, propositions 2 and 3)
    assert errors[1] < errors[0] / 4 < 0.003
    assert found.ntk_correlation == pytest.approx(1 / 4 if activation == "relu" else 1 / 3)


def test_critical_relu_correlations_approach_one_like_the_inverse_square_of_depth():
    depth = 20_000
    end = follow(MOMENTS["relu"], SQRT2, 0.0, depth, 1.0, 0.3)
    assert (1 - end.k / end.q) * depth**2 == pytest.approx(4.5 * math.pi**2, rel=5e-3)


@pytest.mark.parametrize("slope", [0.0, 0.3, -1.0])
@pytest.mark.parametrize("factor, name", [(0.9, "ordered"), (1.0, "critical"), (1.1, "unbounded")])
def test_homogeneous_activations_without_biases(slope, factor, name):
    w_std = factor * math.sqrt(2.0 / (1.0 + slope**2))
    found = phase(LeakyReLU(slope), w_std)
    assert found.name == name
    assert found.chi_1 == pytest.approx(factor**2)
    assert found.q == pytest.approx({"ordered": 0, "critical": 1, "unbounded": math.inf}[name])
    # the normalized kernels do not depend on the scale
    assert (found.c, found.chi_c, found.ntk_correlation) == pytest.approx((1.0, 1.0, 0.25))


def test_every_variance_is_fixed_at_relus_critical_scale():
    assert [phase("relu", SQRT2, start=q).q for q in (0.1, 7.0)] == [0.1, 7.0]


def test_biases_make_relus_variance_grow_at_the_critical_weight_scale():
    assert phase("relu", SQRT2, 0.1).name == "unbounded"
    assert phase("relu", 1.41, 0.1).q == pytest.approx(0.01 / (1 - 1.41**2 / 2))


def test_smooth_activations_keep_correlations_where_the_variance_vanishes():
    found = phase("erf", 0.8)
    assert (found.name, found.q, found.nngp_limit[0]) == ("ordered", 0.0, 0.0)
    assert found.chi_1 == pytest.approx(0.64 * 4 / math.pi)
    assert math.isnan(found.c)
    assert math.isnan(found.ntk_correlation)


def test_linear_networks_keep_correlations_without_biases():
    assert math.isnan(phase("identity", 1.0).c)
    found = phase("identity", 0.9, 0.1)  # q = b^2 / (1 - w^2)
    assert (found.q, found.c, found.chi_1) == pytest.approx((0.01 / 0.19, 1.0, 0.81))


def test_one_of_several_fixed_points_is_reached():
    square = Monomial(2)  # V(q) = 3 w^2 q^2: 0 attracts below 1 / (3 w^2), infinity above
    assert phase(square, 0.5).q == 0.0
    assert phase(square, 0.5, start=1.4).q == math.inf
    cubic = Polynomial((0.0, 0.0, 0.0, 1.0))  # V(q) = 15 w^2 q^3 + b^2
    roots = np.roots([15 * 0.04, 0.0, -1.0, 0.09])
    smallest = min(r.real for r in roots if r.real > 0)
    assert phase(cubic, 0.2, 0.3).q == pytest.approx(smallest, rel=1e-12)


def test_variances_that_overflow_are_unbounded():
    found = phase("exp", 1.0, 0.1)
    assert (found.name, found.q) == ("unbounded", math.inf)
    assert math.isnan(found.c)
    assert phase(Exp(rate=0.2), 1.0, 0.1).name == "ordered"


def test_steps_have_no_phase():
    with pytest.raises(ValueError, match="step"):
        phase("sign", 1.0)


@pytest.mark.parametrize(
    "parameters, error, told",
    [
        ({"w_std": 0.0}, ValueError, "w_std must be finite and positive"),
        ({"w_std": math.inf}, ValueError, "w_std"),
        ({"w_std": "critical"}, TypeError, "w_std must be a number"),
        ({"w_std": 1.0, "b_std": -1.0}, ValueError, "b_std must be finite and not negative"),
        ({"w_std": 1.0, "start": 0.0}, ValueError, "start must be finite and positive"),
    ],
)
def test_scales_are_checked(parameters, error, told):
    with pytest.raises(error, match=told):
        phase("erf", **parameters)


def test_alternating_variances_are_refused():
    # no registered activation does this: T(q) = 1 / (0.01 + q^4) falls steeply
    with pytest.raises(ValueError, match="alternates"):
        phase(Falling(), 1.0)


class Falling(LeakyReLU().__class__):
    def variance(self, v):
        return 1.0 / (0.01 + v**4)
