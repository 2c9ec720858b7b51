"""Spectra of training kernels against matrices, steps taken one by one, and drawn functions."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import expm
from sklearn.preprocessing import KernelCenterer

from ntk_sklearn.inference import (
    Schedule,
    kernel_alignment,
    kernel_spectrum,
    spectrum_of,
    target_alignment,
    training_modes,
)

RNG = np.random.default_rng(0)
N = 12
FACTOR = RNG.normal(size=(N, N)) * np.logspace(0, -2, N)
KERNEL = FACTOR @ FACTOR.T
TARGETS = RNG.normal(size=(N, 2))
WEIGHT = RNG.uniform(0.5, 2.0, N)


def test_eigenvalues_and_power():
    found = kernel_spectrum(KERNEL, TARGETS, WEIGHT)
    root = np.sqrt(WEIGHT)
    weighted = root[:, None] * KERNEL * root
    np.testing.assert_allclose(found.eigenvalues, np.linalg.eigvalsh(weighted)[::-1], rtol=1e-9)
    assert found.power.sum() == pytest.approx(WEIGHT @ (TARGETS**2).sum(axis=1))
    quadratic = ((root[:, None] * TARGETS) * (weighted @ (root[:, None] * TARGETS))).sum()
    assert found.eigenvalues @ found.power == pytest.approx(quadratic)
    assert found.cumulative_power[-1] == pytest.approx(1.0)
    first = found.power[:3].sum() / found.power.sum()
    assert found.cumulative_power[2] == pytest.approx(first)


def test_effective_dimension_is_the_trace_of_the_smoother():
    found = kernel_spectrum(KERNEL)
    for ridge in (0.01, 1.0, 100.0):
        smoother = KERNEL @ np.linalg.inv(KERNEL + ridge * np.eye(N))
        assert found.effective_dimension(ridge) == pytest.approx(np.trace(smoother))
    low_rank = kernel_spectrum(FACTOR[:, :3] @ FACTOR[:, :3].T)
    assert low_rank.effective_dimension(0.0) == 3


def test_ranks():
    equal = kernel_spectrum(np.diag([3.0] * 5 + [0.0] * 2))
    assert equal.participation_ratio == pytest.approx(5.0)
    assert equal.effective_rank == pytest.approx(5.0)
    trace, square = np.trace(KERNEL), np.trace(KERNEL @ KERNEL)
    assert kernel_spectrum(KERNEL).participation_ratio == pytest.approx(trace**2 / square)
    two = kernel_spectrum(np.diag([0.75, 0.25]))
    assert two.effective_rank == pytest.approx(0.75**-0.75 * 0.25**-0.25)


@pytest.mark.parametrize("ridge", [0.0, 0.3])
def test_losses_of_the_flow(ridge):
    """Of the dual coefficients: c' = y - (K + ridge) c, by matrix exponentials."""
    found = kernel_spectrum(KERNEL, TARGETS).losses([0.0, 0.3, 5.0, np.inf], ridge=ridge)
    A = KERNEL + ridge * np.eye(N)
    for loss, t in zip(found[:3], (0.0, 0.3, 5.0), strict=True):
        c = np.linalg.solve(A, (np.eye(N) - expm(-A * t)) @ TARGETS)
        assert loss == pytest.approx(0.5 * ((KERNEL @ c - TARGETS) ** 2).sum(), rel=1e-9)
    c = np.linalg.solve(A, TARGETS)
    end = 0.5 * ((KERNEL @ c - TARGETS) ** 2).sum()
    assert found[3] == pytest.approx(end, rel=1e-9, abs=1e-18)


@pytest.mark.parametrize("momentum", [0.0, 0.8])
def test_losses_of_steps_taken_one_by_one(momentum):
    rate = 0.9 / np.linalg.eigvalsh(KERNEL)[-1]
    schedule = Schedule(rate, momentum)
    found = kernel_spectrum(KERNEL, TARGETS, WEIGHT / 2).losses([0, 1, 7, 30], schedule)
    f, velocity, losses = np.zeros_like(TARGETS), np.zeros_like(TARGETS), []
    for _ in range(31):
        losses.append(0.5 * float((WEIGHT / 2) @ ((f - TARGETS) ** 2).sum(axis=1)))
        gradient = (WEIGHT / 2)[:, None] * (f - TARGETS)
        velocity = momentum * velocity + KERNEL @ gradient
        f = f - rate * velocity
    np.testing.assert_allclose(found, np.array(losses)[[0, 1, 7, 30]], rtol=1e-9)


