"""Rows, targets, estimators and kernels that the tests of bad input share.

An estimator joins all tests by being appended to `ESTIMATORS`, and to `RIDGELESS` if it can do
without a ridge.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import is_classifier

from ntk_sklearn import (
    NNGPClassifier,
    NNGPClassifierCV,
    NNGPRegressor,
    NNGPRegressorCV,
    NTKClassifier,
    NTKClassifierCV,
    NTKRegressor,
    NTKRegressorCV,
)
from ntk_sklearn.kernels import NNGP, NTK, NNGPKernel, NTKKernel
from ntk_sklearn.networks import Convolutional, FullyConnected

SEARCHES = [NTKRegressorCV, NTKClassifierCV, NNGPRegressorCV, NNGPClassifierCV]
ESTIMATORS = [NTKRegressor, NTKClassifier, NNGPRegressor, NNGPClassifier, *SEARCHES]
# The options of estimators that can interpolate.
RIDGELESS: dict[type, dict[str, Any]] = {
    NTKRegressor: {"alpha": 0.0, "normalize_y": False},
    NTKClassifier: {"alpha": 0.0},
    NNGPRegressor: {"noise": 0.0, "normalize_y": False},
}
CLASSIFIERS = [kind for kind in ESTIMATORS if is_classifier(kind())]
REGRESSORS = [kind for kind in ESTIMATORS if kind not in CLASSIFIERS]
TRAINED = [kind for kind in ESTIMATORS if hasattr(kind(), "t")]  # by gradient descent, for a time
KERNELS = [NTK, NNGP]
TORCH_KERNELS = [NTKKernel, NNGPKernel]

N, M, WIDTH = 20, 5, 12
IMAGE = (1, 3, 4)
rng = np.random.default_rng(0)
X, Z = rng.normal(size=(N, WIDTH)), rng.normal(size=(M, WIDTH))
DENSE, BIAS_FREE = FullyConnected(1), FullyConnected(1, b_std=0.0)
POOLED = Convolutional(1)

estimators = pytest.mark.parametrize("kind", ESTIMATORS)
regressors = pytest.mark.parametrize("kind", REGRESSORS)
classifiers = pytest.mark.parametrize("kind", CLASSIFIERS)
trained = pytest.mark.parametrize("kind", TRAINED)
ridgeless = pytest.mark.parametrize("kind", RIDGELESS)
kernels = pytest.mark.parametrize("kind", KERNELS)
matrices = pytest.mark.parametrize("kind", [*KERNELS, *TORCH_KERNELS])
everything = pytest.mark.parametrize("kind", [*ESTIMATORS, *KERNELS, *TORCH_KERNELS])
torch_kernels = pytest.mark.parametrize("kind", TORCH_KERNELS)


def targets(kind: type, n: int = N) -> np.ndarray:
    """Three classes in turn, or one continuous output."""
    return np.arange(n) % 3 if kind in CLASSIFIERS else np.sin(np.arange(n))


def outputs(model: Any, rows: Any) -> np.ndarray:
    """What an estimator computes before it decides on a class."""
    for name in ("decision_function", "predict_proba"):
        if hasattr(model, name):
            return getattr(model, name)(rows)
    return model.predict(rows)


def fitted(kind: type, network: Any = DENSE, **options: Any) -> Any:
    return kind(network, **options).fit(X, targets(kind))


def torch_kernel(kind: type, network: FullyConnected) -> Any:
    """A kernel in double precision whose scales are not rounded to single precision first."""
    kernel = kind(network).double()
    for name in kernel.scales:
        kernel.set_scale(name, getattr(network, name))
    return kernel


def gram(kind: type, network: FullyConnected, rows: Any, columns: Any = None) -> np.ndarray:
    """A kernel matrix as an array, of either library."""
    if kind in KERNELS:
        return kind(network)(rows, columns)
    tensors = [None if v is None else torch.tensor(v) for v in (rows, columns)]
    return dense_matrix(torch_kernel(kind, network), *tensors).detach().numpy()


def dense_matrix(kernel: Any, x: torch.Tensor, z: torch.Tensor | None = None) -> torch.Tensor:
    return kernel(x, z).to_dense()


def _fits(kind: type) -> Callable[[Any], np.ndarray]:
    return lambda rows: outputs(kind(DENSE).fit(rows, targets(kind, _length(rows))), Z)


@functools.cache
def _fitted(kind: type) -> Any:
    return fitted(kind)


def _predicts(kind: type) -> Callable[[Any], np.ndarray]:
    def use(rows: Any) -> np.ndarray:
        if not hasattr(rows, "columns"):
            return outputs(_fitted(kind), rows)
        named = type(rows)(X, columns=rows.columns)
        return outputs(kind(DENSE).fit(named, targets(kind)), rows)

    return use


def _length(rows: Any) -> int:
    return rows.shape[0] if hasattr(rows, "shape") else len(rows)


# Everything that reads 2-D rows as scikit-learn does, as functions of the rows.
USES: dict[str, Callable[[Any], np.ndarray]] = {
    **{f"{kind.__name__}.fit": _fits(kind) for kind in ESTIMATORS},
    **{f"{kind.__name__}.predict": _predicts(kind) for kind in ESTIMATORS},
    **{f"{kind.__name__}(X)": kind(DENSE) for kind in KERNELS},
    **{f"{kind.__name__}(X, Y)": functools.partial(kind(DENSE), Z) for kind in KERNELS},
    **{f"{kind.__name__}.diag": kind(DENSE).diag for kind in KERNELS},
}
uses = pytest.mark.parametrize("use", USES.values(), ids=USES)


def _torch_use(kind: type, gradient: bool) -> Callable[[torch.Tensor], torch.Tensor]:
    def use(rows: torch.Tensor) -> torch.Tensor:
        with torch.set_grad_enabled(gradient):
            return dense_matrix(kind(DENSE).to(torch.as_tensor(X).dtype), rows).detach()

    return use


# The same for the kernels that read tensors.
TORCH_USES = {
    f"{kind.__name__}, {'with' if gradient else 'without'} gradients": _torch_use(kind, gradient)
    for kind in TORCH_KERNELS
    for gradient in (True, False)
}
torch_uses = pytest.mark.parametrize("use", TORCH_USES.values(), ids=TORCH_USES)
