"""Activations without closed form: against those that have one, double sums and many digits."""

from __future__ import annotations

import math
import pickle
import re
from dataclasses import dataclass

import gaussian_sums
import mpmath as mp
import numpy as np
import pytest
import torch
from torch.nn import functional as F

from ntk_sklearn.duals import (
    ELU,
    GELU,
    SELU,
    Elementwise,
    Erf,
    GaussianPair,
    HardTanh,
    Mish,
    NotSmoothError,
    NumericalActivation,
    ReLU,
    ReLU6,
    Sigmoid,
    SiLU,
    Sin,
    Softplus,
    Tanh,
)
from ntk_sklearn.testing import check_activation

mp.mp.dps = 20


def gelu(x):
    return F.gelu(x)


CLOSED = {
    "erf": (Elementwise(torch.erf), Erf()),
    "gelu": (Elementwise(gelu), GELU()),
    "sin": (Elementwise(torch.sin), Sin()),
    "relu": (Elementwise(torch.relu, (0.0,)), ReLU()),
    "relu, autograd": (Elementwise(lambda x: x.clamp(min=0.0), (0.0,)), ReLU()),
    "cut": (Elementwise(torch.relu, (-1.0, 0.0, 0.7)), ReLU()),
}
# name: (activation, distance of the nearest pole from the real line)
SMOOTH = {
    "tanh": (Tanh(), math.pi / 2),
    "sigmoid": (Sigmoid(), math.pi),
    "softplus": (Softplus(), math.pi),
    "silu": (SiLU(), math.pi),
    "mish": (Mish(), 2.3),
}
KINKED = {"elu": (ELU(), gaussian_sums.ELU), "hardtanh": (HardTanh(), gaussian_sums.HARD_TANH)}
NAMED = [*(dual for dual, _ in SMOOTH.values()), ELU(), ELU(0.5), SELU(), HardTanh(), ReLU6()]


def pair_of(a, b, angle) -> GaussianPair:
    a, b, angle = (torch.as_tensor(x, dtype=torch.float64) for x in (a, b, angle))
    return GaussianPair(a * b * angle.cos(), a * a, b * b, angle.sin() ** 2)


def drawn(low: float, high: float, n: int, near: bool) -> GaussianPair:
    """Pairs of standard deviations 10^low .. 10^high, at all angles or at small and large ones."""
    generator = torch.Generator().manual_seed(0)
    x, z, t, side = torch.rand(4, n, dtype=torch.float64, generator=generator)
    angle = torch.where(side < 0.3, math.pi - 10 ** (-8 * t), 10 ** (-8 * t))
    angle = angle if near else math.pi * t
    return pair_of(10 ** (low + (high - low) * x), 10 ** (low + (high - low) * z), angle)


def own(dual, v):
    return dual.covariance(GaussianPair(v, v, v, torch.zeros_like(v)))


def as_columns(values):
    return torch.tensor(values, dtype=torch.float64)[:, None]


def errors(found, expected, dual, pair):
    """Largest errors of T and T', relative to the geometric means of their own values."""
    scales = [
        (x * z).sqrt() for x, z in zip(own(dual, pair.var_x), own(dual, pair.var_z), strict=True)
    ]
    parts = zip(found, expected, scales, strict=True)
    return [((f - e).abs() / s).max().item() for f, e, s in parts]


WIDE = [(-3, -1.5, 40, False), (-3, 1.5, 40, False), (-3, 1.5, 10, True), (1, 1.5, 10, True)]


@pytest.mark.parametrize(
    "low, high, n, near",
    [(-0.5, 0.5, 12, False), (-0.5, 0.5, 4, True),
     *(pytest.param(*case, marks=pytest.mark.slow) for case in WIDE)],
)  # fmt: skip
@pytest.mark.parametrize("name", CLOSED)
def test_closed_forms(name, low, high, n, near):
    mine, exact = CLOSED[name]
    if name == "sin" and high > 1:
        high = 0.7  # its expectations vanish at large variances, and quadrature has no digits left
    pair = drawn(min(low, 0.0), high, n, near)
    # reached: 7e-11, and 4e-10 with kinks
    assert max(errors(mine.covariance(pair), exact.covariance(pair), exact, pair)) < 1e-9


