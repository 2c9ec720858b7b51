"""The public contract of activations: who passes, and what is said of those that do not."""

from __future__ import annotations

import pickle
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from dual_cases import ACTIVATIONS
from outside_activation import SquaredReLU, Step
from reference_kernels import kernels

from ntk_sklearn.architecture import Activation, Dense, Serial, check_network
from ntk_sklearn.duals import ABReLU, Linear, Sign
from ntk_sklearn.testing import check_activation


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_of_the_package(name):
    check_activation(ACTIVATIONS[name])


@pytest.mark.parametrize("activation", [SquaredReLU(), SquaredReLU(0.3), Step()])
def test_activations_from_outside(activation):
    check_activation(activation)


def test_outside_activations_make_networks():
    network = Serial(Dense(1.2, 0.1), Activation(SquaredReLU()), Dense())
    check_network(network)
    nngp, ntk = kernels(network, torch.eye(3, dtype=torch.float64).numpy())
    # b^2 = 0.01 and v = 0.49 before the activation
    assert nngp.diagonal() == pytest.approx(1.5 * 0.49**2)
    assert ntk.diagonal() == pytest.approx(1.5 * 0.49**2 + 2 * 0.49 * 0.49)


def test_outside_activations_unpickle_in_a_fresh_process():
    text = pickle.dumps(Activation(SquaredReLU(0.3)))
    program = f"import pickle; print(pickle.loads({text!r}))"
    here = Path(__file__).parent
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=here, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "Activation(SquaredReLU(amplitude=0.3))"


@dataclass(frozen=True)
class WrongVariance(SquaredReLU):
    def variance(self, v):
        return super().variance(v) * (1.0 + 1e-6)


@dataclass(frozen=True)
class WrongCovariance(SquaredReLU):
    def covariance(self, pair):
        value, slope = super().covariance(pair)
        return value + 1e-6 * pair.determinant, slope


@dataclass(frozen=True)
class WrongDerivative(SquaredReLU):
    def covariance(self, pair):
        value, slope = super().covariance(pair)
        return value, slope * (1.0 + 1e-6)


@dataclass(frozen=True)
class WrongSine(SquaredReLU):
    def sine2(self, pair):
        return pair.sine2


@dataclass(frozen=True)
class Asymmetric(SquaredReLU):
    def covariance(self, pair):
        value, slope = super().covariance(pair)
        return value, slope + 1e-6 * pair.var_x * pair.cov


@dataclass(frozen=True)
class ConstantShape(Linear):
    def covariance(self, pair):
        return pair.cov, torch.ones((), dtype=pair.cov.dtype)


@dataclass(frozen=True)
class DoubleOnly(SquaredReLU):
    def variance(self, v):
        return super().variance(v.double())


@dataclass(frozen=True)
class NotFinite(SquaredReLU):
    def covariance(self, pair):
        value, slope = super().covariance(pair)
        return value * (pair.scale / pair.scale), slope


@dataclass(frozen=True)
class SharpGradient(ABReLU):
    def covariance(self, pair):
        value, slope = super().covariance(pair)
        return value, slope + 0.0 * (pair.var_x * pair.var_z - pair.cov**2).abs().sqrt()


@dataclass(frozen=True)
class OffAtAngleZero(SquaredReLU):
    def covariance(self, pair):
        value, slope = super().covariance(pair)
        return torch.where(pair.sine2 > 0, value, value * (1.0 + 1e-12)), slope


@dataclass(frozen=True)
class PriceForAStep(Sign):
    absolutely_continuous = True


class Unequal(SquaredReLU):
    def __eq__(self, other):
        return self is other

    def __hash__(self):
        return 0


BROKEN = {
    WrongVariance: "variance: is",
    WrongCovariance: "covariance: is .* expected",
    WrongDerivative: r"derivative \(Price\)",
    WrongSine: "sine2",
    Asymmetric: "symmetry of the derivative",
    ConstantShape: "form of the derivative",
    DoubleOnly: r"form of the variance: is \(torch.float64, 2, 1\)",
    NotFinite: "covariance at zero variance of x: is .*nan",
    SharpGradient: "derivative at angle 0: its gradient in cov is .*(inf|nan)",
    OffAtAngleZero: "variance against the covariance at angle 0",
    PriceForAStep: r"derivative \(Price\): is 0",
    Unequal: "pickle: the copy differs in == or hash",
}


@pytest.mark.parametrize("broken", BROKEN)
def test_broken_activations(broken):
    with pytest.raises(AssertionError, match=rf"(?s)^{broken.__name__}\(.*\): {BROKEN[broken]}"):
        check_activation(broken())


def test_kinks_have_to_be_declared():
    check_activation(Step(), kinks=(0.0,))
    with pytest.raises(AssertionError, match="covariance: is"):
        check_activation(Step(), kinks=())


def test_tolerance_and_variances_are_the_callers():
    check_activation(WrongCovariance(), rtol=1e-4)
    with pytest.raises(AssertionError, match="variance against the covariance"):
        check_activation(OffAtAngleZero(), variances=(1e-6,), rtol=1e-3)
