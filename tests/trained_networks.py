"""Networks of finite width, trained by full-batch gradient descent, and what is predicted of them.

Several networks of one tree are trained at a time, their parameters stacked. Everything that is
predicted is affine in the targets and the network's own initial outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from sklearn.base import clone
from torch import Tensor
from torch.func import functional_call, stack_module_state, vmap

from ntk_sklearn import NTKRegressor
from ntk_sklearn.architecture import Layer
from ntk_sklearn.finite import FiniteNetwork, Networks, empirical_ntk
from ntk_sklearn.inference import Schedule, training_modes


class Problem(NamedTuple):
    """Training rows (n, d) with targets (n,), and new rows (m, d)."""

    X: np.ndarray
    y: np.ndarray
    Z: np.ndarray


class Stage(NamedTuple):
    """Steps of gradient descent with one learning rate."""

    steps: int
    learning_rate: float


class Run(NamedTuple):
    """Outputs (networks, n) at X before training, (1 + stages, networks, m) at Z, before first."""

    start: np.ndarray
    outputs: np.ndarray


def problem(n: int, d: int, m: int) -> Problem:
    """A smooth function of mean square 1 on the sphere of radius sqrt(d)."""
    rows = np.random.default_rng(0).standard_normal((n + m, d))
    rows *= d**0.5 / np.linalg.norm(rows, axis=1, keepdims=True)
    y = np.sin(2.0 * rows[:n, 0]) + rows[:n, 1] * rows[:n, 2]
    return Problem(rows[:n], y / np.sqrt(np.mean(y**2)), rows[n:])


def flow_stages(times: Sequence[float], steps: int = 40) -> list[Stage]:
    """Gradient descent that follows gradient flow from each time to the next.

    A rest exp(-v t) comes out as a product of (1 - rate v), which is off by the relative amount
    ``sum rate^2 v^2 / 2``. For times that grow by factors of three and 40 steps each that is
    0.006 (v t)^2, and the error of the rest at most 0.4 %.
    """
    starts = (0.0, *times[:-1])
    return [Stage(steps, (end - start) / steps) for start, end in zip(starts, times, strict=True)]


def draw(
    tree: Layer, given: Problem, width: int, n_networks: int, random_state: int = 0
) -> list[FiniteNetwork]:
    """Random networks in single precision: at width 2048 it moves trained outputs by 1e-5."""
    shape = given.X.shape[1:]
    return list(Networks(tree, shape, width, n_networks, random_state, dtype=torch.float32))


def train(
    networks: list[FiniteNetwork], given: Problem, stages: Sequence[Stage], momentum: float = 0.0
) -> Run:
    """Full-batch gradient descent on 1/2 sum (f - y)^2 for every network, nothing shared."""
    outputs, parameters = _together(networks)
    X, y, Z = (torch.tensor(a, dtype=torch.float32) for a in given)
    trained = [p for p in parameters if p.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=1.0, momentum=momentum)
    start, found = outputs(X).detach(), [outputs(Z).detach()]
    for stage in stages:
        optimizer.param_groups[0]["lr"] = stage.learning_rate
        for _ in range(stage.steps):
            optimizer.zero_grad()
            (0.5 * (outputs(X) - y).square().sum()).backward()
            optimizer.step()
        found.append(outputs(Z).detach())
    return Run(start.double().numpy(), torch.stack(found).double().numpy())


def _together(
    networks: list[FiniteNetwork],
) -> tuple[Callable[[Tensor], Tensor], list[torch.nn.Parameter | Tensor]]:
    """The function from rows (n, d) to outputs (networks, n), and its parameters."""
    if len(networks) == 1:  # no copies of large gradients
        return lambda x: networks[0](x).T, list(networks[0].parameters())
    state, _ = stack_module_state(networks)
    state = {k: p.detach().requires_grad_(p.requires_grad) for k, p in state.items()}

    def one(values: dict[str, Tensor], x: Tensor) -> Tensor:
        return functional_call(networks[0], values, (x,))[:, 0]

    return lambda x: vmap(one, in_dims=(0, None))(state, x), list(state.values())


def train_in_batches(
    tree: Layer, given: Problem, width: int, n_networks: int, stages: Sequence[Stage], batch: int
) -> Run:
    """`n_networks` random networks, `batch` of them in memory at a time."""
    seeds = range(n_networks // batch)
    runs = [train(draw(tree, given, width, batch, seed), given, stages) for seed in seeds]
    start, outputs = zip(*runs, strict=True)
    return Run(np.concatenate(start), np.concatenate(outputs, axis=1))


def linearized(
    networks: list[FiniteNetwork], given: Problem, run: Run, schedule: Schedule, at: Sequence[float]
) -> np.ndarray:
    """(times, networks, m): each network moved by its own tangent kernel at initialization."""
    dtype = next(networks[0].parameters()).dtype
    X, Z = (torch.tensor(a, dtype=dtype) for a in (given.X, given.Z))
    found = []
    for module, start, start_new in zip(networks, run.start, run.outputs[0], strict=True):
        theta, cross = (empirical_ntk(module, *a).double().numpy() for a in ((X,), (Z, X)))
        modes, residual = training_modes(theta), (given.y - start)[:, np.newaxis]
        moves = [cross @ modes.coefficients(residual, schedule.learned(t)) for t in at]
        found.append(start_new + np.stack(moves)[..., 0])
    return np.stack(found, axis=1)


def in_the_limit(model: NTKRegressor, given: Problem, run: Run, at: Sequence[float]) -> np.ndarray:
    """(times, networks, m): each network's initial function, moved as at infinite width."""
    model = clone(model).set_params(alpha=0.0, normalize_y=False)
    moves = model.fit(given.X, given.y[:, np.newaxis] - run.start.T).predict(given.Z, t=at)
    return run.outputs[0] + moves.transpose(0, 2, 1)


def rms(difference: np.ndarray) -> np.ndarray:
    """Root mean square over networks and rows, one number per time."""
    return np.sqrt(np.mean(difference**2, axis=(1, 2)))
