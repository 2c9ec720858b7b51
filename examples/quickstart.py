"""Infinitely wide networks on real data: classify digits, search hyperparameters, regress.

Run it with ``python examples/quickstart.py``: about a minute on two cores, no downloads. It prints
two tables and saves a picture beside itself (``--output`` names another place).
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path

import matplotlib
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from ntk_sklearn import NNGPRegressor, NTKClassifier, NTKRegressor
from ntk_sklearn.kernels import NTK
from ntk_sklearn.networks import Convolutional, FullyConnected, ResNet
from ntk_sklearn.plotting import PosteriorDisplay

matplotlib.use("Agg")
import matplotlib.pyplot as plt

FOLDS = StratifiedKFold(5, shuffle=True, random_state=0)


def compare_kernels(X: np.ndarray, y: np.ndarray) -> None:
    """One support vector machine, four kernels: each Gram is computed once and cross-validated."""
    images = {"image_shape": (1, 8, 8), "dtype": "float32"}
    kernels = {
        "dense, 3 hidden layers": NTK(FullyConnected(depth=3)),
        "convolutional, 3 layers, pooled": NTK(Convolutional(depth=3), **images),
        "residual, 2 blocks, pooled": NTK(ResNet(blocks=(1, 1)), **images),
    }
    print(f"{len(X)} digits of 8 x 8 pixels, 5-fold accuracy of a support vector machine")
    row("RBF kernel", cross_val_score(SVC(), X, y, cv=FOLDS), 0.0)
    for name, kernel in kernels.items():
        start = time.perf_counter()
        K = kernel(X)
        K /= np.diag(K).mean()
        scores = cross_val_score(SVC(kernel="precomputed", C=100.0), K, y, cv=FOLDS)
        row(f"NTK: {name}", scores, time.perf_counter() - start)


def row(name: str, scores: np.ndarray, seconds: float) -> None:
    """One line of the table."""
    print(f"  {name:<38} {scores.mean():.3f} +- {scores.std() / 5**0.5:.3f}   {seconds:5.1f} s")


def search(X: np.ndarray, y: np.ndarray) -> None:
    """Depth, width and ridge of a dense network in a pipeline."""
    pipeline = make_pipeline(StandardScaler(), NTKClassifier(FullyConnected(n_networks=3)))
    grid = {
        "ntkclassifier__network__depth": [1, 3],
        "ntkclassifier__network__width": [64, 512, math.inf],
        "ntkclassifier__alpha": [1e-4, 1e-1],
    }
    found = GridSearchCV(pipeline, grid, cv=3).fit(X, y)
    print(f"\nGrid search on {len(X)} digits (3 folds)\n  depth  width  ridge   accuracy")
    for params, score in zip(
        found.cv_results_["params"], found.cv_results_["mean_test_score"], strict=True
    ):
        alpha, depth, width = (params[name] for name in sorted(params))
        print(f"  {depth:<6} {width!s:<6} {alpha:<7g} {score:.3f}")


def picture(path: Path) -> None:
    """Regression in one dimension: posterior, trained network, and finite networks."""
    x = np.array([-2.0, -1.7, -1.3, -0.9, 0.1, 0.4, 0.9, 1.3, 2.0])[:, np.newaxis]
    y = np.sin(2.0 * x[:, 0])
    grid = np.linspace(-3.0, 3.0, 301)
    network = FullyConnected(depth=2)

    figure, axes = plt.subplots(1, 2, figsize=(11, 4), sharey=True, layout="constrained")
    left, right = axes
    gp = NNGPRegressor(network, noise=1e-4, normalize_y=False).fit(x, y)
    PosteriorDisplay.from_estimator(gp, x, y, grid=grid, ax=left, label="posterior mean")
    left.set_title("NNGP: Bayesian network of infinite width")

    def trained(network: FullyConnected) -> np.ndarray:
        model = NTKRegressor(network, alpha=1e-6, normalize_y=False).fit(x, y)
        return model.predict(grid[:, np.newaxis])

    finite = [FullyConnected(2, width=128, n_networks=1, random_state=seed) for seed in range(5)]
    draws = np.column_stack([trained(drawn) for drawn in finite])
    limit = PosteriorDisplay(grid, trained(network), draws=draws, x_train=x[:, 0], y_train=y)
    grey = {"color": "0.6", "label": "random networks of width 128, linearized"}
    limit.plot(right, color="#D55E00", label="infinite width", draw_kwargs=grey)
    right.set(title="NTK: network trained to convergence", ylabel="")
    left.set_ylim(-3.0, 3.0)
    figure.savefig(path, dpi=120)
    print(f"\nPicture saved to {path}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("quickstart.png"))
    parser.add_argument("--images", type=int, default=300, help="digits used; 1797 are there")
    arguments = parser.parse_args()
    X, y = load_digits(return_X_y=True)
    X, y = X[: arguments.images] / 16.0, y[: arguments.images]
    compare_kernels(X, y)
    search(X[:200], y[:200])
    picture(arguments.output)


if __name__ == "__main__":
    main()