def test_losses_averaged_over_initial_functions():
    """Against the mean over drawn functions, within four standard errors."""
    root = RNG.normal(size=(N, N))
    modes = training_modes(KERNEL, WEIGHT)
    times = [0.0, 0.1, 1.0, 10.0]
    found = kernel_spectrum(KERNEL, TARGETS, WEIGHT, root @ root.T).losses(times)
    drawn = [
        spectrum_of(modes, TARGETS - root @ RNG.normal(size=(N, 2))).losses(times)
        for _ in range(2000)
    ]
    error = np.std(drawn, axis=0) / np.sqrt(2000)
    assert (np.abs(np.mean(drawn, axis=0) - found) < 4 * error).all()
    assert (found > 1.5 * kernel_spectrum(KERNEL, TARGETS, WEIGHT).losses(times)).all()


@pytest.mark.parametrize("ridge", [0.0, 0.2])
@pytest.mark.parametrize("fraction", [0.5, 0.9])
@pytest.mark.parametrize("rate", [None, 0.01, 0.7, 1.9])
def test_learning_times(rate, fraction, ridge):
    """When the residual of the mode, over what stays of it for ever, has fallen by the fraction."""
    values = np.array([1.0, 0.3, 1e-4, 1e-9])
    schedule = Schedule(rate, scale=2.0)
    found = kernel_spectrum(np.diag(values)).learning_times(fraction, schedule, ridge)
    for value, time in zip(values + ridge, found, strict=True):
        left = 1 - fraction
        if rate is None:
            assert np.exp(-value * time / 2) == pytest.approx(left)
        else:
            assert abs(1 - rate * value / 2) ** time == pytest.approx(left, rel=1e-6)


def test_learning_times_of_modes_that_are_never_learned():
    found = kernel_spectrum(np.diag([2.0, 1.0, 0.0]))
    np.testing.assert_allclose(found.learning_times(), [np.log(2) / 2, np.log(2), np.inf])
    assert found.learning_times(ridge=1.0)[2] == np.inf
    assert found.learning_times(schedule=Schedule(1.5))[0] == np.inf  # diverges beyond 2 / 2
    assert found.learning_times(schedule=Schedule(0.5))[0] == 0.0  # all in one step
    steps = found.learning_times(schedule=Schedule(1e-6))
    assert steps[0] * 1e-6 == pytest.approx(np.log(2) / 2, rel=2e-6)


# Alignment


def test_alignment_of_kernels():
    L = TARGETS @ TARGETS.T
    centre = KernelCenterer()
    K_c, L_c = centre.fit_transform(KERNEL), KernelCenterer().fit_transform(L)
    expected = (K_c * L_c).sum() / np.linalg.norm(K_c) / np.linalg.norm(L_c)
    assert kernel_alignment(KERNEL, L) == pytest.approx(expected)
    assert target_alignment(KERNEL, TARGETS) == pytest.approx(expected)
    plain = (KERNEL * L).sum() / np.linalg.norm(KERNEL) / np.linalg.norm(L)
    assert kernel_alignment(KERNEL, L, centred=False) == pytest.approx(plain)
    assert target_alignment(KERNEL, TARGETS, centred=False) == pytest.approx(plain)


def test_alignment_of_a_kernel_that_is_the_targets():
    y = TARGETS[:, 0]
    assert target_alignment(3 * np.outer(y, y), y, centred=False) == pytest.approx(1.0)
    assert target_alignment(np.outer(y, y) + 10.0, y - 5.0) == pytest.approx(1.0)
    assert target_alignment(np.outer(y, y) + 10.0, y, centred=False) < 0.9


def test_uncentred_alignment_of_unequal_classes_is_not_chance():
    """A constant kernel knows nothing, but is aligned with labels of which most are equal."""
    y = np.where(np.arange(20) < 18, 1.0, -1.0)
    assert target_alignment(np.ones((20, 20)), y, centred=False) == pytest.approx(0.64)
    with pytest.raises(ValueError, match="undefined"):
        target_alignment(np.ones((20, 20)), y)


