"""What is learned first: frequencies on the circle, and where low ones do not come first.

On points spaced evenly on the circle the modes of a dense kernel are sinusoids, and frequency k has
the half-life log 2 / (n mu_k) of gradient flow on the summed loss.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ntk_sklearn import NTKRegressor
from ntk_sklearn.features import FourierFeatures
from ntk_sklearn.finite.tangent import Jacobian, ModuleFunction
from ntk_sklearn.inference import kernel_spectrum
from ntk_sklearn.kernels import NTK, sphere_spectrum
from ntk_sklearn.networks import Activation, Dense, FullyConnected, Serial

RELU = Activation("relu")
SHALLOW = Serial(Dense(), RELU, Dense(np.sqrt(2)))
BIASED = FullyConnected(1, b_std=0.5)
N = 128
TURN = 2 * np.pi * np.arange(N) / N


def circle(angles):
    return np.sqrt(2) * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def amplitude(f, k):
    """Of sin(k angle) on the uniform points."""
    return 2 / N * f @ np.sin(k * TURN)


def trained(network, y, t, X=None):
    model = NTKRegressor(network, alpha=0, normalize_y=False)
    return model.fit(circle(TURN) if X is None else X, y).predict(
        circle(TURN) if X is None else X, t=t
    )


@pytest.mark.parametrize("network, k", [(SHALLOW, 1), (SHALLOW, 2), (SHALLOW, 6), (BIASED, 5)])
def test_half_lives_on_the_circle(network, k):
    y = sum(np.sin(j * TURN) for j in range(1, 9))
    mu = sphere_spectrum(network, 2, 8, radius=np.sqrt(2)).eigenvalues
    f = trained(network, y, np.log(2) / (N * mu[k]))
    # eigenvalues of the Gram are larger by those of frequencies N - k, N + k, ...
    assert amplitude(f, k) == pytest.approx(0.5, abs=0.01)
    assert np.abs(f @ np.cos(np.outer(TURN, range(10)))).max() < 1e-10 * N  # nothing else stirs
    assert abs(amplitude(f, 9)) < 1e-12


def test_half_lives_of_the_gram_are_exact():
    spectrum = kernel_spectrum(NTK(BIASED)(circle(TURN)), np.sin(3 * TURN))
    carried = np.argmax(spectrum.power)
    f = trained(BIASED, np.sin(3 * TURN), spectrum.learning_times()[carried])
    assert amplitude(f, 3) == pytest.approx(0.5, abs=1e-10)


def test_odd_frequencies_are_never_learned_by_one_hidden_layer_without_bias():
    y = np.sin(TURN) + np.sin(2 * TURN) + np.sin(3 * TURN) + np.sin(5 * TURN)
    f = trained(SHALLOW, y, 1e4)
    left = [amplitude(f, k) for k in (1, 2, 3, 5)]
    np.testing.assert_allclose(left, [1, 1, 0, 0], atol=1e-9)
    for network in (BIASED, FullyConnected(2, b_std=0.0)):
        f = trained(network, y, 1e4)
        assert amplitude(f, 3) == pytest.approx(1.0, abs=1e-6)


def test_modes_are_sinusoids_for_uniform_points_only():
    """Crowded on one side, points of one frequency stir others."""

    def stirred(angles):
        y = np.sin(3 * angles)
        f = trained(BIASED, y, 0.5, circle(angles))
        basis = np.stack([np.cos(3 * angles), y], axis=1)
        return np.linalg.norm(
            f - basis @ np.linalg.lstsq(basis, f, rcond=None)[0]
        ) / np.linalg.norm(f)

    assert stirred(TURN) < 1e-10
    assert stirred(TURN + 0.8 * np.sin(TURN)) > 0.1


def test_not_with_fourier_features():
    """Of frequencies around 8 the kernel learns 8 before 1."""
    features = FourierFeatures(frequencies=[[7.0], [8.0], [9.0]]).fit(np.zeros((1, 1)))
    X = features.transform(TURN[:, np.newaxis] / (2 * np.pi))
    y = np.sin(TURN) + np.sin(8 * TURN)
    f = trained(BIASED, y, 0.15, X)
    assert amplitude(f, 8) > 0.8
    assert amplitude(f, 1) < 0.5
    f = trained(BIASED, y, 0.02)
    assert amplitude(f, 1) > 0.5 > 0.2 > amplitude(f, 8)


def jacobian_on_the_circle(n=16):
    torch.manual_seed(0)
    module = torch.nn.Sequential(
        torch.nn.Linear(2, 64), torch.nn.ReLU(), torch.nn.Linear(64, 1)
    ).double()
    angles = 2 * np.pi * np.arange(n) / n
    function = ModuleFunction(module)
    inputs = function.prepare(torch.from_numpy(circle(angles)))
    return Jacobian(function, function.values, inputs).dense().numpy()


def test_not_for_the_natural_gradient():
    """Full row rank, no damping: J F^+ J^T = n 1 for F = J^T J / n; with damping it is back."""
    J = jacobian_on_the_circle()
    n, rates = len(J), np.linalg.eigvalsh(J @ J.T)
    assert rates[-1] > 100 * rates[0] > 1e-6  # gradient descent tells the modes apart
    fisher = J.T @ J / n
    np.testing.assert_allclose(J @ np.linalg.pinv(fisher, 1e-12) @ J.T, n * np.eye(n), atol=1e-6)
    damped = J @ np.linalg.solve(fisher + 1.0 * np.eye(len(fisher)), J.T)
    np.testing.assert_allclose(np.linalg.eigvalsh(damped), rates / (rates / n + 1.0), atol=1e-8)


class Wide(torch.nn.Module):
    """One hidden layer without biases, in the scale in which its NTK is 2 on the diagonal."""

    def __init__(self, width):
        super().__init__()
        draws = torch.Generator().manual_seed(0)
        shapes = ((2, width), (width, 1))
        first, last = (torch.randn(s, generator=draws, dtype=torch.float64) for s in shapes)
        self.first, self.last = torch.nn.Parameter(first), torch.nn.Parameter(last)

    def forward(self, x):
        return (2 / len(self.last)) ** 0.5 * torch.relu(x @ self.first) @ self.last


def test_a_wide_network_that_is_trained_learns_frequencies_in_these_times():
    """4096 units, steps of torch: half-lives log 2 / (rate n mu_k) up to what width leaves."""
    n, frequencies = 32, (1, 2, 3, 4)
    turn = 2 * np.pi * np.arange(n) / n
    x = torch.from_numpy(np.stack([np.cos(turn), np.sin(turn)], axis=1))
    waves = torch.from_numpy(np.stack([np.sin(k * turn) for k in frequencies]))
    mu = sphere_spectrum(SHALLOW, 2, 8, radius=np.sqrt(2)).eigenvalues
    module, rate = Wide(4096), 0.2 / (n * mu[0])
    start, sgd, left = module(x).detach(), torch.optim.SGD(module.parameters(), lr=rate), []
    for _ in range(200):
        error = module(x) - start - waves.sum(0)[:, None]
        left.append((-2 / n * waves @ error.detach()[:, 0]).numpy())
        sgd.zero_grad()
        (0.5 * error**2).sum().backward()
        sgd.step()
    of_frequency = dict(zip(frequencies, np.array(left).T, strict=True))
    for k in (1, 2, 4):
        half_life = np.log(2) / (rate * n * mu[k])
        assert np.argmax(of_frequency[k] < 0.5) == pytest.approx(half_life, rel=0.1, abs=1)
    assert of_frequency[3].min() > 0.9
