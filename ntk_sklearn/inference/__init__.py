"""From Gram blocks and targets to predictions; knows no networks."""

from .alignment import kernel_alignment, target_alignment
from .amplitude import best_amplitude, left_out_log_probabilities
from .curriculum import ModeCurriculum, filtered_targets
from .dirichlet import class_probabilities, dirichlet_labels
from .ensemble import (
    ensemble_covariance,
    initialization_covariance,
    initialization_variance,
    readout_covariance,
)
from .evidence import (
    EvidenceSlope,
    MergedTargets,
    evidence_slope,
    merge_targets,
    merged_log_evidence,
)
from .filters import gradient_descent, gradient_flow, heavy_ball, momentum_flow
from .funk_hecke import funk_hecke
from .generalization import LearningCurve, learning_curve
from .gramian import ObservedModes, observability_gramian, observed_modes
from .harmonics import gegenbauer, multiplicities
from .laplace import LaplacePosterior, laplace_covariance, laplace_posterior
from .learnability import left_out_scores, mode_scores, residual_scores
from .leave_one_out import LeaveOneOut, inverse_diagonal, leave_one_out
from .losses import (
    LossGradient,
    binary_cross_entropy,
    cross_entropy,
    huber,
    softmax_cross_entropy,
    squared,
    train_on_loss,
)
from .merging import Groups, equal_rows, ungrouped
from .path import TrainingPath
from .posterior import Posterior, condition, posterior_covariance, posterior_variance
from .ridge import RidgeSolution, mean_diagonal, solve_ridge
from .schedule import Schedule, max_learning_rate
from .spectrum import Spectrum, kernel_spectrum, spectrum_of
from .sphere import SphereSpectrum
from .targets import TargetScale, centred_one_hot, target_scale
from .training import (
    TrainingModes,
    mean_loss_scale,
    training_modes,
)

__all__ = [
    "EvidenceSlope",
    "Groups",
    "LaplacePosterior",
    "LearningCurve",
    "LeaveOneOut",
    "LossGradient",
    "MergedTargets",
    "ModeCurriculum",
    "ObservedModes",
    "Posterior",
    "RidgeSolution",
    "Schedule",
    "Spectrum",
    "SphereSpectrum",
    "TargetScale",
    "TrainingModes",
    "TrainingPath",
    "best_amplitude",
    "binary_cross_entropy",
    "centred_one_hot",
    "class_probabilities",
    "condition",
    "cross_entropy",
    "dirichlet_labels",
    "ensemble_covariance",
    "equal_rows",
    "evidence_slope",
    "filtered_targets",
    "funk_hecke",
    "gegenbauer",
    "gradient_descent",
    "gradient_flow",
    "heavy_ball",
    "huber",
    "initialization_covariance",
    "initialization_variance",
    "inverse_diagonal",
    "kernel_alignment",
    "kernel_spectrum",
    "laplace_covariance",
    "laplace_posterior",
    "learning_curve",
    "leave_one_out",
    "left_out_log_probabilities",
    "left_out_scores",
    "max_learning_rate",
    "mean_diagonal",
    "mean_loss_scale",
    "merge_targets",
    "merged_log_evidence",
    "mode_scores",
    "momentum_flow",
    "multiplicities",
    "observability_gramian",
    "observed_modes",
    "posterior_covariance",
    "posterior_variance",
    "readout_covariance",
    "residual_scores",
    "softmax_cross_entropy",
    "solve_ridge",
    "spectrum_of",
    "squared",
    "target_alignment",
    "target_scale",
    "train_on_loss",
    "training_modes",
    "ungrouped",
]
