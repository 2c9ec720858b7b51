"""The evaluator of finite widths: means over draws, tiles, diagonals, memory, refusals."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from finite_cases import CASES, rows
from torch.profiler import ProfilerActivity, profile

from ntk_sklearn.architecture import Layer, Serial, Shape
from ntk_sklearn.backends import FiniteWidth, Output, Problem
from ntk_sklearn.backends.empirical import EmpiricalEvaluator
from ntk_sklearn.finite import Networks, empirical_nngp, empirical_ntk

EVALUATOR = EmpiricalEvaluator()
NAMES = ["dense", "average", "residual_images", "multipliers", "conv_then_flatten"]


def problem(name: str, finite: object = FiniteWidth(6, 3, 1), **kind: object) -> Problem:
    tree, (channels, *spatial) = CASES[name]
    outputs = (Output(tree, "ntk"), Output(tree, "nngp"))
    return Problem(outputs, Shape(channels, tuple(spatial)), finite=finite, **kind)  # type: ignore[arg-type]


def tile(
    p: Problem, x: torch.Tensor, z: torch.Tensor | None = None, r: slice = slice(None),
    c: slice = slice(None),
) -> np.ndarray:  # fmt: skip
    left = EVALUATOR.prepare(p, x)
    right = left if z is None else EVALUATOR.prepare(p, z)
    shape = (len(p.outputs), len(left.rows[r]), len(right.rows[c]))
    out = np.full(shape, np.nan, dtype=str(p.dtype).removeprefix("torch."))
    EVALUATOR.tile(p, left, r, right, c, z is None and r == c, out)
    return out


def diagonal(p: Problem, x: torch.Tensor) -> np.ndarray:
    out = np.full((len(p.outputs), len(x)), np.nan)
    EVALUATOR.diagonal(p, EVALUATOR.prepare(p, x), slice(None), out)
    return out


@pytest.mark.parametrize("name", NAMES)
def test_kernels_are_means_over_the_draws(name: str) -> None:
    p, x, z = problem(name), rows(name, 4), rows(name, 3, seed=1)
    draws = Networks(CASES[name][0], CASES[name][1], 6, 3, 1)
    for found, kernel in zip(tile(p, x, z), (empirical_ntk, empirical_nngp), strict=True):
        want = torch.stack([kernel(module, x, z) for module in draws]).mean(0)
        assert found == pytest.approx(want.numpy(), rel=1e-13, abs=1e-15)


@pytest.mark.parametrize("name", NAMES)
def test_tiles_are_blocks_of_the_whole(name: str) -> None:
    p, x = problem(name), rows(name, 7)
    whole = tile(p, x)
    scale = np.abs(whole).max()
    assert np.abs(tile(p, x, x.clone()) - whole).max() <= 1e-13 * scale
    for r, c in (
        (slice(0, 3), slice(3, 7)),
        (slice(2, 5), slice(2, 5)),
        (slice(6, 7), slice(0, 1)),
    ):
        assert np.abs(tile(p, x, None, r, c) - whole[:, r, c]).max() <= 1e-13 * scale


@pytest.mark.parametrize("name", NAMES)
def test_grams_are_symmetric_with_the_diagonal(name: str) -> None:
    p, x = problem(name), rows(name, 5)
    gram = tile(p, x)
    assert np.array_equal(gram, gram.transpose(0, 2, 1))
    assert np.diagonal(gram, axis1=1, axis2=2) == pytest.approx(diagonal(p, x), rel=1e-14)
    assert np.linalg.eigvalsh(gram).min() >= -1e-13 * np.abs(gram).max()


@pytest.mark.parametrize("width", [1, 2])
def test_narrow_networks(width: int) -> None:
    p, x = problem("dense", FiniteWidth(width, 1)), rows("dense", 3)
    assert np.isfinite(tile(p, x)).all()
    assert EVALUATOR.tile_side(p) >= 1


def test_several_networks_and_repeated_outputs_in_one_tile() -> None:
    shallow, deep = CASES["no_bias"][0], CASES["dense"][0]
    wanted = ((deep, "nngp"), (shallow, "ntk"), (deep, "ntk"), (deep, "nngp"))
    p = Problem(tuple(Output(*w) for w in wanted), Shape(5), finite=FiniteWidth(6, 2))
    x = rows("dense", 4)
    for found, (network, quantity) in zip(tile(p, x), wanted, strict=True):
        alone = Problem((Output(network, quantity),), Shape(5), finite=FiniteWidth(6, 2))
        assert np.array_equal(found, tile(alone, x)[0])


def test_calls_repeat_and_seeds_differ() -> None:
    x = rows("dense", 3)
    first, again = (tile(problem("dense"), x) for _ in range(2))
    other = tile(problem("dense", FiniteWidth(6, 3, random_state=2)), x)
    assert np.array_equal(first, again)
    assert np.abs(first - other).max() > 0.01


def test_single_precision_uses_the_same_networks() -> None:
    x = rows("residual_images", 4)
    double = tile(problem("residual_images"), x)
    single = tile(problem("residual_images", dtype=torch.float32), x)
    assert np.abs(single - double).max() <= 2e-6 * np.abs(double).max()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype, bound", [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_cuda_agrees_with_the_cpu(name: str, dtype: torch.dtype, bound: float) -> None:
    x = rows(name, 5)
    cpu = tile(problem(name, dtype=dtype), x)
    cuda = tile(problem(name, dtype=dtype, device=torch.device("cuda")), x)
    assert np.abs(cuda - cpu).max() <= bound * np.abs(cpu).max()


class Unknown(Layer):
    def __repr__(self) -> str:
        return "Unknown()"


@pytest.mark.parametrize(
    "finite, message",
    [
        (None, "infinitely wide"),
        (FiniteWidth(0), "width must be an integer >= 1, got 0"),
        (FiniteWidth(2.5), "width must be"),  # type: ignore[arg-type]
        (FiniteWidth(4, n_networks=0), "n_networks must be"),
        (FiniteWidth(4, random_state=None), "random_state must be an integer, got None"),  # type: ignore[arg-type]
        (FiniteWidth(4, random_state=1.0), "random_state"),  # type: ignore[arg-type]
        (FiniteWidth(4, random_state=torch.Generator()), "random_state"),  # type: ignore[arg-type]
        (FiniteWidth(4, random_state=-1), "random_state must not be negative"),
    ],
)
def test_reasons(finite: FiniteWidth | None, message: str) -> None:
    (reason,) = EVALUATOR.why_not(problem("dense", finite))
    assert message in reason


def test_no_reason_against_a_finite_width_and_unknown_layers_are_named() -> None:
    assert EVALUATOR.why_not(problem("dense")) == []
    tree = Serial(CASES["dense"][0], Unknown())
    (reason,) = EVALUATOR.why_not(Problem((Output(tree, "ntk"),), Shape(5), finite=FiniteWidth(4)))
    assert "Unknown" in reason


@pytest.mark.parametrize("name, width", [("dense", 64), ("average", 64), ("flatten", 24)])
def test_the_memory_model_covers_what_is_allocated(name: str, width: int) -> None:
    p, side = problem(name, FiniteWidth(width, 2)), 64
    x = EVALUATOR.prepare(p, rows(name, 2 * side))
    out = np.empty((2, side, side))
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        EVALUATOR.tile(p, x, slice(side), x, slice(side, None), False, out)
    assert profiled.profiler is not None
    events = profiled.profiler.kineto_results.events()  # type: ignore[union-attr]
    changes = sorted((e.start_ns(), e.nbytes()) for e in events if e.name() == "[memory]")
    peak = np.cumsum([change for _, change in changes]).max()
    per_pair, per_input = EVALUATOR.workspace(p)
    assert 0 < peak <= side * side * per_pair + side * per_input
