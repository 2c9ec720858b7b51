"""Price's theorem, and gradients where kernels have kinks."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest
import torch
from dual_cases import ACTIVATIONS, PARAMETERS

from ntk_sklearn.duals import DualActivation, GaussianPair

CONTINUOUS = [name for name, dual in ACTIVATIONS.items() if dual.absolutely_continuous]
each_dtype = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
EDGES = {
    "angle_zero": (1.0, 1.0, 1.0),
    "parallel": (2.0, 1.0, 4.0),
    "angle_pi": (-1.0, 1.0, 1.0),
    "antiparallel": (-2.0, 1.0, 4.0),
    "zero_x": (0.0, 0.0, 1.0),
    "zero_z": (0.0, 1.0, 0.0),
    "zero_both": (0.0, 0.0, 0.0),
    "tiny": (1e-30, 1e-30, 1e-30),
    "large": (3e5, 1e6, 1e6),
}
# exp(1e6) overflows
FINITE = [pair for pair in product(ACTIVATIONS, EDGES) if pair != ("exp", "large")]


def moments(dual: DualActivation, *values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return dual.covariance(GaussianPair(*values))


def generic() -> tuple[torch.Tensor, ...]:
    """Covariances and variances of pairs at all angles but 0 and pi."""
    x, z, rho = torch.rand(3, 200, dtype=torch.float64, generator=torch.manual_seed(0))
    x, z = 0.1 + 3.0 * x, 0.1 + 3.0 * z
    return (1.98 * rho - 0.99) * (x * z).sqrt(), x, z


@pytest.mark.parametrize("name", CONTINUOUS)
def test_price(name):
    cov, x, z = generic()
    cov.requires_grad_()
    value, slope = moments(ACTIVATIONS[name], cov, x, z)
    (expected,) = torch.autograd.grad(value.sum(), cov)
    torch.testing.assert_close(slope, expected, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("name", CONTINUOUS)
def test_price_by_differences(name):
    cov, x, z = generic()
    h, dual = 1e-6, ACTIVATIONS[name]
    difference = (moments(dual, cov + h, x, z)[0] - moments(dual, cov - h, x, z)[0]) / (2 * h)
    torch.testing.assert_close(moments(dual, cov, x, z)[1], difference, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_gradients_of_the_derivative(name):
    # T and T' are what they are in all three arguments
    values = tuple(v[:8].requires_grad_() for v in generic())
    assert torch.autograd.gradcheck(lambda *v: moments(ACTIVATIONS[name], *v), values)


@pytest.mark.parametrize("name", PARAMETERS)
def test_gradients_of_parameters(name):
    dual, field, values = ACTIVATIONS[name], PARAMETERS[name], [v[:8] for v in generic()]

    def of(parameter: torch.Tensor) -> tuple[torch.Tensor, ...]:
        changed = replace(dual, **{field: parameter})
        return (*moments(changed, *values), changed.variance(values[1]))

    start = torch.tensor(getattr(dual, field), dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(of, (start,))


@each_dtype
@pytest.mark.parametrize("name, edge", FINITE)
def test_finite_at_edges(name, edge, dtype):
    dual = ACTIVATIONS[name]
    leaves = [torch.tensor(v, dtype=dtype, requires_grad=True) for v in EDGES[edge]]
    value, slope = moments(dual, *leaves)
    sine2 = dual.sine2(GaussianPair(*leaves))
    for found in (value, slope, dual.variance(leaves[1]), *([] if sine2 is None else [sine2])):
        assert found.isfinite()
        assert all(map(torch.isfinite, gradients(found, leaves)))


@pytest.mark.parametrize("edge", [edge for edge in EDGES if edge not in ("tiny", "large")])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_finite_second_gradients_at_edges(name, edge):
    leaves = [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in EDGES[edge]]
    for found in moments(ACTIVATIONS[name], *leaves):
        first = [g for g in gradients(found, leaves) if g.requires_grad]
        if first:
            assert all(map(torch.isfinite, gradients(sum(first), leaves)))


def gradients(value: torch.Tensor, leaves: list[torch.Tensor]) -> list[torch.Tensor]:
    """Those that exist."""
    if not value.requires_grad:
        return []
    found = torch.autograd.grad(value, leaves, create_graph=True, allow_unused=True)
    return [g for g in found if g is not None]
