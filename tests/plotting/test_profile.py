"""Fingerprints of networks, against closed forms and against other ways to compute them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ntk_sklearn.kernels import NTK
from ntk_sklearn.networks import (
    Activation,
    Convolutional,
    Dense,
    FullyConnected,
    ResNet,
    Serial,
    residual,
)
from ntk_sklearn.plotting import KernelProfileDisplay

IMAGE = np.random.default_rng(0).normal(size=(2, 4, 5))
SHALLOW = Serial(Dense(math.sqrt(2)), Activation("relu"), Dense())


def circle(angles):
    return np.column_stack([np.cos(angles), np.sin(angles)])


def arccos_kernels(angle):
    """kappa_0 and kappa_1 (Cho and Saul 2009), 1 at the angle 0."""
    kappa_0 = 1 - angle / math.pi
    return kappa_0, (np.sin(angle) + (math.pi - angle) * np.cos(angle)) / math.pi


@pytest.mark.parametrize("quantity", ["ntk", "nngp"])
def test_profile_of_one_hidden_layer_is_the_closed_form(quantity, ax):
    display = KernelProfileDisplay.from_network(SHALLOW, quantity=quantity, ax=ax)
    angle, values = display.lines_[0].get_data()
    assert (angle[0], angle[-1], len(angle)) == (0.0, math.pi, 181)
    kappa_0, kappa_1 = arccos_kernels(angle)
    # |x|^2 / d = 1/2 of unit vectors in the plane
    expected = 0.5 * kappa_1 + (0.5 * kappa_0 * np.cos(angle) if quantity == "ntk" else 0.0)
    np.testing.assert_allclose(values, expected, atol=1e-14)
    assert [text.get_text() for text in ax.get_xticklabels()] == ["0", "π/4", "π/2", "3π/4", "π"]


def test_normalized_profiles_begin_at_one(ax):
    networks = {"depth 1": FullyConnected(1), "biases": FullyConnected(2, b_std=0.7)}
    display = KernelProfileDisplay.from_network(networks, normalize=True, ax=ax)
    for line, network in zip(display.lines_, networks.values(), strict=True):
        K = NTK(network)(circle(display.positions))
        correlations = K[0] / np.sqrt(K[0, 0] * np.diag(K))
        np.testing.assert_allclose(line.get_ydata(), correlations, rtol=1e-12)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["depth 1", "biases"]
    assert r"\sqrt" in ax.get_ylabel()


def test_networks_of_finite_width_see_more_than_the_angle(ax):
    """They are refused by angle; values at rows that are chosen by hand are shown."""
    network, angles = FullyConnected(2, width=8, n_networks=2), np.linspace(0, math.pi, 5)
    with pytest.raises(ValueError, match="finite width depend on more than the angle"):
        KernelProfileDisplay.from_network(network)
    rows = [NTK(network)(circle(turn), circle(angles + turn))[0] for turn in ([0.0], [1.0])]
    assert np.abs(rows[1] / rows[0] - 1).max() > 0.01
    display = KernelProfileDisplay(angles, rows, labels=["from 0", "from 1"]).plot(ax)
    np.testing.assert_array_equal(display.lines_[1].get_ydata(), rows[1])


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("padding", ["same", "circular"])
def test_shift_profile_is_a_row_of_the_gram_of_shifts(padding, normalize, ax):
    network = Convolutional(2, padding=padding, head="flatten")
    display = KernelProfileDisplay.from_network(network, image=IMAGE, normalize=normalize, ax=ax)
    shifts, values = display.lines_[0].get_data()
    assert shifts.tolist() == [0, 1, 2, 3, 4, 5]
    K = NTK(network)(np.stack([np.roll(IMAGE, s, axis=2) for s in range(6)]))
    expected = K[0] / np.sqrt(K[0, 0] * np.diag(K)) if normalize else K[0]
    np.testing.assert_allclose(values, expected, rtol=1e-12)
    assert "pixels" in ax.get_xlabel()


def test_chosen_shifts_and_angles(ax):
    network = Convolutional(1)
    display = KernelProfileDisplay.from_network(network, image=IMAGE, shifts=[-1, 4], ax=ax)
    np.testing.assert_allclose(*display.lines_[0].get_ydata(), rtol=1e-14)
    display = KernelProfileDisplay.from_network(SHALLOW, angles=[0.1, 0.2], ax=ax)
    np.testing.assert_array_equal(display.lines_[0].get_xdata(), [0.1, 0.2])


def test_growth_of_residual_networks_with_depth(ax):
    """Blocks x + a V relu(W x) multiply variances by 1 + a^2 v^2 w^2 / 2."""
    a, v, w, depths = 0.5, 1.2, 1.5, [1, 2, 5, 9]
    block = residual(Serial(Dense(w), Activation("relu"), Dense(a * v)))

    def build(depth):
        return Serial(Dense(), *[block] * depth)

    display = KernelProfileDisplay.from_depths(
        build, depths, angle=0.0, quantity="nngp", ax=ax, yscale="log"
    )
    expected = 0.5 * (1 + a**2 * v**2 * w**2 / 2) ** np.array(depths)
    np.testing.assert_allclose(display.lines_[0].get_ydata(), expected, rtol=1e-13)
    assert ax.get_yscale() == "log"
    assert ax.get_xlabel() == "depth"
    assert (ax.get_xticks() % 1 == 0).all()


def test_several_families_against_depth(ax):
    families = {"plain": FullyConnected, "residual": lambda n: ResNet((n,), filter=None)}
    display = KernelProfileDisplay.from_depths(families, (1, 3), normalize=True, ax=ax)
    pair = np.eye(2)
    for line, build in zip(display.lines_, families.values(), strict=True):
        grams = [NTK(build(d))(pair) for d in (1, 3)]
        expected = [K[0, 1] / K[0, 0] for K in grams]
        np.testing.assert_allclose(line.get_ydata(), expected, rtol=1e-12)
    assert display.labels == ["plain", "residual"]


def test_lists_of_networks_name_themselves(ax):
    networks = [FullyConnected(1), FullyConnected(2), Serial(*[Dense(), Activation()] * 5, Dense())]
    display = KernelProfileDisplay.from_network(networks, angles=[0, 1], ax=ax)
    assert display.labels == ["FullyConnected(depth=1)", "FullyConnected(depth=2)", "network 3"]


def test_ordered_curves_go_from_dark_to_light(ax):
    display = KernelProfileDisplay([0, 1], np.ones((3, 2))).plot(ax, ordered=True)
    brightness = [sum(line.get_color()[:3]) for line in display.lines_]
    assert brightness == sorted(brightness)


@pytest.mark.parametrize(
    "given, error, message",
    [
        ({"shifts": [1]}, TypeError, "pass image"),
        ({"image": IMAGE, "angles": [0.0]}, TypeError, "either angles or an image"),
        ({"image": IMAGE[0, 0]}, ValueError, "image must be"),
        ({"image": IMAGE, "shifts": [0.5]}, ValueError, "shifts must be integers"),
        ({"quantity": "ntgp"}, ValueError, "quantity must be"),
        ({"angles": [np.nan]}, ValueError, "finite"),
        ({"angles": []}, ValueError, "positions must have 1 axes and entries"),
        ({"network": Convolutional(1)}, ValueError, "only dense networks"),
    ],
)
def test_bad_input_is_refused(given, error, message):
    network = Convolutional(1) if "image" in given else None
    with pytest.raises(error, match=message):
        KernelProfileDisplay.from_network(**({"network": network} | given))


def test_nothing_to_show_is_refused():
    with pytest.raises(ValueError, match="no network to show"):
        KernelProfileDisplay.from_network([])