@pytest.mark.parametrize(
    "a, b, angle",
    [(1.0, 1.3, 0.5), (1e-3, 4.0, 2.0), (2.0, 3.0, 1e-3), (3.0, 3.0, math.pi - 1e-2),
     (1.0, 2.0, 0.0),
     pytest.param(31.0, 28.0, 0.03, marks=pytest.mark.slow),
     pytest.param(1e-3, 31.0, 1e-6, marks=pytest.mark.slow)],
)  # fmt: skip
@pytest.mark.parametrize("name", SMOOTH)
def test_double_sums(name, a, b, angle):
    dual, reach = SMOOTH[name]
    pair = pair_of([a], [b], [angle])
    expected = [gaussian_sums.trapezoid(f, a, b, angle, reach) for f in (dual.phi, dual.slope)]
    found = dual.covariance(pair)
    assert (
        max(errors(found, torch.tensor(expected, dtype=torch.float64)[:, None], dual, pair)) < 1e-9
    )
    values = [gaussian_sums.trapezoid(dual.phi, s, s, 0.0, reach) for s in (a, b)]
    assert dual.variance(pair.var_x).item() == pytest.approx(values[0], rel=1e-12)
    assert dual.variance(pair.var_z).item() == pytest.approx(values[1], rel=1e-12)


@pytest.mark.parametrize(
    "a, b, angle",
    [(1.0, 1.3, 0.5),
     pytest.param(1e-3, 2.0, 2.0, marks=pytest.mark.slow),
     pytest.param(0.8, 0.8, 1e-2, marks=pytest.mark.slow),
     pytest.param(1.0, 1.1, 1e-4, marks=pytest.mark.slow),
     pytest.param(31.0, 31.0, 1e-7, marks=pytest.mark.slow),
     pytest.param(29.7, 31.4, math.pi - 1e-7, marks=pytest.mark.slow),
     pytest.param(0.3, 31.0, math.pi - 1e-3, marks=pytest.mark.slow),
     pytest.param(1.0, 1.5, 3.1, marks=pytest.mark.slow),
     pytest.param(31.0, 28.0, 1e-2, marks=pytest.mark.slow),
     pytest.param(1e-3, 31.0, 1e-6, marks=pytest.mark.slow)],
)  # fmt: skip
@pytest.mark.parametrize("name", KINKED)
def test_many_digits(name, a, b, angle):
    dual, (value, slope, kinks) = KINKED[name]
    pair = pair_of([a], [b], [angle])
    expected = [[gaussian_sums.single(*parts, kinks, a, b, angle)] for parts in (value, slope)]
    assert (
        max(errors(dual.covariance(pair), torch.tensor(expected, dtype=torch.float64), dual, pair))
        < 1e-9
    )


@pytest.mark.parametrize("dual", [Elementwise(F.elu, (0.0,)), Softplus()], ids=repr)
def test_antiparallel_and_wide(dual):
    # by quadrature, whose panels suit u where v = -u
    pair = pair_of([29.7], [31.4], [math.pi - 1e-7])
    if dual.kinks:
        expected = [found.item() for found in ELU().covariance(pair)]
    else:
        expected = [gaussian_sums.trapezoid(f, 29.7, 31.4, math.pi - 1e-7, math.pi)
                    for f in (dual.phi, dual.slope)]  # fmt: skip
    found = dual.covariance(pair)
    assert max(errors(found, as_columns(expected), dual, pair)) < 1e-8


@pytest.mark.parametrize("dual", [Tanh(), SiLU()], ids=repr)
def test_contract(dual):
    check_activation(dual, kinks=dual.kinks, variances=(0.3, 2.5))


@pytest.mark.slow
@pytest.mark.parametrize("dual", [*NAMED, Elementwise(F.hardswish, (-3, 3))], ids=repr)
def test_contract_of_all(dual):
    check_activation(dual, kinks=dual.kinks)


