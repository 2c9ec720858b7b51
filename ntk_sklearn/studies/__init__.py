"""What networks of finite width do beside their limit: functions that return arrays."""

from .comparison import TrainingComparison, trained_versus_linearized
from .width import WidthConvergence, width_convergence

__all__ = [
    "TrainingComparison",
    "WidthConvergence",
    "trained_versus_linearized",
    "width_convergence",
]
