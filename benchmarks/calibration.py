"""How far class probabilities can be trusted: NNGPClassifier beside GaussianProcessClassifier.

Run ``OMP_NUM_THREADS=1 python benchmarks/calibration.py [digits] [wine] [breast_cancer]``; it
writes two tables in Markdown. Splits are the same for all methods, features are standardized with
the training rows of each. wine and breast_cancer: four times 5 folds, each left out once. digits:
6 folds with the roles exchanged, 299 rows to train on and 1498 to test on, since scikit-learn's
classifier with its kernel optimized takes minutes for more.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.gaussian_process.kernels import RBF, ConstantKernel
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import RepeatedStratifiedKFold, StratifiedKFold
from sklearn.preprocessing import StandardScaler

from ntk_sklearn import NNGPClassifier
from ntk_sklearn.networks import FullyConnected

DATASETS = {"wine": load_wine, "breast_cancer": load_breast_cancer, "digits": load_digits}
PEER = "GPC, optimized RBF"


def default_rbf(X: np.ndarray, y: np.ndarray) -> Any:
    """scikit-learn's classifier as it comes: the kernel RBF(1), not optimized."""
    return GaussianProcessClassifier().fit(X, y)


def optimized_rbf(X: np.ndarray, y: np.ndarray) -> Any:
    """Amplitude and length scale by the evidence, one kernel per class against the rest."""
    kernel = ConstantKernel(1.0) * RBF(np.sqrt(X.shape[1]))
    return GaussianProcessClassifier(kernel, random_state=0).fit(X, y)


def dirichlet(X: np.ndarray, y: np.ndarray) -> Any:
    """The default."""
    return NNGPClassifier().fit(X, y)


def laplace(X: np.ndarray, y: np.ndarray) -> Any:
    """The other method, the same network: three hidden layers."""
    return NNGPClassifier(method="laplace").fit(X, y)


def laplace_depth(X: np.ndarray, y: np.ndarray) -> Any:
    """Of 0 to 3 hidden layers, those under which training labels left out are most probable."""
    models = [NNGPClassifier(FullyConnected(d), method="laplace").fit(X, y) for d in range(4)]
    return max(models, key=lambda model: model.left_out_log_probability_)


METHODS: dict[str, Callable[[np.ndarray, np.ndarray], Any]] = {
    "dirichlet": dirichlet,
    "laplace": laplace,
    "laplace, depth chosen": laplace_depth,
    "GPC, default": default_rbf,
    PEER: optimized_rbf,
}


def calibration_error(codes: np.ndarray, probabilities: np.ndarray, n_bins: int = 15) -> float:
    """Expected calibration error (Guo et al. 2017) in bins of equal width of the top probability.

    The mean over rows of |accuracy of the row's bin - mean top probability of the row's bin|.
    """
    top = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == codes
    of_row = np.minimum((top * n_bins).astype(int), n_bins - 1)
    gaps = np.bincount(of_row, weights=right - top, minlength=n_bins)
    return float(np.abs(gaps).sum() / len(codes))


def splits(name: str, X: np.ndarray, y: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(training rows, test rows), fixed."""
    if name == "digits":
        folds = StratifiedKFold(n_splits=6, shuffle=True, random_state=0)
        return ((small, large) for large, small in folds.split(X, y))
    return RepeatedStratifiedKFold(n_splits=5, n_repeats=4, random_state=0).split(X, y)


def measure(name: str) -> dict[str, np.ndarray]:
    """Accuracy, log loss and calibration error, (n_splits, 3) by method."""
    X, y = DATASETS[name](return_X_y=True)
    found: dict[str, list[list[float]]] = {method: [] for method in METHODS}
    for train, test in splits(name, X, y):
        scaler = StandardScaler().fit(X[train])
        for method, fit in METHODS.items():
            model = fit(scaler.transform(X[train]), y[train])
            p = model.predict_proba(scaler.transform(X[test]))
            of_split = [accuracy_score(y[test], p.argmax(axis=1)), log_loss(y[test], p)]
            found[method].append([*of_split, calibration_error(y[test], p)])
    return {method: np.array(rows) for method, rows in found.items()}


def with_error(values: np.ndarray) -> str:
    """Mean and standard error over splits."""
    return f"{values.mean():.4f} ± {values.std(ddof=1) / np.sqrt(len(values)):.4f}"


def scores(name: str, found: dict[str, np.ndarray]) -> Iterator[str]:
    """One line per method."""
    for method, values in found.items():
        yield f"| {name} | {method} | {' | '.join(with_error(column) for column in values.T)} |"


def differences(name: str, found: dict[str, np.ndarray]) -> Iterator[str]:
    """Ours less scikit-learn's optimized one, split by split: negative is better."""
    for method in list(METHODS)[:3]:
        gap = found[method] - found[PEER]
        yield f"| {name} | {method} | {with_error(gap[:, 1])} | {with_error(gap[:, 2])} |"


def main() -> None:
    """Measure the data sets named, all by default."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset", nargs="*", help=f"of {', '.join(DATASETS)}; all by default")
    names = parser.parse_args().dataset or list(DATASETS)
    warnings.simplefilter("ignore", ConvergenceWarning)  # hyperparameters of GPC at their bounds
    results = {name: measure(name) for name in names}
    lines = ["| data | method | accuracy | log loss | calibration error |"]
    lines += ["|---|---|---|---|---|"]
    lines += [line for name, found in results.items() for line in scores(name, found)]
    lines += ["", f"| data | method | log loss less that of {PEER} | calibration error, likewise |"]
    lines += ["|---|---|---|---|"]
    lines += [line for name, found in results.items() for line in differences(name, found)]
    sys.stdout.write("\n".join([*lines, ""]))


if __name__ == "__main__":
    main()
