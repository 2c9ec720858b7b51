"""Predictions of infinitely trained networks, recorded from an independent implementation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ntk_sklearn import NNGPRegressor, NTKRegressor
from ntk_sklearn.kernels import NNGP, NTK
from ntk_sklearn.networks import FullyConnected

NETWORK = FullyConnected(2, b_std=0.1, readout_b_std=0.05)
TABLE = np.load(Path(__file__).parents[1] / "golden" / "predictions.npz")
X, Z, Y = (TABLE[name] for name in ("X_train", "X_test", "y_train"))
ridges = pytest.mark.parametrize("reg", [0.0, 0.001])


def close(value, expected):
    assert np.abs(value - expected).max() < 1e-9 * np.abs(expected).max()


@pytest.mark.parametrize("kind, name", [(NNGP, "nngp"), (NTK, "ntk")])
def test_kernels_of_the_recorded_network(kind, name):
    kernel = kind(NETWORK)
    close(kernel(X), TABLE[f"{name}_train_train"])
    close(kernel(Z, X), TABLE[f"{name}_test_train"])
    close(kernel(Z), TABLE[f"{name}_test_test"])


@ridges
def test_posterior(reg):
    noise = reg * np.trace(NNGP(NETWORK)(X)) / len(X)
    model = NNGPRegressor(NETWORK, noise=noise, normalize_y=False).fit(X, Y)
    mean, cov = model.predict(Z, return_cov=True)
    close(mean, TABLE[f"ensemble/nngp/reg={reg}/t=None/mean"])
    for k in range(2):
        close(cov[..., k], TABLE[f"ensemble/nngp/reg={reg}/t=None/cov"])


@ridges
def test_mean_of_trained_networks(reg):
    model = NTKRegressor(NETWORK, alpha=reg, normalize_y=False).fit(X, Y)
    close(model.predict(Z), TABLE[f"ensemble/ntk/reg={reg}/t=None/mean"])