@pytest.mark.parametrize("dual", NAMED, ids=repr)
def test_slopes_are_derivatives(dual):
    x = torch.linspace(-30.0, 30.0, 1001, dtype=torch.float64) + 0.0123
    automatic = Elementwise(dual.phi).slope(x)
    torch.testing.assert_close(dual.slope(x), automatic, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(
    "function, at",
    [(torch.relu, 0.0), (F.elu, 0.0), (F.hardtanh, 1.0), (lambda x: (x - 0.3).abs() * x, 0.3)],
)
def test_undeclared_kinks_are_found(function, at):
    with pytest.raises(NotSmoothError, match="declare every point where") as error:
        Elementwise(function).variance(torch.ones(1))
    low, high = map(float, re.search(r"between (\S+) and (\S+);", str(error.value)).groups())
    assert low <= at <= high < low + 1e-3 or low <= -at <= high < low + 1e-3


def test_functions_that_are_not_finite():
    with pytest.raises(NotSmoothError, match="not finite"):
        Elementwise(torch.log).variance(torch.ones(1))


def test_steps_are_refused():
    with pytest.raises(ValueError, match="jumps at 0 from -1 to 1; only continuous"):
        Elementwise(torch.sign, (0.0,))


@dataclass(frozen=True)
class Scaled(NumericalActivation):
    rate: float

    def phi(self, x):
        return torch.tanh(self.rate * x)


@dataclass(frozen=True)
class Step(NumericalActivation):
    kinks = (0.5,)

    def phi(self, x):
        return torch.where(x > 0.5, x + 2.0, x)


@pytest.mark.parametrize("rate", [torch.tensor(0.5, requires_grad=True), (torch.tensor(0.5),)])
def test_tensors_in_fields_are_refused(rate):
    pair = pair_of([1.0], [1.3], [0.4])
    for compute in (lambda d: d.variance(pair.var_x), lambda d: d.covariance(pair)):
        with pytest.raises(TypeError, match=r"Scaled\.rate holds a tensor.* numbers"):
            compute(Scaled(rate))
    with pytest.raises(TypeError, match=r"ELU\.alpha holds a tensor"):
        ELU(torch.tensor(1.0))


def test_steps_of_a_class_are_refused_at_every_evaluation():
    for _ in range(2):
        with pytest.raises(ValueError, match=r"Step\(\) jumps at 0\.5 from 0\.5 to 2\.5"):
            Step().variance(torch.ones(1))
    with pytest.raises(ValueError, match=r"jumps at 0\.5"):
        Step().covariance(pair_of([1.0], [1.3], [0.4]))


@pytest.mark.parametrize("dual", [Tanh(), ELU(), HardTanh()], ids=repr)
def test_infinite_variances_are_not_a_number(dual):
    x = torch.tensor([math.inf, 1.0, 0.5], dtype=torch.float64)
    z = torch.tensor([1.0, math.inf, 0.5], dtype=torch.float64)
    assert dual.variance(x).isnan().tolist() == [True, False, False]
    for found in dual.covariance(GaussianPair(torch.full_like(x, 0.2), x, z)):
        assert found.isnan().tolist() == [True, True, False]


def test_slopes_in_inference_mode():
    dual = Elementwise(torch.tanh)
    with torch.inference_mode():
        x = torch.tensor([0.3, -1.2], dtype=torch.float64)
        found = dual.slope(x)
    assert found.tolist() == pytest.approx(Tanh().slope(x).tolist(), rel=1e-12)


@pytest.mark.parametrize("beta", [0.3, 2.0])
def test_softplus_with_beta(beta):
    # softplus(beta x) / beta: the function of beta = 1 at beta^2 times the variances
    pair = pair_of([1.0, 0.5], [1.3, 2.0], [0.4, 2.5])
    wide = pair_of([beta, beta * 0.5], [beta * 1.3, beta * 2.0], [0.4, 2.5])
    value, slope = Softplus().covariance(wide)
    found = Softplus(beta).covariance(pair)
    torch.testing.assert_close(found, (value / beta**2, slope), rtol=1e-10, atol=0)
    x = torch.linspace(-5.0, 5.0, 11, dtype=torch.float64)
    torch.testing.assert_close(Softplus(beta).phi(x), F.softplus(x, beta), rtol=1e-12, atol=0)


@pytest.mark.parametrize(
    "make, error, message",
    [(lambda: HardTanh(0.0, math.inf), ValueError, r"HardTanh\.high must be finite"),
     (lambda: ELU(math.nan), ValueError, r"ELU\.alpha must be finite"),
     (lambda: Softplus(0.0), ValueError, r"Softplus\.beta must be positive"),
     (lambda: Softplus(math.inf), ValueError, r"Softplus\.beta must be finite"),
     (lambda: Elementwise(np.tanh), TypeError, "take and return torch tensors.*tanh raised"),
     (lambda: Elementwise(lambda x: 1.0), TypeError, "torch tensors.* returned 1.0"),
     (lambda: Elementwise(lambda x: x.sum()), TypeError, "of the same shape"),
     (lambda: Elementwise(torch.relu, None), TypeError, "kinks must be a tuple of numbers"),
     (lambda: Elementwise(torch.relu, "0"), TypeError, "kinks must be a tuple of numbers")],
)  # fmt: skip
def test_parameters_are_checked(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_one_kink_may_be_a_number():
    assert Elementwise(torch.relu, kinks=0) == Elementwise(torch.relu, kinks=(0.0,))


def test_other_arguments_are_refused():
    with pytest.raises(TypeError, match="must be callable"):
        Elementwise("tanh")
    with pytest.raises(ValueError, match="kinks must be finite"):
        Elementwise(torch.relu, (math.inf,))
    with pytest.raises(ValueError, match="low < high"):
        HardTanh(1.0, 1.0)


def test_data():
    dual = Elementwise(F.hardswish, kinks=(3, -3))
    assert repr(dual) == "Elementwise(hardswish, kinks=(-3.0, 3.0))"
    assert pickle.loads(pickle.dumps(dual)) == dual == Elementwise(F.hardswish, (-3.0, 3.0))
    assert hash(dual) == hash(Elementwise(F.hardswish, (-3.0, 3.0)))
    assert Elementwise(torch.tanh, derivative=Tanh().slope) != Elementwise(torch.tanh)


def test_a_given_derivative_is_used():
    pair = pair_of([1.0, 0.5], [1.3, 2.0], [0.4, 2.0])
    found = Elementwise(torch.tanh, derivative=lambda x: 0.0 * x + 2.0).covariance(pair)[1]
    torch.testing.assert_close(found, torch.full_like(found, 4.0))


@pytest.mark.parametrize("dual", [Tanh(), pytest.param(ELU(), marks=pytest.mark.slow)], ids=repr)
def test_gradients(dual):
    generator = torch.Generator().manual_seed(0)
    x, z, rho = torch.rand(3, 3, dtype=torch.float64, generator=generator)
    x, z = 0.1 + 3.0 * x, 0.1 + 3.0 * z
    leaves = [v.requires_grad_() for v in ((1.9 * rho - 0.95) * (x * z).sqrt(), x, z)]
    assert torch.autograd.gradcheck(
        lambda *v: dual.covariance(GaussianPair(*v)), leaves, rtol=1e-4, atol=1e-6
    )
    assert torch.autograd.gradcheck(dual.variance, (x,), rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_gradients_at_small_angles():
    # by the density, where the closed form differentiates the function
    def gradients(dual, quantity):
        a = torch.tensor([1.1, 0.7, 1.3], dtype=torch.float64)
        b = torch.tensor([1.0, 0.9, 1.3], dtype=torch.float64)
        angle = torch.tensor([1e-2, 1e-3, math.pi - 1e-2], dtype=torch.float64)
        leaves = [v.requires_grad_() for v in (a * b * angle.cos(), a * a, b * b)]
        pair = GaussianPair(*leaves)
        return torch.autograd.grad(dual.covariance(pair)[quantity].sum(), leaves)

    mine, exact = CLOSED["relu"]
    for quantity in (0, 1):
        for found, expected in zip(
            gradients(mine, quantity), gradients(exact, quantity), strict=True
        ):
            torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("dual", [Tanh(), Softplus(), HardTanh()], ids=repr)
def test_edges(dual, dtype):
    edges = [(1.0, 1.0, 1.0), (2.0, 1.0, 4.0), (-1.0, 1.0, 1.0), (0.0, 0.0, 1.0), (0.0, 0.0, 0.0),
             (1e-30, 1e-30, 1e-30)]  # fmt: skip
    for values in edges:
        leaves = [torch.tensor(v, dtype=dtype, requires_grad=True) for v in values]
        for found in (*dual.covariance(GaussianPair(*leaves)), dual.variance(leaves[1])):
            assert found.isfinite()
            assert found.dtype == dtype
            gradients = torch.autograd.grad(found, leaves, retain_graph=True, allow_unused=True)
            assert all(g.isfinite() for g in gradients if g is not None)


def test_second_derivatives_are_refused():
    v = torch.tensor([0.5], dtype=torch.float64, requires_grad=True)
    (first,) = torch.autograd.grad(Tanh().variance(v), v, create_graph=True)
    with pytest.raises(NotImplementedError, match="first derivatives only"):
        torch.autograd.grad(first, v)


def test_batches_and_forward_mode():
    dual, scales = ELU(), torch.tensor([0.5, 1.0, 1.4], dtype=torch.float64)
    cov, x, z = torch.full((2, 3), 0.4), torch.full((2, 1), 0.9), torch.full((1, 3), 1.2)
    cov, x, z = cov.double(), x.double(), z.double()

    def slope(s):
        return dual.covariance(GaussianPair(s * cov, s * x, s * z))[1]

    mapped = torch.vmap(slope)(scales)
    torch.testing.assert_close(mapped, torch.stack([slope(s) for s in scales]), rtol=1e-14, atol=0)
    one, h = torch.ones((), dtype=torch.float64), 1e-5
    _, push = torch.func.jvp(slope, (one,), (one,))
    torch.testing.assert_close(push, (slope(one + h) - slope(one - h)) / (2 * h), rtol=1e-6, atol=0)


@pytest.mark.parametrize(
    "dual, w_std, b_std", [(Tanh(), 1.302, 0.2), (ELU(), 1.227, 0.2)], ids=["tanh", "elu"]
)
def test_edge_of_chaos(dual, w_std, b_std):
    # Hayou et al. 2019: chi_1 = w^2 E[phi'^2] = 1 at the fixed point of the variance
    q = torch.ones(1, dtype=torch.float64)
    for _ in range(100):
        q = w_std**2 * dual.variance(q) + b_std**2
    chi = w_std**2 * dual.covariance(GaussianPair(q, q, q))[1]
    assert chi.item() == pytest.approx(1.0, abs=2e-3)
