"""Every evaluator keeps the contract for every kind of problem that it can run."""

from __future__ import annotations

import sys

import evaluator_contract as contract
import pytest
import torch
from evaluator_contract import CHECKS, tiles_run_in_threads, work_fits_into_the_workspace
from fake_evaluators import Fake
from torch import nn

from ntk_sklearn.architecture import (
    Activation,
    AvgPool,
    Conv,
    Dense,
    Flatten,
    GlobalAvgPool,
    Identity,
    Serial,
    Shape,
    residual,
)
from ntk_sklearn.backends import (
    EmpiricalEvaluator,
    FiniteWidth,
    FusedEvaluator,
    GivenParameters,
    ModuleEvaluator,
    Output,
    Problem,
    ReferenceEvaluator,
)
from ntk_sklearn.finite.linearized import GivenModule

EVALUATORS = (FusedEvaluator(), ReferenceEvaluator(), EmpiricalEvaluator(), ModuleEvaluator())

DENSE = {depth: Serial(*[Dense(1.4, 0.1), Activation()] * depth, Dense()) for depth in (1, 3)}
ERF = Serial(Dense(1.5, 0.3), Activation("erf"), Dense())
LINEAR = Serial(Dense(1.2, 0.4))
RATES = Serial(Dense(1.4, 0.1, lr_multiplier=0.5), Activation(), Dense(lr_multiplier=0.0))
SKIP = Serial(
    Dense(1.4, 0.1),
    residual(Serial(Activation(), Dense(1.4, 0.1)), Identity()),
    Activation(),
    Dense(),
)
CONV = [Conv(3, 1.4, 0.1), Activation()]
FLAT = Serial(*CONV * 2, Flatten(), Dense())
POOLED = Serial(*CONV * 2, GlobalAvgPool(), Dense())
STAGES = Serial(
    *CONV, AvgPool(2), *CONV, Conv(3, strides=2), Activation(), GlobalAvgPool(), Dense()
)

torch.manual_seed(0)
MODULE = nn.Sequential(nn.Linear(7, 9), nn.Tanh(), nn.Linear(9, 3))
READS_IMAGES = nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(12, 2))


def both(network):
    return Output(network, "nngp"), Output(network, "ntk")


def given(*modules):
    return tuple(
        Output(GivenModule(m, None, list(m)[-1].out_features, False), "ntk") for m in modules
    )


IMAGE = Shape(2, (4, 4))
PROBLEMS = {
    "dense": Problem(both(DENSE[3]), Shape(40)),
    "dense single": Problem(both(DENSE[3]), Shape(40), torch.float32),
    "depths": Problem((Output(DENSE[3], "ntk"), *both(DENSE[1])), Shape(7)),
    "one feature": Problem(both(ERF), Shape(1)),
    "erf": Problem(both(ERF), Shape(40)),
    "linear": Problem(both(LINEAR), Shape(7)),
    "rates": Problem(both(RATES), Shape(7)),
    "residual": Problem(both(SKIP), Shape(7)),
    "flatten": Problem(both(FLAT), IMAGE),
    "flatten single": Problem(both(FLAT), IMAGE, torch.float32),
    "pooled": Problem(both(POOLED), IMAGE),
    "pooled single": Problem(both(POOLED), IMAGE, torch.float32),
    "stages": Problem(both(STAGES), IMAGE),
    "series": Problem(both(POOLED), Shape(1, (5,))),
    "finite dense": Problem(both(DENSE[1]), Shape(7), finite=FiniteWidth(8, 2)),
    "finite pooled": Problem(both(POOLED), IMAGE, finite=FiniteWidth(4, 2)),
    "modules": Problem(given(MODULE, MODULE[:1]), Shape(7), finite=GivenParameters()),
    "module single": Problem(given(MODULE), Shape(7), torch.float32, finite=GivenParameters()),
    "module of images": Problem(given(READS_IMAGES), IMAGE, finite=GivenParameters()),
}
PAIRS = {
    f"{evaluator.name}, {name}": (evaluator, problem)
    for evaluator in EVALUATORS
    for name, problem in PROBLEMS.items()
    if not evaluator.why_not(problem)
}
# what the fake says of its memory holds for rows without positions
FAKE = Fake(bytes_of=(56 * 8, 0))
PAIRS |= {f"fake, {name}": (FAKE, PROBLEMS[name]) for name in ("dense", "dense single", "residual")}
each = pytest.mark.parametrize("evaluator, problem", PAIRS.values(), ids=list(PAIRS))
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/status")


@each
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_contract(check, evaluator, problem):
    if evaluator is FAKE and check is tiles_run_in_threads:
        pytest.skip("it computes by torch, whose last bits depend on where arrays lie in memory")
    check(evaluator, problem)


@on_linux
@each
def test_work_fits_into_the_workspace(evaluator, problem):
    work_fits_into_the_workspace(evaluator, problem)


def test_every_evaluator_runs_some_problem():
    assert {evaluator.name for evaluator, _ in PAIRS.values()} > {e.name for e in EVALUATORS}


# The contract notices who breaks it.


class Broken(Fake):
    """An evaluator of which one thing is wrong."""

    def __init__(self, wrong):
        super().__init__()
        self._wrong = wrong

    def tile(self, problem, x, rows, z, cols, on_diagonal, out, halt=None):
        if 0 in out.shape and self._wrong == "refuses empty tiles":
            raise ValueError
        if self._wrong == "ignores the diagonal":
            on_diagonal = False
        super().tile(problem, x, rows, z, cols, on_diagonal, out)
        if self._wrong == "depends on the place":
            out[...] *= 1 + 1e-10 * rows.start
        if self._wrong == "depends on the size":
            out[...] *= 1 + 1e-10 * out.shape[2]
        if self._wrong == "mixes outputs" and len(out) > 1:
            out[0] = out[-1]
        if self._wrong == "writes beside" and getattr(out, "base", None) is not None:
            out.base.reshape(-1)[-1] = 1.0
        if self._wrong == "fails where halted" and halt is not None and halt[0]:
            raise RuntimeError


@pytest.mark.parametrize(
    "wrong, check",
    [
        ("refuses empty tiles", contract.empty_tiles_are_nothing_to_do),
        ("ignores the diagonal", contract.grams_are_symmetric_with_the_diagonal),
        ("depends on the place", contract.tiles_are_blocks_of_the_whole),
        ("depends on the size", contract.transposes_are_equal),
        ("mixes outputs", contract.outputs_come_in_the_order_asked_for),
        ("writes beside", contract.views_are_filled_and_nothing_else),
        ("fails where halted", contract.halted_tiles_return),
    ],
)
def test_who_breaks_the_contract_is_noticed(wrong, check):
    with pytest.raises((AssertionError, ValueError, RuntimeError)):
        check(Broken(wrong), PROBLEMS["dense"])


@on_linux
def test_work_beyond_the_workspace_is_noticed():
    with pytest.raises(AssertionError):
        work_fits_into_the_workspace(Fake(side=400, bytes_of=(56, 0)), PROBLEMS["dense"])
