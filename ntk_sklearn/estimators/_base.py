"""What the four estimators share: validation of data, and kernels from parameters."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.preprocessing import LabelEncoder
from sklearn.utils import Tags, compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from .._validation import as_rows, detached, holds_text, resolve_image_shape
from ..architecture import Layer, check_trainable
from ..finite import Linearized
from ..kernels import NNGP, NTK
from ..kernels._network import as_network, refuse_module, trees, with_default_network
from ..kernels.expressions import Expression
from ..kernels.precomputed import Precomputed, check_square, is_precomputed
from ._pickling import VersionedState
from ._progress import ReportsProgress
from ._rows import Kernel, TrainingRows


class KernelEstimator(ReportsProgress, VersionedState):
    """Base of all estimators: rows of X are validated once, then handed to a kernel."""

    _kernel_type: type[NTK] | type[NNGP]

    def __sklearn_tags__(self) -> Tags:
        """Rows of a precomputed kernel are split together with its columns."""
        tags = super().__sklearn_tags__()
        tags.input_tags.pairwise = is_precomputed(self.network)
        return tags

    def _fit_rows(self, X: Any, y: Any, **checks: Any) -> tuple[np.ndarray, np.ndarray, Kernel]:
        """Validated rows (an own copy), y, and the kernel with its image shape."""
        flat, found = as_rows(X, self.image_shape)
        y = detached(y, "y")
        if checks.get("y_numeric") and holds_text(y):  # scikit-learn takes "1.5" for 1.5
            raise ValueError("y must be made of numbers, got strings")
        rows, y = validate_data(self, flat, y, dtype=np.float64, **checks)
        if is_precomputed(self.network):
            return check_square(rows), y, Precomputed()
        shape = None if found is None else resolve_image_shape(found, rows.shape[1])
        return np.array(rows), y, self._kernel(shape)

    def _kernel(self, image_shape: tuple[int, ...] | None) -> NTK | NNGP:
        network = as_network(self.network)
        if isinstance(network, (Layer, Expression)):
            for layers in trees(network):
                check_trainable(layers)
        if self._kernel_type is NNGP:
            refuse_module(network)
        network = network if isinstance(network, Layer) else clone(network)
        if isinstance(network, Linearized) and network.outputs == "auto":
            network.outputs = "full"
        return self._kernel_type(
            network,
            image_shape=image_shape,
            backend=self.backend,
            device=self.device,
            dtype=self.dtype,
            memory_budget=self.memory_budget,
        )

    def _gram(self, data: TrainingRows, *quantities: str) -> np.ndarray:
        """The Grams (n_quantities, n, n), their tiles reported."""
        n = data.by_output.n * len(data.rows)
        n_pairs = n * (n + 1) // 2
        with self._progress("kernel", "tile", n_pairs) as report:
            return data.gram(*quantities, progress=report)

    def set_params(self, **params: Any) -> KernelEstimator:
        """Set parameters; ``network__depth`` and so on also where the network is the default."""
        return super().set_params(**with_default_network(self, params))

    def _new_rows(self, X: Any) -> np.ndarray:
        """Validated rows of X for a prediction."""
        check_is_fitted(self)
        flat, _ = as_rows(X, self.kernel_.image_shape)
        rows: np.ndarray = validate_data(self, flat, reset=False, dtype=np.float64)
        return rows


def check_weights(sample_weight: Any, X: np.ndarray) -> np.ndarray:
    """Weights (n,), not negative and not all zero."""
    weight: np.ndarray = _check_sample_weight(
        detached(sample_weight, "sample_weight"), X, dtype=np.float64, ensure_non_negative=True
    )
    if not weight.any():
        raise ValueError("all sample weights are zero")
    return weight


def check_nonnegative(value: Any, name: str) -> float:
    """`value` as a float, if it is a finite number >= 0."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a number >= 0, got {value!r}")
    if not (np.isfinite(float(value)) and float(value) >= 0):
        raise ValueError(f"{name} must be finite and >= 0, got {value!r}")
    return float(value)


def encode_labels(
    y: Any, weight: np.ndarray, class_weight: Any
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Classes, the code of each label, and weights with `class_weight` multiplied in.

    Raises
    ------
    ValueError
        If y is not made of class labels of one type, rows of positive weight have fewer than two
        classes, or a class weight is not positive.
    """
    used = weight > 0
    try:
        check_classification_targets(y)
        encoder = LabelEncoder().fit(y[used])
    except TypeError as error:  # numpy's, from sorting
        raise ValueError(f"class labels must be of one type that can be sorted: {error}") from error
    if len(encoder.classes_) < 2:
        raise ValueError(
            f"a classifier needs at least 2 classes, the data have 1 class: {encoder.classes_[0]!r}"
        )
    codes = encoder.transform(y[used])
    factor = compute_sample_weight(class_weight, y[used])
    if not ((factor > 0) & np.isfinite(factor)).all():
        raise ValueError(f"class_weight must be positive and finite, got {class_weight!r}")
    return encoder.classes_, codes, weight[used] * factor
