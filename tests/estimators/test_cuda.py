"""Estimators on a CUDA device predict what those on the CPU do."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from sklearn.base import is_classifier

from ntk_sklearn import NNGPClassifier, NNGPRegressor, NTKClassifier, NTKRegressor
from ntk_sklearn.networks import Convolutional, FullyConnected

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
X = np.random.default_rng(0).normal(size=(60, 16))
NETWORKS = {"dense": FullyConnected(), "pooled": Convolutional(2)}


@pytest.mark.parametrize("kind", [NTKRegressor, NTKClassifier, NNGPRegressor, NNGPClassifier])
@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("dtype, tolerance", [("float64", 1e-8), ("float32", 1e-2)])
def test_predictions(kind, network, dtype, tolerance):
    y = np.digitize(X[:, 0], [-0.5, 0.5]) if is_classifier(kind()) else X[:, 0] ** 2
    name = {NTKClassifier: "decision_function", NNGPClassifier: "predict_proba"}.get(
        kind, "predict"
    )

    def outputs(**options):
        shape = (1, 4, 4) if network == "pooled" else None
        model = kind(NETWORKS[network], image_shape=shape, **options).fit(X[:50], y[:50])
        assert isinstance(model.dual_coef_, np.ndarray)
        return getattr(pickle.loads(pickle.dumps(model)), name)(X[50:])

    expected = outputs(device="cpu")
    error = np.abs(outputs(device="cuda", dtype=dtype) - expected).max()
    assert error < tolerance * np.abs(expected).max()
