"""What the fused engine does not cover: it says so in words, and the reference takes over."""

from __future__ import annotations

import re
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from fused_cases import RELU, SQUARE, block, conv, pictures, pooled
from fused_dense import DENSE
from fused_images import IMAGES
from fused_kernels import FUSED, REFERENCE, matrix, problem_of
from outside_activation import SquaredReLU

from ntk_sklearn.architecture import (
    Activation,
    Aggregate,
    ConcatPositions,
    Conv,
    Dense,
    Flatten,
    GlobalAvgPool,
    GraphInput,
    Resize,
    SelfAttention,
    Serial,
    Shape,
    Slice,
    Sum,
)
from ntk_sklearn.backends import EmpiricalEvaluator, FiniteWidth, Output, Problem, choose
from ntk_sklearn.backends.fused import evaluator as entrance
from ntk_sklearn.duals import ReLU

EVALUATORS = (FUSED, REFERENCE, EmpiricalEvaluator())
PLAIN = Problem((Output(DENSE["depth 3"], "ntk"),), Shape(6))


class Slower(type(ReLU())):
    """A subclass, which may mean another function."""


def image_problem(*layers, shape=SQUARE) -> Problem:
    return problem_of(Serial(*layers), shape)


REFUSED = {
    "finite width": (replace(PLAIN, finite=FiniteWidth(64)), "infinite width, .* 64"),
    "device": (replace(PLAIN, device=torch.device("cuda")), "CPU, the device is cuda"),
    "own activation": (problem_of(Serial(Dense(), Activation(SquaredReLU()), Dense()), (3,)),
                       "activation SquaredReLU"),
    "own activation, images": (image_problem(conv(), Activation(SquaredReLU()), GlobalAvgPool()),
                               "activation SquaredReLU"),
    "own activation, behind a head": (
        image_problem(conv(), GlobalAvgPool(), Activation(SquaredReLU()), Dense()),
        "activation SquaredReLU"),
    "kinks": (problem_of(Serial(Dense(), Activation("elu"), Dense()), (3,)),
              "activation ELU.* whose kinks need more than a series"),
    "subclass": (image_problem(conv(), Activation(Slower(0.0, 1.0)), Flatten()),
                 "activation Slower"),
    "three axes": (problem_of(pooled(block()), (1, 3, 3, 3)), "3 spatial axes"),
    "head in a branch": (
        image_problem(conv(), Sum(Serial(RELU, GlobalAvgPool(), Dense()), Flatten()), RELU),
        "head inside a branch"),
    "attention": (image_problem(conv(), RELU, SelfAttention(), Flatten()), "layer SelfAttention"),
    "resized": (image_problem(conv(), RELU, Resize(2), Flatten()), "layer Resize"),
    "slice": (image_problem(conv(), Slice((1, None), (0, 2)), Flatten()), "layer Slice"),
    "branches beside": (image_problem(ConcatPositions(conv(), conv()), Flatten()),
                        "layer ConcatPositions"),
    "graph": (problem_of(Serial(Aggregate(((0, 1), (1, 0))), conv(), Flatten()), (3, 2)),
              "layer Aggregate"),
    "graph of each row": (problem_of(Serial(GraphInput(), conv(), Flatten()), (3, 2)),
                          "layer GraphInput"),
    "infinitely many channels": (Problem(PLAIN.outputs, Shape(None)), "infinitely many channels"),
}  # fmt: skip


@pytest.mark.parametrize("problem, words", REFUSED.values(), ids=list(REFUSED))
def test_reasons(problem, words):
    (reason,) = FUSED.why_not(problem)
    assert re.search(words, reason)
    with pytest.raises(ValueError, match=f"^backend='fused' cannot .*: fused: .*{words}"):
        choose(problem, EVALUATORS, "fused")
    able = "reference" if problem.finite is None else "empirical"
    assert choose(problem, EVALUATORS).name == able


def test_the_reference_computes_what_is_refused():
    problem, _ = REFUSED["own activation, images"]
    chosen = choose(problem, EVALUATORS)
    assert np.isfinite(matrix(chosen, problem, pictures(SQUARE))).all()


def test_all_reasons_are_told():
    problem = replace(
        REFUSED["own activation"][0], finite=FiniteWidth(8), device=torch.device("cuda")
    )
    assert len(FUSED.why_not(problem)) == 3


def test_one_network_of_several_is_enough():
    networks = [IMAGES["odd"][0], Serial(conv(), Activation(SquaredReLU()), GlobalAvgPool())]
    assert len(FUSED.why_not(problem_of(networks, SQUARE))) == 1


def test_it_is_the_first_choice():
    for network, shape in ((DENSE["depth 3"], (6,)), IMAGES["pool"]):
        assert choose(problem_of(network, shape), EVALUATORS).name == "fused"


def test_tensors_as_scales_are_refused_or_numbers():
    network = Serial(Conv(3, w_std=torch.tensor(1.3)), RELU, Flatten())
    assert choose(problem_of(network, SQUARE), EVALUATORS).name in ("fused", "reference")


@pytest.fixture
def without_numba(monkeypatch):
    """The modules of the engine as if numba were not installed."""
    package = entrance.__name__.rpartition(".")[0]
    for name in [n for n in sys.modules if n.startswith(package + ".")]:
        if name not in (entrance.__name__, package + ".lowering", package + ".program"):
            monkeypatch.delitem(sys.modules, name)
    for name in [n for n in sys.modules if n.partition(".")[0] in ("numba", "llvmlite")]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, "numba", None)
    entrance._planned.cache_clear()
    yield
    entrance._planned.cache_clear()


@pytest.mark.parametrize("network, shape", [(DENSE["depth 3"], (6,)), IMAGES["pool"]])
def test_without_numba(network, shape, without_numba):
    problem = problem_of(network, shape)
    (reason,) = FUSED.why_not(problem)
    assert reason.startswith("it needs numba, which cannot be imported")
    able = "reference" if problem.finite is None else "empirical"
    assert choose(problem, EVALUATORS).name == able
    with pytest.raises(ValueError, match="needs numba"):
        choose(problem, EVALUATORS, "fused")


def test_numba_is_back():
    assert FUSED.why_not(PLAIN) == []
