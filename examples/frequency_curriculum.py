"""Does it help to show a network easy things first? Orders of targets and of examples, measured.

Run it with ``python examples/frequency_curriculum.py``: one to two minutes. On the circle a sum of
sines is learned by gradient descent in all modes and examples at once, in stages that show more and
more modes of the targets (those first that are learned first, or last), and in stages that show
more and more examples (easy, hard or random ones first). The same is done with the kernel, with
finite torch networks, and with mini-batches of digits through `LearnabilitySampler`. Every order
takes the same number of steps with the same learning rate; the first half of them belongs to the
curriculum. Errors are means over runs with their standard errors; better and worse are changes
against all at once, run by run, of more than three of theirs.
"""

from __future__ import annotations

import argparse
import functools
import itertools
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch.func import functional_call, stack_module_state, vmap
from torch.utils.data import DataLoader, TensorDataset

from ntk_sklearn.finite import LearnabilitySampler, Networks, to_module
from ntk_sklearn.inference import filtered_targets, left_out_scores, residual_scores
from ntk_sklearn.kernels import NTK
from ntk_sklearn.networks import FullyConnected

NETWORK = FullyConnected(2)
SHARES = (0.25, 0.5, 0.75, 1.0)  # of modes or examples; the last for the second half of the steps
CHECKS = 16  # how often the error is looked at: each could be the end of training
N, FREQUENCIES, AMPLITUDE = 32, 6, 0.5
BATCH = 32


class Problem(NamedTuple):
    """Training rows, targets (n, runs), new rows, and what would be right there (m, runs)."""

    X: np.ndarray
    y: np.ndarray
    Z: np.ndarray
    truth: np.ndarray


class Stage(NamedTuple):
    """Targets (n, runs), and the examples (n, runs) that are shown."""

    targets: np.ndarray
    shown: np.ndarray


Plan = list[Stage]


def circle(angles: np.ndarray) -> np.ndarray:
    """Points (n, 2) whose squares have the mean 1."""
    return 2**0.5 * np.column_stack([np.cos(angles), np.sin(angles)])


def sum_of_sines(noise: float, runs: int) -> Problem:
    """Frequencies 1 to 6 with random phases, another function in every run."""
    rng = np.random.default_rng(0)
    phases = rng.uniform(0, 2 * np.pi, (FREQUENCIES, 1, runs))
    k = np.arange(1, FREQUENCIES + 1)[:, np.newaxis, np.newaxis]
    angles, new = (2 * np.pi * np.arange(m) / m for m in (N, 8 * N))
    at, truth = (
        AMPLITUDE * np.sin(k * a[:, np.newaxis] + phases).sum(axis=0) for a in (angles, new)
    )
    return Problem(circle(angles), at + noise * rng.standard_normal(at.shape), circle(new), truth)


# The orders: from the kernel, targets, initial outputs and scores of examples to a plan.


def at_once(theta: np.ndarray, y: np.ndarray, start: np.ndarray, scores: np.ndarray) -> Plan:
    return [Stage(y, np.ones_like(y)) for _ in SHARES]


def low_first(theta: np.ndarray, y: np.ndarray, start: np.ndarray, scores: np.ndarray) -> Plan:
    everything = np.ones_like(y)
    return [Stage(start + filtered_targets(theta, y - start, s), everything) for s in SHARES]


def high_first(theta: np.ndarray, y: np.ndarray, start: np.ndarray, scores: np.ndarray) -> Plan:
    everything = np.ones_like(y)
    return [Stage(y - filtered_targets(theta, y - start, 1 - s), everything) for s in SHARES]


def smallest_first(theta: np.ndarray, y: np.ndarray, start: np.ndarray, scores: np.ndarray) -> Plan:
    rank = scores.argsort(axis=0).argsort(axis=0)
    return [Stage(y, (rank < np.ceil(s * len(y))).astype(float)) for s in SHARES]


def easy_first(theta: np.ndarray, y: np.ndarray, start: np.ndarray, scores: np.ndarray) -> Plan:
    return smallest_first(theta, y, start, scores)


def hard_first(theta: np.ndarray, y: np.ndarray, start: np.ndarray, scores: np.ndarray) -> Plan:
    return smallest_first(theta, y, start, -scores)


def random_first(theta: np.ndarray, y: np.ndarray, start: np.ndarray, scores: np.ndarray) -> Plan:
    return smallest_first(theta, y, start, np.random.default_rng(1).random(y.shape))


