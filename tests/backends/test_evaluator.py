"""The choice of an evaluator."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from ntk_sklearn.architecture import Dense, Shape
from ntk_sklearn.backends import (
    EmpiricalEvaluator,
    FiniteWidth,
    Output,
    Problem,
    ReferenceEvaluator,
    choose,
    least_side,
    prepared_bytes,
)

PROBLEM = Problem((Output(Dense(), "nngp"),), Shape(3))


@dataclass
class Fake:
    """An evaluator that only has a name and reasons."""

    name: str
    reasons: list[str] = field(default_factory=list)

    def why_not(self, problem: Problem) -> list[str]:
        assert problem is PROBLEM
        return self.reasons


ABLE, OTHER = Fake("able"), Fake("other")
UNABLE, UNWILLING = Fake("unable", ["no GPU", "no float64"]), Fake("unwilling", ["not today"])


@pytest.mark.parametrize(
    "evaluators", [[ABLE], [ABLE, OTHER], [UNABLE, ABLE, OTHER], [UNWILLING, UNABLE, ABLE]]
)
def test_auto_takes_the_first_without_reasons(evaluators):
    assert choose(PROBLEM, evaluators) is ABLE
    assert choose(PROBLEM, evaluators, "auto") is ABLE


def test_named():
    assert choose(PROBLEM, [ABLE, OTHER], "other") is OTHER


def test_unknown_names_list_the_known():
    with pytest.raises(ValueError, match=r"'auto' or one of \['able', 'other'\], got 'fused'"):
        choose(PROBLEM, [ABLE, OTHER], "fused")


def test_a_named_evaluator_that_cannot_is_not_replaced():
    with pytest.raises(ValueError, match=r"backend='unable' .*: unable: no GPU, no float64$"):
        choose(PROBLEM, [ABLE, UNABLE], "unable")


def test_nobody_can_and_all_reasons_are_told():
    told = r"backend='auto' cannot.*: unable: no GPU, no float64; unwilling: not today$"
    with pytest.raises(ValueError, match=told):
        choose(PROBLEM, [UNABLE, UNWILLING])


def test_the_reference_says_why_it_cannot():
    finite = Problem(PROBLEM.outputs, Shape(3), finite=FiniteWidth(64))
    assert choose(PROBLEM, [ReferenceEvaluator()]).name == "reference"
    with pytest.raises(ValueError, match=r"reference: it computes infinite width, .* width 64"):
        choose(finite, [ReferenceEvaluator()])


@pytest.mark.parametrize("evaluator", [ReferenceEvaluator(), EmpiricalEvaluator()])
def test_torch_takes_all_cores_within_a_tile(evaluator):
    assert evaluator.concurrent is False


def test_methods_that_may_be_absent():
    class Small(ReferenceEvaluator):
        def least_side(self, problem: Problem) -> int:
            return 3

        def prepared_bytes(self, problem: Problem) -> int:
            return 40

    assert (least_side(Small(), PROBLEM), prepared_bytes(Small(), PROBLEM)) == (3, 40)
    plain = ReferenceEvaluator()
    assert least_side(plain, PROBLEM) == plain.tile_side(PROBLEM)
    assert prepared_bytes(plain, PROBLEM) == 0
