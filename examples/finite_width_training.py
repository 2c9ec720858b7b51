"""Networks of finite width in training, beside what is predicted for infinite width.

Run it with ``python examples/finite_width_training.py``: less than a minute. It draws random torch
networks of two widths, trains them by full-batch gradient descent on points of a circle, and saves
a picture of them at five times. The predictions are those of `NTKRegressor`: mean and band of the
ensemble of all networks, and for each network the path from its own initial function.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib
import numpy as np
import torch
from PIL import Image

from ntk_sklearn import NTKRegressor
from ntk_sklearn.finite import FiniteNetwork, to_module
from ntk_sklearn.networks import FullyConnected

matplotlib.use("Agg")
import matplotlib.pyplot as plt

TIMES = (0.05, 0.2, 0.7, 2.0, 6.0)
STEPS = 40  # of gradient descent, from each time to the next
NETWORK = FullyConnected(2, activation="erf", w_std=1.5, b_std=0.3)
ANGLES = np.array([-2.6, -1.9, -1.1, 0.2, 0.8, 2.0])
TARGETS = np.array([0.9, 0.2, -0.9, 0.3, 1.0, -0.5])
GRID = np.linspace(-np.pi, np.pi, 121)


def circle(angles: np.ndarray) -> np.ndarray:
    """Points (n, 2) whose squares have the mean 1."""
    return 2**0.5 * np.column_stack([np.cos(angles), np.sin(angles)])


def train(module: FiniteNetwork) -> tuple[np.ndarray, np.ndarray]:
    """Initial outputs at the data, and outputs (1 + times, grid) before and along training."""
    x, y, grid = (
        torch.tensor(a, dtype=torch.float32) for a in (circle(ANGLES), TARGETS, circle(GRID))
    )
    start, paths, time = outputs(module, x), [outputs(module, grid)], 0.0
    for until in TIMES:
        optimizer = torch.optim.SGD(module.parameters(), lr=(until - time) / STEPS)
        for _ in range(STEPS):
            optimizer.zero_grad()
            (0.5 * (module(x)[:, 0] - y).square().sum()).backward()
            optimizer.step()
        paths.append(outputs(module, grid))
        time = until
    return start, np.stack(paths)


def outputs(module: FiniteNetwork, x: torch.Tensor) -> np.ndarray:
    """Outputs (n,) as they are now."""
    with torch.no_grad():
        return module(x)[:, 0].double().numpy()


def draw_networks(row: np.ndarray, width: int, n_networks: int) -> None:
    """Trained networks in colour, their predictions in broken lines."""
    model = NTKRegressor(NETWORK, alpha=0, normalize_y=False)
    for seed in range(n_networks):
        module = to_module(NETWORK.build(), (2,), width, 1, seed, dtype=torch.float32)
        start, paths = train(module)
        moves = model.fit(circle(ANGLES), TARGETS - start).predict(circle(GRID), t=TIMES)
        predicted = paths[0] + moves
        error = np.sqrt(np.mean((paths[1:] - predicted) ** 2))
        print(f"width {width:5d}, network {seed}: root mean square error {error:.4f}")
        for ax, found, expected in zip(row, paths[1:], predicted, strict=True):
            ax.plot(GRID, found, color=f"C{seed}", lw=1.4, label=f"trained network {seed + 1}")
            label = "predicted from their initial functions" if seed == 0 else None
            ax.plot(GRID, expected, "k--", lw=0.7, label=label)


def draw_ensemble(axes: np.ndarray) -> None:
    """Mean and band over all initializations at infinite width, in every row."""
    model = NTKRegressor(NETWORK, alpha=0, normalize_y=False).fit(circle(ANGLES), TARGETS)
    for column, t in zip(axes.T, TIMES, strict=True):
        mean, std = model.predict(circle(GRID), t=t, return_std=True)
        for ax in column:
            band = (mean - 2 * std, mean + 2 * std)
            label = "predicted ensemble: mean, 2 standard deviations"
            ax.fill_between(GRID, *band, color="0.9", lw=0, zorder=0, label=label)
            ax.plot(GRID, mean, color="0.6", lw=2, zorder=1)
            ax.plot(ANGLES, TARGETS, "k.", ms=7, label="data")


def picture(widths: list[int], n_networks: int, path: Path) -> None:
    """One row of panels per width, one column per time."""
    size = {"figsize": (12, 2.4 * len(widths) + 0.4), "layout": "constrained"}
    shape = {"sharex": True, "sharey": True, "squeeze": False}
    figure, axes = plt.subplots(len(widths), len(TIMES), **size, **shape)
    for row, width in zip(axes, widths, strict=True):
        draw_networks(row, width, n_networks)
        row[0].set_ylabel(f"output, width {width}")
    draw_ensemble(axes)
    for ax, end, t in zip(axes[0], axes[-1], TIMES, strict=True):
        ax.set_title(f"t = {t:g}")
        end.set_xlabel("angle")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), fontsize="small")
    figure.savefig(path, dpi=90)
    with Image.open(path) as full:  # a palette: a third of the size
        few = full.convert("RGB").quantize(256)
    few.save(path, optimize=True)
    print(f"Picture saved to {path}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    default = Path(__file__).parents[1] / "docs" / "figures" / "finite_width_training.png"
    parser.add_argument("--output", type=Path, default=default)
    parser.add_argument("--widths", type=int, nargs="+", default=[64, 2048])
    parser.add_argument("--networks", type=int, default=3, help="drawn for each width")
    arguments = parser.parse_args()
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    picture(arguments.widths, arguments.networks, arguments.output)


if __name__ == "__main__":
    main()