ORDERS: dict[str, Callable[..., Plan]] = {
    "all at once": at_once,
    "low modes first": low_first,
    "high modes first": high_first,
    "easy examples first": easy_first,
    "hard examples first": hard_first,
    "random examples first": random_first,
}


# Training


def stages_of(plan: Plan, steps: int) -> list[Stage]:
    """The stage of every step: the first half for all but the last one."""
    ends = np.linspace(0, steps / 2, len(plan))[1:]
    return [plan[int(np.searchsorted(ends, step, side="right"))] for step in range(steps)]


def checked(steps: int) -> set[int]:
    """The numbers of steps after which errors are looked at."""
    return set(np.linspace(0, steps, CHECKS + 1)[1:].round().astype(int).tolist())


def train_kernel(problem: Problem, order: str, rate: float, steps: int) -> np.ndarray:
    """Errors (2, checks, runs) of gradient descent in function space, from zero."""
    theta, cross = NTK(NETWORK)(problem.X), NTK(NETWORK)(problem.Z, problem.X)
    c, found = np.zeros_like(problem.y), []
    plan = planned(order, problem, np.zeros_like(problem.y), rate * steps)
    for step, stage in enumerate(stages_of(plan, steps), 1):
        c += rate * stage.shown * (stage.targets - theta @ c)
        if step in checked(steps):
            found.append(errors(theta @ c, cross @ c, problem))
    return np.stack(found, axis=1)


def train_networks(problem: Problem, order: str, rate: float, steps: int, width: int) -> np.ndarray:
    """The same of one torch network per run, all of them trained side by side."""
    runs = problem.y.shape[1]
    networks = list(Networks(NETWORK.build(), (2,), width, runs, 0, dtype=torch.float32))
    state, _ = stack_module_state(networks)
    outputs = vmap(lambda values, x: functional_call(networks[0], values, (x,))[:, 0], (0, None))
    X, Z = (torch.tensor(a, dtype=torch.float32) for a in (problem.X, problem.Z))
    start = outputs(state, X).T.detach().double().numpy()
    plan = planned(order, problem, start, rate * steps)
    tensors = {id(s): [torch.tensor(a.T, dtype=torch.float32) for a in s] for s in plan}
    optimizer, found = torch.optim.SGD(state.values(), lr=rate), []
    for step, stage in enumerate(stages_of(plan, steps), 1):
        targets, shown = tensors[id(stage)]
        optimizer.zero_grad()
        (0.5 * shown * (outputs(state, X) - targets).square()).sum().backward()
        optimizer.step()
        if step in checked(steps):
            now = [outputs(state, rows).T.detach().double().numpy() for rows in (X, Z)]
            found.append(errors(*now, problem))
    return np.stack(found, axis=1)


def planned(order: str, problem: Problem, start: np.ndarray, time: float) -> Plan:
    """A plan with the kernel of infinite width; hard is what an eighth of the training leaves."""
    theta = NTK(NETWORK)(problem.X)
    scores = [residual_scores(theta, y, time / 8) for y in (problem.y - start).T]
    return ORDERS[order](theta, problem.y, start, np.column_stack(scores))


def errors(f: np.ndarray, new: np.ndarray, problem: Problem) -> np.ndarray:
    """Root mean squares (2, runs): distance to all targets, and to the truth at new rows."""
    return np.stack([rms(f - problem.y), rms(new - problem.truth)])


def rms(difference: np.ndarray) -> np.ndarray:
    found: np.ndarray = np.sqrt(np.mean(difference**2, axis=0))
    return found


# Digits in mini-batches


class Digits(NamedTuple):
    """Rows, one-hot labels, new rows, their classes; how hard rows are, and the learning rate."""

    X: np.ndarray
    y: np.ndarray
    Z: np.ndarray
    classes: np.ndarray
    scores: np.ndarray
    rate: float


@functools.cache
def digits(noise: float, run: int, n: int) -> Digits:
    """Some digits, a share of them with labels drawn at random; the rest is for the test."""
    X, labels = load_digits(return_X_y=True)
    rng = np.random.default_rng(run)
    chosen = rng.permutation(len(X))
    X, labels = X[chosen] / 8.0 - 0.6, labels[chosen]
    given = np.where(rng.random(n) < noise, rng.integers(10, size=n), labels[:n])
    y, theta = np.eye(10)[given] - 0.1, NTK(NETWORK)(X[:n])
    rate = n / BATCH / np.linalg.eigvalsh(theta)[-1]
    return Digits(X[:n], y, X[n:], labels[n:], left_out_scores(theta, y, 1e-2), rate)


