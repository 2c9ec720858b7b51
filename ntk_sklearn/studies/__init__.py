"""What networks of finite width do beside their limit: functions that return arrays."""

from .frozen import FrozenPreconditioner, frozen_preconditioner

__all__ = ["FrozenPreconditioner", "frozen_preconditioner"]
from ._power_law import PowerLaw
from .agreement import FiniteAgreement, finite_agreement
from .catapult import Catapult, catapult
from .comparison import TrainingComparison, trained_versus_linearized
from .drift import DriftOverWidths, KernelDrift, kernel_drift, kernel_drift_over_widths
from .width import WidthConvergence, width_convergence

__all__ = [
    "Catapult",
    "DriftOverWidths",
    "FiniteAgreement",
    "KernelDrift",
    "PowerLaw",
    "TrainingComparison",
    "WidthConvergence",
    "catapult",
    "finite_agreement",
    "kernel_drift",
    "kernel_drift_over_widths",
    "trained_versus_linearized",
    "width_convergence",
]
