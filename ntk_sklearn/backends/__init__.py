"""Evaluators of kernel tiles; each can say why it cannot run a problem."""

from .empirical import EmpiricalEvaluator
from .evaluator import Evaluator, choose, least_side, prepared_bytes, tile_overhead
from .fused import FusedEvaluator
from .module import ModuleEvaluator
from .problem import FiniteWidth, GivenParameters, Output, Problem, Quantity
from .reference import ReferenceEvaluator, layout, mirrored

__all__ = [
    "EmpiricalEvaluator",
    "Evaluator",
    "FiniteWidth",
    "FusedEvaluator",
    "GivenParameters",
    "ModuleEvaluator",
    "Output",
    "Problem",
    "Quantity",
    "ReferenceEvaluator",
    "choose",
    "layout",
    "least_side",
    "mirrored",
    "prepared_bytes",
    "tile_overhead",
]
