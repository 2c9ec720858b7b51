"""What networks of finite width do beside their limit: functions that return arrays."""

from ._power_law import PowerLaw
from .agreement import FiniteAgreement, finite_agreement
from .catapult import Catapult, catapult
from .comparison import TrainingComparison, trained_versus_linearized
from .drift import DriftOverWidths, KernelDrift, kernel_drift, kernel_drift_over_widths
from .frozen import FrozenPreconditioner, frozen_preconditioner
from .width import WidthConvergence, width_convergence

__all__ = [
    "Catapult",
    "DriftOverWidths",
    "FiniteAgreement",
    "FrozenPreconditioner",
    "KernelDrift",
    "PowerLaw",
    "TrainingComparison",
    "WidthConvergence",
    "catapult",
    "finite_agreement",
    "frozen_preconditioner",
    "kernel_drift",
    "kernel_drift_over_widths",
    "trained_versus_linearized",
    "width_convergence",
]