def test_alignment_is_the_spectrum_and_the_power():
    found = kernel_spectrum(KERNEL, TARGETS[:, 0])
    over = np.linalg.norm(found.eigenvalues) * found.power.sum()
    expected = found.eigenvalues @ found.power / over
    assert target_alignment(KERNEL, TARGETS[:, 0], centred=False) == pytest.approx(expected)


# Refusals


@pytest.mark.parametrize(
    "arguments, told",
    [
        ((np.ones((3, 2)),), "kernel must be a square"),
        ((np.triu(np.ones((3, 3))),), "kernel must be finite and symmetric"),
        ((np.full((3, 3), np.nan),), "kernel must be finite"),
        ((KERNEL, np.ones(3)), "targets must be"),
        ((KERNEL, np.full(N, np.inf)), "targets must be"),
        ((KERNEL, None, np.zeros(N)), "weight must be"),
        ((KERNEL, None, np.ones(3)), "weight must be"),
        ((KERNEL, None, None, KERNEL), "initial_covariance needs targets"),
        ((KERNEL, TARGETS, None, np.eye(3)), "initial_covariance must have shape"),
    ],
)
def test_refusals(arguments, told):
    with pytest.raises(ValueError, match=told):
        kernel_spectrum(*arguments)


@pytest.mark.parametrize(
    "ask, told",
    [
        (lambda s: s.power, "needs targets"),
        (lambda s: s.losses([1.0]), "needs targets"),
        (lambda s: s.effective_dimension(-1.0), "ridge must be"),
        (lambda s: s.learning_times(1.0), "fraction must be"),
        (lambda s: s.learning_times(schedule=Schedule(0.1, 0.9)), "momentum"),
        (lambda s: s.losses([1], Schedule(1e9)), "diverges"),
        (lambda s: s.losses([1.0, -1.0]), "times must be"),
        (lambda s: kernel_spectrum(np.zeros((2, 2))).effective_rank, "no eigenvalue"),
        (lambda s: kernel_spectrum(np.diag([1.0, -0.5])), "kernel must be positive semidefinite"),
        (
            lambda s: kernel_spectrum(np.eye(2), np.ones(2), initial_covariance=-np.eye(2)),
            "initial_covariance must be positive semidefinite",
        ),
        (lambda s: kernel_spectrum(np.eye(2), np.zeros(2)).cumulative_power, "targets of 0"),
        (
            lambda s: kernel_spectrum(np.eye(2), np.ones(2)).losses([1.5], Schedule(0.1)),
            "times count steps",
        ),
        (lambda s: kernel_spectrum(np.eye(2), np.ones(2)).losses(1.0), "sequence of numbers"),
        (lambda s: target_alignment(np.diag([1.0, 2, 3, 4, 5, 6]), np.full(6, 0.1)), "constant"),
    ],
)
def test_questions_without_an_answer(ask, told):
    with pytest.raises(ValueError, match=told):
        ask(kernel_spectrum(KERNEL))


# Ridge and early stopping


def test_ridge_is_early_stopping_only_qualitatively():
    """v / (v + 1/t) against 1 - exp(-v t): never more, at most 1.2985 times less, 0.2036 apart."""
    v = np.logspace(-12, 12, 20001)
    stopped, ridge = -np.expm1(-v), v / (v + 1.0)
    assert (stopped >= ridge).all()
    assert (stopped / ridge).max() == pytest.approx(1.2984, abs=1e-4)
    assert (stopped - ridge).max() == pytest.approx(0.2036, abs=1e-4)


def test_no_ridge_gives_the_function_of_early_stopping():
    """But for kernels of equal eigenvalues, of which one ridge does."""

    def least_difference(K):
        stopped = expm(-K * 2.0) @ TARGETS
        ridges = np.logspace(-4, 4, 4001)
        v, V = np.linalg.eigh(K)
        parts = V.T @ TARGETS
        rest = [V @ (parts * (ridge / (v + ridge))[:, None]) for ridge in ridges]
        return min(np.linalg.norm(r - stopped) for r in rest) / np.linalg.norm(stopped)

    assert least_difference(KERNEL) > 0.05
    assert least_difference(0.7 * np.eye(N)) < 2e-3  # the grid
