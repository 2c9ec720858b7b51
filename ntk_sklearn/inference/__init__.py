"""From Gram blocks and targets to predictions; knows no networks."""

from .dirichlet import class_probabilities, dirichlet_labels
from .filters import gradient_descent, gradient_flow, momentum_flow
from .leave_one_out import LeaveOneOut, leave_one_out, merged_log_evidence
from .losses import (
    binary_cross_entropy,
    huber,
    softmax_cross_entropy,
    squared,
    train_on_loss,
)
from .merging import Groups, equal_rows
from .posterior import Posterior, condition, posterior_covariance, posterior_variance
from .ridge import RidgeSolution, mean_diagonal, solve_ridge
from .targets import TargetScale, centred_one_hot, target_scale
from .training import (
    TrainingModes,
    ensemble_covariance,
    max_learning_rate,
    mean_loss_scale,
    readout_covariance,
    training_modes,
)

__all__ = [
    "Groups",
    "LeaveOneOut",
    "Posterior",
    "RidgeSolution",
    "TargetScale",
    "TrainingModes",
    "binary_cross_entropy",
    "centred_one_hot",
    "class_probabilities",
    "condition",
    "dirichlet_labels",
    "ensemble_covariance",
    "equal_rows",
    "gradient_descent",
    "gradient_flow",
    "huber",
    "leave_one_out",
    "max_learning_rate",
    "mean_diagonal",
    "mean_loss_scale",
    "merged_log_evidence",
    "momentum_flow",
    "posterior_covariance",
    "posterior_variance",
    "readout_covariance",
    "softmax_cross_entropy",
    "solve_ridge",
    "squared",
    "target_scale",
    "train_on_loss",
    "training_modes",
]
