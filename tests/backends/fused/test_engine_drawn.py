"""Random networks: the fused engine computes what the reference does, or says why not."""

from __future__ import annotations

import drawn_networks
import numpy as np
import pytest
from drawn_networks import ACTIVATIONS, Drawn
from fused_kernels import FUSED, REFERENCE, SINGLE, diagonal, error, matrix, problem_of, scale
from hypothesis import given, settings
from hypothesis import strategies as st
from outside_activation import SquaredReLU

from ntk_sklearn.architecture import Activation, Serial
from ntk_sklearn.duals import Gabor

# Patches may lie at any angle.
NEAR = 1e-7
_settings = settings(deadline=None, max_examples=60, derandomize=True)
_long = settings(deadline=None, max_examples=1000)


def _agrees(drawn: Drawn) -> None:
    problem = problem_of(drawn.network, drawn.X.shape[1:])
    assert FUSED.why_not(problem) == []
    assert error(problem, drawn.X) < NEAR
    assert error(problem, drawn.X[:3], drawn.X[2:]) < NEAR
    found, expected = (diagonal(evaluator, problem, drawn.X) for evaluator in (FUSED, REFERENCE))
    np.testing.assert_allclose(found, expected, rtol=NEAR, atol=1e-15 * expected.max())


@given(drawn_networks.dense)
@_settings
def test_dense(drawn):
    _agrees(drawn)


@given(drawn_networks.images)
@_settings
def test_images(drawn):
    _agrees(drawn)


@given(drawn_networks.any_images)
@_settings
def test_any_images(drawn):
    _agrees(drawn)


@given(drawn_networks.further)
@settings(_settings, max_examples=25)
def test_further_layers(drawn):
    _agrees(drawn)


@pytest.mark.slow
@given(
    st.one_of(
        drawn_networks.any_images,
        drawn_networks.images,
        drawn_networks.dense,
        drawn_networks.further,
    )
)
@_long
def test_many(drawn):
    _agrees(drawn)


@given(st.one_of(drawn_networks.any_images, drawn_networks.dense))
@_settings
def test_single_precision_is_near(drawn):
    double = problem_of(drawn.network, drawn.X.shape[1:])
    single = problem_of(drawn.network, drawn.X.shape[1:], SINGLE)
    apart = np.abs(matrix(FUSED, single, drawn.X) - matrix(REFERENCE, double, drawn.X))
    assert (apart <= 5e-3 * scale(double, drawn.X).max((1, 2), keepdims=True)).all()


def _replaced(layer, function):
    """The tree with another activation."""
    if isinstance(layer, Activation):
        return Activation(function)
    if isinstance(layer, Serial):
        return Serial(*(_replaced(child, function) for child in layer.layers))
    return layer


@given(drawn_networks.any_images, st.sampled_from([SquaredReLU(), Gabor()]))
@_settings
def test_reasons(drawn, function):
    network = _replaced(drawn.network, function)
    shape = drawn.X.shape[1:]
    reasons = FUSED.why_not(problem_of(network, shape))
    if network != drawn.network:
        assert [type(function).__name__ in reason for reason in reasons] == [True]
    assert len(ACTIVATIONS) > 2
