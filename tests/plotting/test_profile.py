"""Fingerprints of networks, against closed forms and against other ways to compute them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ntk_sklearn.kernels import NNGP, NTK
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
    networks = {"depth 1": FullyConnected(1), "finite": FullyConnected(2, width=8, n_networks=2)}
    display = KernelProfileDisplay.from_network(networks, normalize=True, ax=ax)
    for line, network in zip(display.lines_, networks.values(), strict=True):
        points = np.column_stack([np.cos(display.positions), np.sin(display.positions)])
        K = NTK(network)(points)
        correlations = K[0] / np.sqrt(K[0, 0] * np.diag(K))
        np.testing.assert_allclose(line.get_ydata(), correlations, rtol=1e-12)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["depth 1", "finite"]
    assert r"\sqrt" in ax.get_ylabel()


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
    ],
)
def test_bad_input_is_refused(given, error, message):
    with pytest.raises(error, match=message):
        KernelProfileDisplay.from_network(Convolutional(1) if "image" in given else None, **given)


def test_nothing_to_show_is_refused():
    with pytest.raises(ValueError, match="no network to show"):
        KernelProfileDisplay.from_network([])


# What fingerprints say of architectures, and what is only nearly so


def relative(a, b):
    return np.linalg.norm(a - b) / np.linalg.norm(b)


@pytest.mark.parametrize("kernel", [NTK, NNGP])
@pytest.mark.parametrize("b_std", [0.0, 0.7])
def test_dense_kernels_see_norms_and_angle_alone(kernel, b_std):
    rng = np.random.default_rng(1)
    X, Z = rng.normal(size=(5, 6)), rng.normal(size=(4, 6))
    turn = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    k = kernel(FullyConnected(3, b_std=b_std))
    np.testing.assert_allclose(k(X @ turn, Z @ turn), k(X, Z), rtol=1e-10)
    assert relative(k(X @ turn, Z), k(X, Z)) > 0.05  # of both inputs, not of one


@pytest.mark.parametrize("depth", [1, 4])
def test_norms_are_factors_without_biases_only(depth):
    X = np.random.default_rng(2).normal(size=(5, 6))
    norms = np.linalg.norm(X, axis=1)
    unit = X / norms[:, np.newaxis]
    free, biased = (NTK(FullyConnected(depth, b_std=b)) for b in (0.0, 0.7))
    np.testing.assert_allclose(free(X), np.outer(norms, norms) * free(unit), rtol=1e-12)
    assert relative(np.outer(norms, norms) * biased(unit), biased(X)) > 0.05


def test_dense_kernels_are_blind_to_one_permutation_of_all_pixels():
    rng = np.random.default_rng(3)
    images, order = rng.normal(size=(5, 1, 4, 4)), rng.permutation(16)
    rows = images.reshape(5, -1)
    dense, conv = NTK(FullyConnected(2)), NTK(Convolutional(2), image_shape=(1, 4, 4))
    np.testing.assert_allclose(dense(rows[:, order]), dense(rows), rtol=1e-13)
    assert relative(conv(rows[:, order]), conv(rows)) > 0.01


@pytest.mark.parametrize("head", ["global_avg_pool", "flatten"])
@pytest.mark.parametrize("padding", ["circular", "same"])
@pytest.mark.parametrize("quantity", ["ntk", "nngp"])
def test_shift_invariance_needs_pooling_and_circular_padding(padding, head, quantity):
    network = Convolutional(2, padding=padding, head=head)
    found = KernelProfileDisplay.from_network(network, image=IMAGE, quantity=quantity).values[0]
    if (padding, head) == ("circular", "global_avg_pool"):
        np.testing.assert_allclose(found, found[0], rtol=1e-12)
    else:
        assert np.ptp(found) > 0.01 * found[0]


@pytest.mark.parametrize("padding, equivariant", [("circular", True), ("same", False)])
def test_without_pooling_both_images_must_be_shifted(padding, equivariant):
    kernel = NTK(Convolutional(2, padding=padding, head="flatten"))
    pair = np.random.default_rng(4).normal(size=(2, 2, 4, 5))
    found = relative(kernel(np.roll(pair, 2, axis=3)), kernel(pair))
    assert (found < 1e-12) if equivariant else (found > 1e-3)


def plain(w_std):
    return lambda depth: FullyConnected(depth, w_std=w_std, b_std=0.0)


@pytest.mark.parametrize("w_std", [1.0, math.sqrt(2.0), 1.8])
def test_sizes_of_plain_relu_kernels_with_depth(w_std):
    """(w^2 / 2)^L for the NNGP, L + 1 times that for the NTK: only below sqrt(2) both vanish."""
    depths = np.array([1, 5, 20])
    nngp, ntk = (
        KernelProfileDisplay.from_depths(plain(w_std), depths, angle=0, quantity=q).values[0]
        for q in ("nngp", "ntk")
    )
    expected = 0.5 * (w_std**2 / 2) ** depths
    np.testing.assert_allclose(nngp, expected, rtol=1e-11)
    np.testing.assert_allclose(ntk, (depths + 1) * expected, rtol=1e-11)


@pytest.mark.parametrize("angle", [0.5, math.pi])
def test_correlations_of_deep_plain_networks_forget_the_angle(angle):
    depths = [40, 80, 160]
    nngp, ntk = (
        KernelProfileDisplay.from_depths(
            plain(math.sqrt(2.0)), depths, angle=angle, quantity=q, normalize=True
        ).values[0]
        for q in ("nngp", "ntk")
    )
    # 1 - 9 pi^2 / (2 L^2), and 1/4 (Hayou et al. 2019): from there they fall like log(L) / L
    off = np.abs(1 - (1 - nngp) * np.square(depths) / (9 * math.pi**2 / 2))
    assert (off[1:] < 0.7 * off[:-1]).all()
    assert off[-1] < 0.25
    assert ((ntk[1:] - 0.25) / (ntk[:-1] - 0.25) < 0.7).all()
    assert 0.0 < ntk[-1] - 0.25 < 0.035


def test_unscaled_skips_do_not_keep_angles_and_scaled_ones_do():
    def blocks(scale):
        def build(n):
            block = residual(Serial(Activation("relu"), Dense(math.sqrt(2.0) * scale(n))))
            return Serial(Dense(), *[block] * n, Activation("relu"), Dense())

        return build

    families = {"1": blocks(lambda n: 1.0), "1 / sqrt(n)": blocks(lambda n: n**-0.5)}
    near, far = (
        KernelProfileDisplay.from_depths(families, [10, 50], angle=a, normalize=True).values
        for a in (1.0, 2.5)
    )
    apart = near - far
    assert abs(apart[0, 1]) < 0.25 * abs(apart[0, 0])
    assert abs(near[0, 1] - 0.25) < 0.5 * abs(near[0, 0] - 0.25)
    np.testing.assert_allclose(apart[1, 0], apart[1, 1], rtol=0.03)
    assert apart[1, 1] > 0.1
