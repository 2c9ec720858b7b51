"""What a search over ridges and depths costs, against GridSearchCV over the same estimator.

5 depths, 10 ridges and 5 folds: 250 fits for GridSearchCV, one kernel matrix per depth (all in one
pass) and one eigendecomposition per depth and fold for `NTKRegressorCV` and `NTKClassifierCV`. The
scores must be equal. Prints a table in markdown; with a path, writes the numbers there as JSON.

Set OMP_NUM_THREADS=1 to compare times.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_diabetes, load_digits
from sklearn.model_selection import GridSearchCV, KFold, StratifiedKFold
from sklearn.preprocessing import scale

from ntk_sklearn import NTKClassifier, NTKClassifierCV, NTKRegressor, NTKRegressorCV
from ntk_sklearn.networks import Convolutional, FullyConnected

DEPTHS = (1, 2, 3, 4, 5)
ALPHAS = np.logspace(-5, 0, 10)
LARGEST_DIFFERENCE = 1e-9


def problems() -> dict[str, Any]:
    """Search, estimator, parameters, data and folds by name."""
    X, y = load_diabetes(return_X_y=True)
    folds = KFold(5, shuffle=True, random_state=0)
    regression = (NTKRegressorCV, NTKRegressor, FullyConnected(), {}, scale(X), y, folds)
    X, y = load_digits(return_X_y=True)
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    dense = (NTKClassifierCV, NTKClassifier, FullyConnected(), {}, X[:400] / 16, y[:400], folds)
    network, images = Convolutional(head="flatten"), {"image_shape": (1, 8, 8)}
    few = (X[:200] / 16, y[:200], folds)
    return {
        "diabetes, 442 rows": regression,
        "digits, 400 rows": dense,
        "digits, 200 rows, convolutional": (NTKClassifierCV, NTKClassifier, network, images, *few),
    }


def timed(model: Any, X: np.ndarray, y: np.ndarray) -> tuple[Any, float]:
    """The fitted model, and seconds of the processor, which other programs do not disturb."""
    start = time.process_time()
    model.fit(X, y)
    return model, time.process_time() - start


def compare(problem: Any, repeats: int) -> dict[str, float]:
    """Times of both, and how far the scores differ."""
    search, estimator, network, images, X, y, folds = problem
    ours = search(network, alphas=ALPHAS, depths=DEPTHS, cv=folds, **images)
    grid = {"alpha": ALPHAS, "network__depth": DEPTHS}
    theirs = GridSearchCV(estimator(network, **images), grid, cv=folds, error_score="raise")
    found, seconds = timed(ours, X, y)
    expected, slow = timed(theirs, X, y)
    seconds = float(np.median([seconds, *(timed(ours, X, y)[1] for _ in range(repeats - 1))]))
    scores = [m.cv_results_["mean_test_score"] for m in (found, expected)]
    difference = float(np.abs(scores[0] - scores[1]).max())
    if difference > LARGEST_DIFFERENCE:
        raise ValueError(f"scores differ by {difference}")
    return {"seconds": seconds, "grid_search": slow, "ratio": slow / seconds, "differ": difference}


def row(name: str, found: dict[str, float]) -> str:
    """A line of the table."""
    times = f"{found['grid_search']:.1f} s | {found['seconds']:.2f} s | {found['ratio']:.0f}"
    return f"| {name} | {times} | {found['differ']:.0e} |"


def tell(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    """Measure, print the table, write the numbers."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("output", type=Path, nargs="?", help="file for the numbers, as JSON")
    parser.add_argument("--repeats", type=int, default=3, help="of the search")
    arguments = parser.parse_args()
    tell("| data | GridSearchCV | search | ratio | scores differ by |")
    tell("|---|---|---|---|---|")
    numbers = {}
    for name, problem in problems().items():
        numbers[name] = compare(problem, arguments.repeats)
        tell(row(name, numbers[name]))
    if arguments.output is not None:
        arguments.output.write_text(json.dumps(numbers, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
