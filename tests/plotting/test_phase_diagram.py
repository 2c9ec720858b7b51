from __future__ import annotations

import numpy as np
import pytest

from ntk_sklearn.networks import critical_w_std, phase
from ntk_sklearn.plotting import PhaseDiagramDisplay

W, B = [0.7, 1.0, 1.4, 2.0], [0.0, 0.3, 0.6]


@pytest.mark.parametrize("quantity", ["chi_1", "correlation_depth"])
def test_colours_are_those_of_the_phases(quantity, ax):
    display = PhaseDiagramDisplay.from_activation("erf", W, B, quantity=quantity, ax=ax)
    expected = [[getattr(phase("erf", w, b), quantity) for w in W] for b in B]
    np.testing.assert_array_equal(display.values, expected)
    shown = display.mesh_.get_array()
    np.testing.assert_array_equal(np.where(shown > 1e299, np.inf, shown), expected)
    names = [[phase("erf", w, b).name for w in W] for b in B]
    np.testing.assert_array_equal(display.phases, names)
    assert {text.get_text() for text in display.texts_} == {"ordered", "chaotic"}
    assert display.colorbar_.ax.get_ylabel()


def test_critical_line_has_chi_of_one(ax):
    display = PhaseDiagramDisplay.from_activation("erf", W, B, ax=ax)
    w, b = display.line_.get_data()
    np.testing.assert_array_equal(b, B)
    np.testing.assert_allclose([phase("erf", *at).chi_1 for at in zip(w, b, strict=True)], 1.0)


def test_variances_instead_of_scales(ax):
    display = PhaseDiagramDisplay([1.0, 2.0], [0.0, 0.5], [[0.5, 2], [0.5, 2]], critical=[1.5, 1.6])
    display.plot(ax, squared=True)
    np.testing.assert_allclose(display.line_.get_data(), [[2.25, 2.56], [0.0, 0.25]])
    assert "²" in ax.get_xlabel()
    # corners lie half a cell around the squares
    np.testing.assert_allclose(display.mesh_.get_coordinates()[0, :, 0], [-0.5, 2.5, 5.5])


def test_there_is_no_line_where_there_is_no_critical_scale(ax):
    """Of relu there is one without biases only; beyond it variances grow without bound."""
    display = PhaseDiagramDisplay.from_activation("relu", [1.0, 1.2, 1.6, 1.9], B, ax=ax)
    w = display.line_.get_xdata()
    assert w[0] == critical_w_std("relu") == pytest.approx(2**0.5)
    assert np.isnan(w[1:]).all()
    assert {text.get_text() for text in display.texts_} == {"ordered", "unbounded"}


def test_colours_have_one_in_the_middle(ax):
    display = PhaseDiagramDisplay.from_activation("erf", W, B, ax=ax)
    low, high = display.mesh_.get_clim()
    assert low * high == pytest.approx(1.0)
    assert 1.0 in display.colorbar_.ax.get_yticks()


def test_infinite_depths_and_missing_values(ax):
    values = [[1.0, np.inf], [np.nan, 3.0]]
    display = PhaseDiagramDisplay([1, 2], [0, 1], values, quantity="correlation_depth").plot(ax)
    shown = display.mesh_.get_array()
    assert shown.mask.tolist() == [[False, False], [True, False]]
    assert shown[0, 1] > display.mesh_.get_clim()[1]
    display.figure_.canvas.draw()


def test_variances_that_alternate_have_no_phase(monkeypatch, ax):
    def alternating(activation, w_std, b_std):
        if w_std > 1.5:
            raise ValueError("the variance has no limit with depth: it alternates around 1")
        return phase(activation, w_std, b_std)

    monkeypatch.setattr("ntk_sklearn.plotting.phase_diagram.phase", alternating)
    display = PhaseDiagramDisplay.from_activation("erf", W, B, ax=ax)
    assert np.isnan(display.values).tolist() == [[False, False, False, True]] * 3
    assert display.mesh_.get_array().mask.tolist() == [[False, False, False, True]] * 3


def test_small_regions_are_not_named(ax):
    phases = np.full((10, 10), "chaotic", dtype=object)
    phases[0, 0] = "ordered"
    values = np.ones((10, 10))
    display = PhaseDiagramDisplay(np.arange(10), np.arange(10), values, phases=phases).plot(ax)
    assert [text.get_text() for text in display.texts_] == ["chaotic"]


@pytest.mark.parametrize(
    "given, message",
    [
        ({"activation": "sign"}, "is a step"),
        ({"quantity": "q"}, "quantity must be one of"),
        ({"w_std": [2.0, 1.0]}, "w_std must be two or more rising"),
        ({"w_std": [1.0]}, "w_std must be two or more rising"),
        ({"w_std": [0.0, 1.0]}, "w_std must be finite and positive"),
    ],
)
def test_bad_input_is_refused(given, message):
    with pytest.raises(ValueError, match=message):
        PhaseDiagramDisplay.from_activation(**({"w_std": W, "b_std": B} | given))
