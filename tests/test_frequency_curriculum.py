"""The experiment of `examples/frequency_curriculum.py`, small: its kernel is the estimators'."""

from __future__ import annotations

import runpy
import sys

import numpy as np
import pytest
from markdown_pages import ROOT

from ntk_sklearn import NTKRegressor
from ntk_sklearn.inference import ModeCurriculum
from ntk_sklearn.kernels import NTK

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


def test_wide_networks_follow_the_kernel(sines, rate):
    kernel = EXAMPLE["train_kernel"](sines, "high modes first", rate, STEPS)[0]
    found = EXAMPLE["train_networks"](sines, "high modes first", rate, STEPS, 256)[0]
    # they begin from functions of their own, of which little is left at the end
    np.testing.assert_allclose(found[-1], kernel[-1], rtol=0.3)


def test_tables(monkeypatch, capsys):
    sizes = {"runs": 2, "steps": 16, "width": 16, "digits": 64, "epochs": 2}
    given = [word for name, value in sizes.items() for word in (f"--{name}", str(value))]
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *given])
    EXAMPLE["main"]()
    printed = capsys.readouterr().out
    assert printed.count("| all at once |") == 6
    assert printed.count("| low modes first |") == 4
    assert printed.count("| hard examples first |") == 6
    assert "nan" not in printed
