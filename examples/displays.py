"""All Displays in one picture.

Run it with ``python examples/displays.py``: about a minute, no downloads. Among them are trained
torch networks beside what is predicted of them, and kernels of random networks beside their limit.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib
import numpy as np
import torch
from PIL import Image
from sklearn.datasets import load_digits

from ntk_sklearn import NNGPRegressor, NTKRegressor
from ntk_sklearn.finite import to_module
from ntk_sklearn.kernels import NTK, sphere_spectrum
from ntk_sklearn.networks import Convolutional, FullyConnected
from ntk_sklearn.plotting import (
    GramDisplay,
    KernelProfileDisplay,
    PhaseDiagramDisplay,
    PosteriorDisplay,
    SpectrumDisplay,
    TrainingDynamicsDisplay,
    WidthConvergenceDisplay,
)
from ntk_sklearn.studies import width_convergence

matplotlib.use("Agg")
import matplotlib.pyplot as plt

RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(10, 5))
TARGETS = np.sin(2 * ROWS[:, 0]) + ROWS[:, 1] * ROWS[:, 2]
ERF = FullyConnected(2, activation="erf", w_std=1.5, b_std=0.1)


def gram(ax: plt.Axes) -> None:
    X, y = load_digits(return_X_y=True)
    GramDisplay.from_kernel(NTK(FullyConnected(3)), X[:300] / 16, y[:300], normalize=True, ax=ax)


def angles(ax: plt.Axes) -> None:
    networks = {f"depth {d}": FullyConnected(d, b_std=0.0) for d in (1, 3, 10, 50)}
    KernelProfileDisplay.from_network(networks, normalize=True, ordered=True, ax=ax)


def shifts(ax: plt.Axes) -> None:
    image = load_digits().images[0][np.newaxis] / 16
    networks = {
        f"{name}, {padding}": Convolutional(3, padding=padding, head=head, b_std=0.0)
        for name, head in (("pooled", "global_avg_pool"), ("flattened", "flatten"))
        for padding in ("circular", "same")
    }
    KernelProfileDisplay.from_network(networks, image=image, normalize=True, ax=ax)


def sphere(ax: plt.Axes) -> None:
    """One bias-free hidden layer of relu, on the circle."""
    SpectrumDisplay.from_sphere(sphere_spectrum(FullyConnected(1, b_std=0.0), 2), ax=ax)


def training(ax: plt.Axes) -> None:
    """Losses of centred networks, f - f_0, beside that of infinite width."""
    model = NTKRegressor(ERF, alpha=0, normalize_y=False).fit(ROWS, TARGETS)
    rate, n_steps = 0.25 * model.max_learning_rate(), 1000
    losses = [losses_of_network(seed, rate, n_steps) for seed in range(5)]
    t = np.arange(1, n_steps + 1) * rate
    TrainingDynamicsDisplay.from_estimator(model, t, measured=losses, label="infinite width", ax=ax)


def losses_of_network(seed: int, rate: float, n_steps: int) -> list[float]:
    """Gradient descent with all of the data."""
    module = to_module(ERF.build(), (5,), width=512, random_state=seed, dtype=torch.float32)
    x, y = (torch.tensor(a, dtype=torch.float32) for a in (ROWS, TARGETS))
    start = module(x)[:, 0].detach()
    optimizer, losses = torch.optim.SGD(module.parameters(), lr=rate), []
    for _ in range(n_steps + 1):
        optimizer.zero_grad()
        loss = 0.5 * (module(x)[:, 0] - start - y).square().sum()
        losses.append(loss.item())
        loss.backward()
        optimizer.step()
    return losses[1:]


def posterior(ax: plt.Axes) -> None:
    x = np.array([-2.0, -1.7, -1.3, -0.9, 0.1, 0.4, 0.9, 1.3, 2.0])[:, np.newaxis]
    y = np.sin(2 * x[:, 0])
    model = NNGPRegressor(FullyConnected(2), noise=1e-4, normalize_y=False).fit(x, y)
    PosteriorDisplay.from_estimator(
        model, x, y, grid=np.linspace(-3, 3, 201), n_draws=4, random_state=1, ax=ax
    )


def phases(ax: plt.Axes) -> None:
    scales, biases = np.linspace(0.4, 2.6, 45), np.linspace(0.0, 1.0, 26)
    PhaseDiagramDisplay.from_activation("erf", scales, biases, ax=ax)


def widths(ax: plt.Axes) -> None:
    result = width_convergence(ERF, ROWS, (32, 64, 128, 256, 512, 1024), n_draws=20)
    WidthConvergenceDisplay.from_study(result, ax=ax)


PANELS = {
    "GramDisplay": gram,
    "KernelProfileDisplay: angles": angles,
    "KernelProfileDisplay: shifts": shifts,
    "SpectrumDisplay": sphere,
    "TrainingDynamicsDisplay": training,
    "PosteriorDisplay": posterior,
    "PhaseDiagramDisplay": phases,
    "WidthConvergenceDisplay": widths,
}


def picture(path: Path) -> None:
    figure, axes = plt.subplots(2, 4, figsize=(17, 7.8), layout="constrained")
    figure.get_layout_engine().set(wspace=0.04, hspace=0.06)
    for ax, (name, draw) in zip(axes.flat, PANELS.items(), strict=True):
        draw(ax)
        ax.set_title(name)
    figure.savefig(path, dpi=80)
    with Image.open(path) as full:
        opaque = full.convert("RGB")
    opaque.save(path, optimize=True)
    print(f"Picture saved to {path}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    default = Path(__file__).parents[1] / "docs" / "figures" / "displays.png"
    parser.add_argument("--output", type=Path, default=default)
    arguments = parser.parse_args()
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    picture(arguments.output)


if __name__ == "__main__":
    main()
