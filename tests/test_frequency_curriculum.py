"""The experiment of `examples/frequency_curriculum.py`, small: its kernel is the estimators'."""

from __future__ import annotations

import runpy
import sys

import numpy as np
import pytest
import torch
from markdown_pages import ROOT

from ntk_sklearn import NTKRegressor
from ntk_sklearn.finite import Networks
from ntk_sklearn.inference import ModeCurriculum
from ntk_sklearn.kernels import NTK
from ntk_sklearn.networks import FullyConnected

SCRIPT = ROOT / "examples" / "frequency_curriculum.py"
EXAMPLE = runpy.run_path(str(SCRIPT))
STEPS = 48


@pytest.fixture(scope="module")
def sines():
    return EXAMPLE["sum_of_sines"](0.5, 2)


@pytest.fixture(scope="module")
def rate(sines):
    return 1.0 / np.linalg.eigvalsh(NTK(EXAMPLE["NETWORK"])(sines.X))[-1]


@pytest.mark.parametrize("order", ["all at once", "low modes first"])
def test_kernel_is_that_of_the_estimators(sines, rate, order):
    starts = (0, STEPS // 6, STEPS // 3, STEPS // 2)
    stages = ModeCurriculum(starts, EXAMPLE["SHARES"]) if order == "low modes first" else None
    options = {"alpha": 0, "normalize_y": False, "learning_rate": rate, "curriculum": stages}
    model = NTKRegressor(EXAMPLE["NETWORK"], **options).fit(sines.X, sines.y)
    found = EXAMPLE["train_kernel"](sines, order, rate, STEPS)
    for check, t in enumerate(sorted(EXAMPLE["checked"](STEPS))):
        f, new = model.predict(sines.X, t=t), model.predict(sines.Z, t=t)
        expected = EXAMPLE["errors"](f, new, sines)
        np.testing.assert_allclose(found[:, check], expected, rtol=1e-8)


@pytest.mark.parametrize("order", EXAMPLE["ORDERS"])
def test_everything_is_shown_at_the_end(sines, order):
    start = np.full_like(sines.y, 0.3)
    stages = EXAMPLE["planned"](order, sines, start, 10.0)
    np.testing.assert_allclose(stages[-1].targets, sines.y, atol=1e-12)
    assert (stages[-1].shown == 1).all()
    counts = [stage.shown.sum(axis=0) for stage in stages]
    if "examples" in order:
        np.testing.assert_array_equal(counts, [[8, 8], [16, 16], [24, 24], [32, 32]])


@pytest.mark.parametrize("order", EXAMPLE["ORDERS"])
def test_networks_train_by_the_plan(sines, rate, order, monkeypatch):
    """Without hidden layers a network is linear in its parameters: its kernel is exact."""
    linear = FullyConnected(0)
    monkeypatch.setitem(EXAMPLE["train_networks"].__globals__, "NETWORK", linear)
    networks = list(Networks(linear.build(), (2,), 4, 2, 0, dtype=torch.float64))
    start, new = (
        torch.cat([module(torch.tensor(rows)) for module in networks], dim=1).detach().numpy()
        for rows in (sines.X, sines.Z)
    )
    moved = sines._replace(y=sines.y - start, truth=sines.truth - new)
    expected = EXAMPLE["train_kernel"](moved, order, rate, STEPS)
    found = EXAMPLE["train_networks"](sines, order, rate, STEPS, 4)
    np.testing.assert_allclose(found, expected, rtol=1e-5)  # in single precision


def test_tables(monkeypatch, capsys):
    sizes = {"runs": 2, "steps": 8, "width": 8, "digits": 32, "epochs": 2}
    given = [word for name, value in sizes.items() for word in (f"--{name}", str(value))]
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *given])
    EXAMPLE["main"]()
    printed = capsys.readouterr().out
    assert printed.count("| all at once |") == 6
    assert printed.count("| low modes first |") == 4
    assert printed.count("| hard examples first |") == 6
    assert "nan" not in printed
