"""The reference evaluator: outputs, layouts, precision, devices."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from golden_networks import network as golden
from golden_networks import recorded
from reference_kernels import relative_error

from ntk_sklearn.architecture import (
    Activation,
    AvgPool,
    Conv,
    Dense,
    Flatten,
    GlobalAvgPool,
    Serial,
    Shape,
)
from ntk_sklearn.backends import FiniteWidth, Output, Problem, ReferenceEvaluator

EVALUATOR = ReferenceEvaluator()
DENSE = {depth: Serial(*[Dense(1.4, 0.1), Activation()] * depth, Dense()) for depth in (1, 2)}
FLAT = Serial(Conv(3, 1.4, 0.1), Activation(), Flatten(), Dense())
POOLED = Serial(Conv(3, 1.4, 0.1), Activation(), AvgPool(2), GlobalAvgPool(), Dense())


def problem(*outputs: tuple, shape: Shape = Shape(6), **settings) -> Problem:  # noqa: B008
    return Problem(tuple(Output(*output) for output in outputs), shape, **settings)


def drawn(n: int, d: int) -> torch.Tensor:
    return torch.randn(n, d, dtype=torch.float64, generator=torch.manual_seed(0))


def gram(problem: Problem, X: torch.Tensor, out=None):
    x, n = EVALUATOR.prepare(problem, X), len(X)
    out = np.full((len(problem.outputs), n, n), np.nan) if out is None else out
    EVALUATOR.tile(problem, x, slice(0, n), x, slice(0, n), True, out)
    return out


def test_outputs_come_in_the_order_asked_for():
    asked = [(DENSE[2], "ntk"), (DENSE[1], "nngp"), (DENSE[2], "nngp"), (DENSE[2], "ntk")]
    X = drawn(5, 6)
    together = gram(problem(*asked), X)
    for output, alone in zip(together, asked, strict=True):
        np.testing.assert_array_equal(output, gram(problem(alone), X)[0])
    assert not np.array_equal(together[0], together[2])


@pytest.mark.parametrize(
    "network, shape", [(DENSE[2], Shape(12)), (FLAT, Shape(1, (3, 4))), (POOLED, Shape(3, (4,)))]
)
def test_nngp_does_not_need_the_tangent_kernel(network, shape):
    X = drawn(4, 12)
    both = gram(problem((network, "nngp"), (network, "ntk"), shape=shape), X)
    np.testing.assert_array_equal(gram(problem((network, "nngp"), shape=shape), X)[0], both[0])


def test_rows_are_channels_first():
    p = problem((FLAT, "nngp"), shape=Shape(2, (3, 1)))
    x = EVALUATOR.prepare(p, drawn(5, 6))
    assert x.shape == (5, 2, 3, 1)
    assert torch.equal(x.flatten(1), drawn(5, 6))


@pytest.mark.parametrize(
    "network, shape", [(DENSE[2], Shape(12)), (FLAT, Shape(3, (2, 2))), (POOLED, Shape(3, (2, 2)))]
)
def test_tiles_and_diagonal(network, shape):
    p, X = problem((network, "nngp"), (network, "ntk"), shape=shape), drawn(7, 12)
    x, whole = EVALUATOR.prepare(p, X), gram(p, X)
    for rows, cols in ((slice(0, 3), slice(3, 7)), (slice(5, 7), slice(0, 1))):
        out = np.full((2, rows.stop - rows.start, cols.stop - cols.start), np.nan)
        EVALUATOR.tile(p, x, rows, x, cols, False, out)
        assert relative_error(out, whole[:, rows, cols]) < 1e-13
    out = np.full((2, 4), np.nan)
    EVALUATOR.diagonal(p, x, slice(2, 6), out)
    assert relative_error(out, whole.diagonal(axis1=1, axis2=2)[:, 2:6]) <= 1e-14


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_precision(dtype):
    p = problem((DENSE[2], "ntk"), dtype=dtype)
    assert EVALUATOR.prepare(p, drawn(5, 6)).dtype is dtype
    assert (
        relative_error(gram(p, drawn(5, 6)), gram(problem((DENSE[2], "ntk")), drawn(5, 6))) < 1e-6
    )


def test_tensors_can_be_filled():
    p, X = problem((DENSE[2], "ntk")), drawn(5, 6)
    out = gram(p, X, torch.full((1, 5, 5), torch.nan, dtype=torch.float64))
    np.testing.assert_array_equal(out.numpy(), gram(p, X))


def test_nothing_is_recorded_for_autograd():
    p, X = problem((DENSE[2], "ntk")), drawn(5, 6).requires_grad_()
    out = gram(p, X, torch.empty(1, 5, 5, dtype=torch.float64))
    assert not out.requires_grad


def test_finite_widths_are_refused_with_a_reason():
    (reason,) = EVALUATOR.why_not(problem((DENSE[1], "ntk"), finite=FiniteWidth(128)))
    assert "128" in reason
    assert EVALUATOR.why_not(problem((DENSE[1], "ntk"))) == []


def test_memory_and_tiles_follow_the_layout():
    image = Shape(3, (8, 8))
    layouts = {
        1: problem((DENSE[1], "ntk")),
        64: problem((FLAT, "ntk"), shape=image),
        64**2: problem((FLAT, "ntk"), (POOLED, "ntk"), shape=image),
    }
    per_pair, _ = EVALUATOR.workspace(layouts[1])
    for entries, p in layouts.items():
        assert EVALUATOR.workspace(p)[0] == entries * per_pair
        assert EVALUATOR.tile_side(p) >= 1
    sides = [EVALUATOR.tile_side(p) for p in layouts.values()]
    assert sides == sorted(sides, reverse=True)
    huge = problem((POOLED, "ntk"), shape=Shape(1, (300, 300)))
    assert EVALUATOR.tile_side(huge) == 1


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("dtype, bound", [(torch.float32, 2e-5), (torch.float64, 1e-12)])
@pytest.mark.parametrize("name", ["fc3_relu", "fc2_erf", "fc_residual", "cnn3_flatten", "myrtle5"])
def test_cpu_and_cuda_agree(name, dtype, bound):
    x = recorded(name)["x1"]
    shape, X = Shape(x.shape[1], x.shape[2:]), torch.as_tensor(x.reshape(len(x), -1).copy())
    outputs = [(golden(name), quantity) for quantity in ("nngp", "ntk")]
    found = gram(problem(*outputs, shape=shape, dtype=dtype, device=torch.device("cuda")), X)
    for cuda, cpu in zip(found, gram(problem(*outputs, shape=shape, dtype=dtype), X), strict=True):
        assert relative_error(cuda, cpu) < bound