def sampler(order: str, scores: np.ndarray, epochs: int, run: int) -> LearnabilitySampler:
    """Shares from 1/4 to 1, on average 5/8: 4/5 of the epochs are half of the steps."""
    if order == "random examples first":
        scores = np.random.default_rng(run).random(len(scores))
    shown_at = 0 if order == "all at once" else round(0.8 * epochs)
    hardest = order == "hard examples first"
    return LearnabilitySampler(scores, epochs=shown_at, hardest_first=hardest, random_state=run)


def train_digits(order: str, noise: float, run: int, n: int, epochs: int, width: int) -> np.ndarray:
    """Training error and share of wrong classes (2, checks), in epochs of all rows."""
    data = digits(noise, run, n)
    x, targets, z = (torch.tensor(a, dtype=torch.float32) for a in (data.X, data.y, data.Z))
    module = to_module(NETWORK.build(), x.shape[1:], width, 10, run, dtype=torch.float32)
    chosen = sampler(order, data.scores, epochs, run)
    loader = DataLoader(TensorDataset(x, targets), BATCH, sampler=chosen)
    optimizer = torch.optim.SGD(module.parameters(), lr=data.rate)
    steps, found = epochs * -(-n // BATCH), []
    for step, (rows, wanted) in enumerate(itertools.islice(repeated(loader), steps), 1):
        optimizer.zero_grad()
        (0.5 * (module(rows) - wanted).square().sum()).backward()
        optimizer.step()
        if step in checked(steps):
            with torch.no_grad():
                wrong = (module(z).argmax(dim=1).numpy() != data.classes).mean()
                found.append([rms((module(x) - targets).numpy().ravel()), wrong])
    return np.array(found).T


def repeated(loader: DataLoader[tuple[torch.Tensor, ...]]) -> Iterator[tuple[torch.Tensor, ...]]:
    """Batches of one epoch after another."""
    while True:
        yield from loader


# The table


def row(name: str, found: np.ndarray, baseline: np.ndarray) -> str:
    """Errors at the end, and the test error of the best check of each run."""
    columns, plain = ([a[0, -1], a[1, -1], a[1].min(axis=0)] for a in (found, baseline))
    return f"| {name} | " + " | ".join(map(cell, columns, plain)) + " |"


def cell(values: np.ndarray, baseline: np.ndarray) -> str:
    """Mean and standard error over runs, and whether they differ from the baseline's."""
    difference, root = values - baseline, len(values) ** 0.5
    clear = abs(difference.mean()) > 3 * difference.std(ddof=1) / root
    mark = (" better" if difference.mean() < 0 else " worse") if clear else ""
    return f"{values.mean():.3f} +- {values.std(ddof=1) / root:.3f}{mark}"


def report(title: str, results: dict[str, np.ndarray]) -> None:
    print(f"\n{title}\n\n| order | training error | test error | test error, best stop |")
    print("|---|---|---|---|")
    for name, found in results.items():
        print(row(name, found, results["all at once"]))


def report_sines(noise: float, runs: int, steps: int, width: int) -> None:
    problem = sum_of_sines(noise, runs)
    rate = 1.0 / np.linalg.eigvalsh(NTK(NETWORK)(problem.X))[-1]
    results = {name: train_kernel(problem, name, rate, steps) for name in ORDERS}
    report(f"Sum of sines, noise {noise}: kernel", results)
    results = {name: train_networks(problem, name, rate, steps, width) for name in ORDERS}
    report(f"Sum of sines, noise {noise}: networks of width {width}", results)


def report_digits(noise: float, runs: int, n: int, epochs: int, width: int) -> None:
    results = {}
    for name in [name for name in ORDERS if "modes" not in name]:
        found = [train_digits(name, noise, run, n, epochs, width) for run in range(runs)]
        results[name] = np.stack(found, axis=-1)
    report(f"Digits, {noise:.0%} of the labels at random: networks of width {width}", results)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=8)
    parser.add_argument("--steps", type=int, default=480, help="on the circle")
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--digits", type=int, default=320, help="how many are trained on")
    parser.add_argument("--epochs", type=int, default=16, help="over digits")
    arguments = parser.parse_args()
    for noise in (0.0, 0.5):
        report_sines(noise, arguments.runs, arguments.steps, arguments.width)
    for noise in (0.0, 0.3):
        report_digits(noise, arguments.runs, arguments.digits, arguments.epochs, arguments.width)


if __name__ == "__main__":
    main()
