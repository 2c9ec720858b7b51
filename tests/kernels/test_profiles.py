"""Kernels against angle and shift, and spectra of networks on spheres."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.special import zeta

from ntk_sklearn.kernels import (
    NNGP,
    NTK,
    Averaged,
    Normalized,
    angle_profile,
    shift_profile,
    sphere_spectrum,
)
from ntk_sklearn.networks import (
    Activation,
    Conv,
    Convolutional,
    Dense,
    Flatten,
    FullyConnected,
    GlobalAvgPool,
    LayerNorm,
    Serial,
    residual,
)

RELU = Activation("relu")
EVEN, ODD = range(10, 61, 2), range(11, 60, 2)
ANGLES = np.linspace(0, np.pi, 13)
RNG = np.random.default_rng(0)
SHALLOW = Serial(Dense(), RELU, Dense(np.sqrt(2)))  # NTK u kappa_0 + kappa_1 at |x|^2 = d


def dense(depth, b_std=0.0):
    return FullyConnected(depth, b_std=b_std)


def close(found, expected, tolerance=1e-12):
    assert np.abs(found - expected).max() <= tolerance * np.abs(expected).max()


# Against the angle


def test_one_hidden_layer_is_the_arc_cosine_kernel():
    u = np.cos(ANGLES)
    kappa_0, kappa_1 = 1 - ANGLES / np.pi, np.sin(ANGLES) / np.pi + u * (1 - ANGLES / np.pi)
    for p in (2, 5):
        norms = (np.sqrt(p), np.sqrt(p))
        found = angle_profile(SHALLOW, ANGLES, norms=norms, n_features=p)
        close(found, u * kappa_0 + kappa_1)
        nngp = angle_profile(SHALLOW, ANGLES, quantity="nngp", norms=norms, n_features=p)
        close(nngp, kappa_1)


@pytest.mark.parametrize("quantity", ["ntk", "nngp"])
@pytest.mark.parametrize(
    "network",
    [
        dense(3, 0.4),
        FullyConnected(2, activation="erf", b_std=0.3),
        Normalized(dense(2, 0.4)),
        Serial(Dense(1.4, 0.2), LayerNorm(), residual(Serial(RELU, Dense())), RELU, Dense()),
    ],
    ids=repr,
)
def test_a_dense_kernel_is_its_profile(network, quantity):
    """Of random rows: norms and angle are all that it depends on."""
    x, z = RNG.normal(size=(2, 6))
    norms = np.linalg.norm(x), np.linalg.norm(z)
    angle = np.arccos(x @ z / np.prod(norms))
    found = angle_profile(network, angle, quantity=quantity, norms=norms, n_features=6)
    kernel = {"ntk": NTK, "nngp": NNGP}[quantity](network)
    assert found.shape == ()
    assert found == pytest.approx(kernel(x[None], z[None])[0, 0], rel=1e-11)
    rotation, _ = np.linalg.qr(RNG.normal(size=(6, 6)))
    both = np.stack([x, z]) @ rotation
    close(kernel(both), kernel(np.stack([x, z])), 1e-11)
    mixed = np.stack([x, z])[:, RNG.permutation(6)]
    close(kernel(mixed), kernel(np.stack([x, z])), 1e-11)  # blind to the order of pixels


def test_norms_are_factors_without_biases_only():
    unit = angle_profile(dense(3), ANGLES)
    close(angle_profile(dense(3), ANGLES, norms=(0.3, 7.0)), 2.1 * unit)
    ratio = angle_profile(dense(3, 0.5), ANGLES, norms=(0.3, 7.0)) / angle_profile(
        dense(3, 0.5), ANGLES
    )
    assert ratio.max() / ratio.min() > 1.5


# Depth. With ReLU at the critical scale correlations c of the NNGP go to 1 by c -> kappa_1(c),
# 1 - c -> (1 - c) - s (1 - c)^(3/2) - s / 20 (1 - c)^(5/2) - ...,   s = 2 sqrt(2) / (3 pi).
# In v = (2 / s) (1 - c)^(-1/2) that is v -> v + 1 + 3/2 / v + beta / v^2 + ... with
# beta = 5/2 + 9 pi^2 / 40, so that v - 3/2 log v + (beta - 3/2) / v grows by 1 up to O(v^-3):
# v = L + 3/2 log L + O(1), and 1 - c = 9 pi^2 / (2 L^2) (1 - 3 log L / L + O(1 / L)).
# The NTK, where the NNGP of an input with itself is 1, goes by theta -> kappa_1 + kappa_0 theta;
# kappa_0 = 1 - 3 / v - 9 pi^2 / 8 / v^3 - ... Solved by v / 4 - 1/8 - m / v + O(v^-2), where the
# terms of order v^-2 determine m. Unscaled skips take the means of c and theta with these, and
# their readout adds c to theta.

SQUARE = 9 * np.pi**2 / 2
PLAIN = (1.5, 1 + 9 * np.pi**2 / 40), (-1 / 8, -5 / 16 - 387 * np.pi**2 / 160)
SKIPS = (1.5, 1 / 2 + 9 * np.pi**2 / 20), (15 / 16, -5 / 64 - 774 * np.pi**2 / 320)


def skips(scale, depth):
    """Blocks x + scale V relu(x)."""
    block = residual(Serial(RELU, Dense(np.sqrt(2) * scale)))
    return Serial(Dense(), *(block,) * depth, Dense())


def correlations(network, quantity, angles):
    profile = angle_profile(network, [0.0, *angles], quantity=quantity)
    return profile[1:] / profile[0]


@pytest.mark.parametrize("plain", [True, False])
def test_depth_takes_the_angle_out_of_normalized_kernels(plain):
    """NNGP to 1 and NTK to 1/4 of the diagonal, which is L + 1, or L / 2 + 2 with skips."""
    (log, by_v), (constant, order_1) = PLAIN if plain else SKIPS
    counted, left, size = [], [], []
    for pace in (10, 20, 40):  # v grows by about 1 a layer, 1/2 a skip
        depth = pace if plain else 2 * pace
        network, top = (dense(depth), depth + 1) if plain else (skips(1.0, depth), pace + 2)
        v = np.sqrt(SQUARE / (1 - correlations(network, "nngp", [1.0, 1.7, 2.5])))
        counted.append(depth / pace * v - log * np.log(v) + by_v / v - depth)
        theta = top * correlations(network, "ntk", [1.0, 1.7, 2.5])
        left.append((theta - (v / 4 + constant + order_1 / v)) * v**2)
        size.append(v)
    # what is left is of order v^-2: the same multiple of it at all depths, up to log(v) / v, and
    # twice that for quotients of differences
    error = (np.log(size[1]) / size[1]).max()
    of_square = np.diff(counted, axis=0) / np.diff(np.power(size, -2.0), axis=0)
    assert of_square[1] == pytest.approx(of_square[0], rel=2 * error)
    assert left[2] == pytest.approx(left[1], rel=error)


def test_skips_of_the_scale_one_over_root_depth_keep_the_angle():
    """The limit of infinite depth is a differential equation in the share of the depth."""
    angles = [0.5, 1.0, 2.5]

    def slopes(_, state):
        c, theta = state.reshape(2, -1)
        angle = np.arccos(np.clip(c, -1, 1))
        kappa_1 = (np.sin(angle) + (np.pi - angle) * c) / np.pi
        return np.concatenate([kappa_1 - c, kappa_1 - angle / np.pi * theta])

    start = np.tile(np.cos(angles), 2)
    c, theta = solve_ivp(slopes, (0, 1), start, rtol=1e-10, atol=1e-12).y[:, -1].reshape(2, -1)
    limit = (theta + c) / 3  # the diagonal is 1 + 1 + 1
    assert np.ptp(limit) > 0.5 * np.ptp(correlations(dense(1), "ntk", angles))
    errors = [n * (correlations(skips(n**-0.5, n), "ntk", angles) - limit) for n in (10, 20, 40)]
    assert errors[2] == pytest.approx(errors[1], rel=0.05)  # of order 1 / n
    assert errors[2] - errors[1] == pytest.approx((errors[1] - errors[0]) / 2, rel=0.2)


@pytest.mark.parametrize("depth", [10, 40])
@pytest.mark.parametrize("w_std", [1.2, np.sqrt(2), 1.5])
def test_the_diagonal_vanishes_with_depth_below_the_critical_scale_only(w_std, depth):
    """NNGP w_std^2 (w_std^2 / 2)^depth at |x|^2 = d, and the NTK depth + 1 times that."""
    network = FullyConnected(depth, w_std=w_std, b_std=0.0, readout_w_std=w_std)
    norms, q = (np.sqrt(2), np.sqrt(2)), w_std**2 * (w_std**2 / 2) ** depth
    nngp = angle_profile(network, 0.0, quantity="nngp", norms=norms)
    assert nngp == pytest.approx(q, rel=1e-10)
    assert angle_profile(network, 0.0, norms=norms) == pytest.approx((depth + 1) * q, rel=1e-10)


# Against the shift

IMAGE = RNG.normal(size=(2, 6, 6))
SHIFTS = np.arange(6)


def conv(padding, *head):
    return Serial(Conv(3, np.sqrt(2), 0.1, padding=padding), RELU, *head, Dense())


@pytest.mark.parametrize("head", [GlobalAvgPool(), Flatten()], ids=repr)
@pytest.mark.parametrize("padding", ["circular", "same"])
@pytest.mark.parametrize("quantity", ["ntk", "nngp"])
def test_shift_invariance_needs_pooling_and_circular_padding(padding, head, quantity):
    found = shift_profile(conv(padding, head), IMAGE, SHIFTS, quantity=quantity)
    if (padding, head) == ("circular", GlobalAvgPool()):
        assert np.ptp(found) < 1e-10 * found[0]
    else:
        assert np.ptp(found) > 1e-3 * found[0]


@pytest.mark.parametrize("padding, equivariant", [("circular", True), ("same", False)])
def test_without_pooling_both_images_must_be_shifted(padding, equivariant):
    kernel = NTK(conv(padding, Flatten()), image_shape=(2, 6, 6))
    pair = np.stack([IMAGE, RNG.normal(size=(2, 6, 6))])
    K = kernel(pair)
    moved = np.abs(kernel(np.roll(pair, 2, 3)) - K).max() / K.max()
    assert (moved < 1e-12) if equivariant else (moved > 1e-3)


def test_convolutions_are_not_blind_to_the_order_of_pixels():
    mixed = IMAGE.reshape(1, -1)[:, RNG.permutation(72)]
    flat, kernel = IMAGE.reshape(1, -1), NTK(conv("same", Flatten()), image_shape=(2, 6, 6))
    assert abs(kernel(mixed, mixed) / kernel(flat, flat) - 1) > 0.01


def test_shifts_are_rolls_of_the_image():
    found = shift_profile(Convolutional(1), IMAGE, [[1, 0], [2, -1]])
    rolled = np.stack([np.roll(IMAGE, 1, 1), np.roll(np.roll(IMAGE, 2, 1), -1, 2)])
    expected = NTK(Convolutional(1))(IMAGE[None], rolled)[0]
    close(found, expected)
    last = shift_profile(Convolutional(1), IMAGE, [3])
    close(last, NTK(Convolutional(1))(IMAGE[None], np.roll(IMAGE, 3, 2)[None])[0])


def test_a_dense_network_sees_a_shift_as_an_angle():
    found = shift_profile(dense(2), IMAGE, SHIFTS)
    norm = np.linalg.norm(IMAGE)
    cosine = [(IMAGE * np.roll(IMAGE, k, 2)).sum() / norm**2 for k in SHIFTS]
    angles = np.arccos(np.clip(cosine, -1, 1))
    close(found, angle_profile(dense(2), angles, norms=(norm, norm), n_features=72), 1e-10)


# Spectra


@pytest.mark.parametrize("p", range(2, 11))
def test_one_hidden_layer_on_spheres(p):
    radius = np.sqrt(p)
    ntk = sphere_spectrum(SHALLOW, p, radius=radius)
    assert ntk.diagonal == pytest.approx(2.0, rel=1e-13)
    assert ntk.eigenvalues[1] == pytest.approx(1 / p, rel=1e-12)
    assert (np.abs(ntk.eigenvalues) <= ntk.errors)[3::2].all()
    assert ntk.slope(EVEN) == pytest.approx(-p, rel=0.02)
    nngp = sphere_spectrum(SHALLOW, p, radius=radius, quantity="nngp")
    assert nngp.slope(EVEN) == pytest.approx(-p - 2, rel=0.02)
    half = sphere_spectrum(SHALLOW, p, 4, radius=radius / 2)
    close(half.eigenvalues, ntk.eigenvalues[:5] / 4)


@pytest.mark.parametrize("p", [2, 5, 10])
@pytest.mark.parametrize("network", [dense(1, 0.5), dense(2), dense(3)], ids=repr)
def test_biases_and_depth_fill_the_odd_degrees(network, p):
    found = sphere_spectrum(network, p, radius=np.sqrt(p))
    assert (found.eigenvalues > 1e4 * found.errors).all()
    assert found.slope(EVEN) == pytest.approx(-p, rel=0.02)
    # with depth, odd ones come to the same law from further away
    assert found.slope(ODD) == pytest.approx(-p, rel=0.04)


@pytest.mark.parametrize("k", [3, 4, 31])
def test_two_hidden_layers_against_thirty_digits(k):
    """The recursion of arc-cosine kernels on the circle; the diagonal is 3."""
    with mp.workdps(30):

        def integrand(a):
            u, theta = mp.cos(a), mp.cos(a)
            for _ in range(2):
                t = mp.acos(u)
                slope, u = 1 - t / mp.pi, (mp.sin(t) + (mp.pi - t) * u) / mp.pi
                theta = theta * slope + u
            return theta * mp.cos(k * a) / mp.pi

        expected = float(mp.quad(integrand, mp.linspace(0, mp.pi, 9)))
    network = FullyConnected(2, b_std=0.0, readout_w_std=1.0)
    found = sphere_spectrum(network, 2, radius=1.0)
    scale = found.diagonal / 3
    assert found.eigenvalues[k] == pytest.approx(scale * expected, rel=1e-11)


@pytest.mark.parametrize("network", [SHALLOW, dense(3, 0.3)], ids=repr)
def test_gram_of_uniform_points_on_the_circle(network):
    """The Gram is a circulant: its eigenvalues are sums of all mu_k that n points mix up."""
    n, top = 24, 1200
    angles = 2 * np.pi * np.arange(n) / n
    K = NTK(network)(np.stack([np.cos(angles), np.sin(angles)], axis=1))
    fourier = np.fft.fft(angle_profile(network, angles)).real
    np.testing.assert_allclose(np.linalg.eigvalsh(K), np.sort(fourier), atol=1e-10)
    mu = sphere_spectrum(network, 2, top + n).eigenvalues
    for k in range(n // 2 + 1):
        known = mu[k] + sum(mu[j * n + k] + mu[j * n - k] for j in range(1, top // n + 1))
        # behind them, c / k^2 with a correction of the next order, for each parity of k
        far = np.arange(top // 2 + k % 2, top + n, 2)
        slope, c = np.polyfit(1.0 / far**2, mu[far] * far**2, 1)
        starts = top // n + 1 + np.array([k, -k]) / n
        rest = c * zeta(2, starts).sum() / n**2 + slope * zeta(4, starts).sum() / n**4
        assert n * (known + rest) == pytest.approx(fourier[k], abs=1e-10)


def test_gram_on_the_circle_of_a_smooth_activation():
    """Eigenvalues of erf fall exponentially: those beyond 64 are below rounding."""
    network = FullyConnected(2, activation="erf", b_std=0.3)
    fourier = np.fft.fft(angle_profile(network, 2 * np.pi * np.arange(128) / 128)).real / 128
    mu = sphere_spectrum(network, 2, 64).eigenvalues
    np.testing.assert_allclose(mu, fourier[:65], atol=1e-14)


# Refusals


@pytest.mark.parametrize(
    "network, options, told",
    [
        (Convolutional(1), {}, "only dense networks"),
        (FullyConnected(1, width=8), {}, "finite width"),
        (Averaged(group=[[0, 1], [1, 0]]), {}, "averaged over permutations"),
        (SHALLOW, {"norms": (1.0, 0.0)}, "norms must be"),
        (SHALLOW, {"norms": 1.0}, "norms must be"),
        (SHALLOW, {"n_features": 1}, "n_features must be"),
        (SHALLOW, {"angles": [np.nan]}, "angles must be"),
    ],
    ids=str,
)
def test_angle_profile_refuses(network, options, told):
    with pytest.raises(ValueError, match=told):
        angle_profile(network, **({"angles": [0.1]} | options))


@pytest.mark.parametrize(
    "image, shifts, told",
    [
        (np.ones(4), [1], "image must be"),
        (np.full((1, 4, 4), np.nan), [1], "image must be"),
        (IMAGE, [0.5], "shifts must be integers"),
        (IMAGE, [[1, 2, 3]], "shifts are along"),
    ],
    ids=str,
)
def test_shift_profile_refuses(image, shifts, told):
    with pytest.raises(ValueError, match=told):
        shift_profile(Convolutional(1), image, shifts)


def test_sphere_spectrum_refuses():
    with pytest.raises(ValueError, match="dimension must be"):
        sphere_spectrum(SHALLOW, 1)
    with pytest.raises(ValueError, match="only dense"):
        sphere_spectrum(Convolutional(1), 3)
