"""Evaluators of kernel tiles; each can say why it cannot run a problem."""

from .empirical import EmpiricalEvaluator
from .evaluator import Evaluator, choose
from .problem import FiniteWidth, Output, Problem, Quantity
from .reference import ReferenceEvaluator, layout, mirrored

__all__ = [
    "EmpiricalEvaluator",
    "Evaluator",
    "FiniteWidth",
    "Output",
    "Problem",
    "Quantity",
    "ReferenceEvaluator",
    "choose",
    "layout",
    "mirrored",
]
