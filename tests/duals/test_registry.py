"""Names of activations, and activations as data."""

from __future__ import annotations

import pickle
from dataclasses import FrozenInstanceError, fields

import numpy as np
import pytest
import torch
from dual_cases import ACTIVATIONS

from ntk_sklearn.duals import (
    ABReLU,
    Cos,
    DualActivation,
    ExpNormalized,
    Hermite,
    LeakyReLU,
    Linear,
    Monomial,
    Polynomial,
    RectifiedMonomial,
    ReLU,
    Sin,
    available,
    base,
    register,
    resolve,
)

NAMES = (
    "abrelu abs cos elu erf exp exp_normalized gabor gaussian gelu hardtanh hermite identity "
    "leaky_relu mish monomial polynomial rbf rectified_monomial relu relu6 selu sigmoid "
    "sigmoid_like sign silu sin softplus swish tanh"
)


@pytest.fixture
def registry(monkeypatch):
    monkeypatch.setattr(base, "_registry", dict(base._registry))


def test_names():
    assert available() == NAMES.split()


@pytest.mark.parametrize("name", NAMES.split())
def test_every_name_resolves_to_a_new_equal_object(name):
    dual = resolve(name)
    assert isinstance(dual, DualActivation)
    assert dual == resolve(name)
    assert resolve(dual) is dual


def test_names_stand_for_torch_defaults():
    assert resolve("relu") == ReLU() == ABReLU(0.0, 1.0)
    assert resolve("leaky_relu") == LeakyReLU(0.01) == ABReLU(0.01, 1.0)
    assert resolve("identity") == Linear()
    assert resolve("cos") == Cos() != Sin()
    assert Monomial(3) == Polynomial((0.0, 0.0, 0.0, 1.0))


def test_own_names(registry):
    register("half", lambda: LeakyReLU(0.5))
    assert resolve("half") == LeakyReLU(0.5)
    assert "half" in available()


@pytest.mark.parametrize("name", ["relu", "erf"])
def test_names_are_taken_once(name):
    with pytest.raises(ValueError, match=f"an activation named '{name}' is already registered"):
        register(name, ReLU)
    assert resolve(name) is not None


@pytest.mark.parametrize("name", ["ReLU", "tanhh", ""])
def test_unknown_names_list_the_known(name):
    with pytest.raises(
        ValueError, match=rf"unknown activation '{name}'; known are \['abrelu'.*sin"
    ):
        resolve(name)


@pytest.mark.parametrize("value", [None, 3, ABReLU, ["relu"]])
def test_other_things_are_not_activations(value):
    with pytest.raises(TypeError, match=r"one of \['abrelu'.* or a DualActivation object, got"):
        resolve(value)


def test_empty_polynomials_are_refused():
    with pytest.raises(ValueError, match=r"Polynomial\.coefficients must not be empty"):
        Polynomial(())


@pytest.mark.parametrize("make", [Hermite, Monomial, RectifiedMonomial])
@pytest.mark.parametrize("degree", [-1, True, 1.5])
def test_degrees_are_checked(make, degree):
    with pytest.raises(ValueError, match=rf"{make.__name__}.*degree must be an int >= \d, got"):
        make(degree)


@pytest.mark.parametrize("gamma", [-1.0, np.nan, np.inf])
def test_kernels_that_are_none_are_refused(gamma):
    with pytest.raises(ValueError, match=r"ExpNormalized\.gamma must be finite and at least 0"):
        ExpNormalized(gamma)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_are_data(name):
    dual = ACTIVATIONS[name]
    twin = pickle.loads(pickle.dumps(dual))
    assert twin == dual
    assert hash(twin) == hash(dual)
    assert repr(dual).startswith(type(dual).__name__)
    for field in fields(dual):
        with pytest.raises(FrozenInstanceError):
            setattr(dual, field.name, 0.0)


def test_activations_differ():
    assert len(set(ACTIVATIONS.values())) == len(ACTIVATIONS)


@pytest.mark.parametrize("function", [torch.tanh, np.tanh, torch.nn.Tanh()])
def test_functions_are_refused_with_the_remedy(function):
    with pytest.raises(TypeError, match=r"'tanh'.*duals\.Elementwise\(function"):
        resolve(function)
