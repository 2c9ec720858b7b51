"""From Gram blocks and targets to predictions; knows no networks."""

from .dirichlet import class_probabilities, dirichlet_labels
from .posterior import Posterior, condition
from .ridge import RidgeSolution, solve_ridge
from .targets import TargetScale, centred_one_hot, target_scale

__all__ = [
    "Posterior",
    "RidgeSolution",
    "TargetScale",
    "centred_one_hot",
    "class_probabilities",
    "condition",
    "dirichlet_labels",
    "solve_ridge",
    "target_scale",
]
