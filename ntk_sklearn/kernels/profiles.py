"""Kernels against one variable: the angle of two inputs, or the shift of an image."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ..architecture import Layer, Motion, Shape, ShapeError, asymmetry, infer_shape
from ..backends import Quantity
from ..inference import SphereSpectrum, funk_hecke
from ._lowering import averages
from ._network import Network, as_network, finite_width, trees
from .network_kernel import NetworkKernel


def angle_profile(
    network: Network | None,
    angles: ArrayLike,
    *,
    quantity: Quantity = "ntk",
    norms: tuple[float, float] = (1.0, 1.0),
    n_features: int = 2,
) -> np.ndarray:
    """k(x, z) of a dense network against the angle of x and z.

    Dense networks of infinite width see of two inputs their norms and their angle only: their
    kernels do not change if both are rotated. (Of one hidden layer of ReLU without biases the norms
    are factors in front: k = |x| |z| kappa(angle).)

    Parameters
    ----------
    network : Preset, Layer, Expression or None
        None is ``FullyConnected()``. All its layers must read rows without positions.
    angles : array-like, any shape
        In radians; rows are taken at the angles 0 and `angles` in the plane of the first two axes.
    quantity : {"ntk", "nngp"}, default="ntk"
    norms : (float, float), default=(1, 1)
        Euclidean norms of x and z. Inputs are divided by sqrt(n_features): two standardized rows
        have norms near sqrt(n_features).
    n_features : int, default=2

    Returns
    -------
    ndarray, of the shape of `angles`
        float64. At the angle 0 x and z count as two inputs (of dropout: with masks of their own).

    Raises
    ------
    ValueError
        For networks that read images or graphs, of a finite width, or averaged over permutations;
        for angles that are not finite, norms that are not positive, fewer than 2 features.

    Examples
    --------
    >>> import numpy as np
    >>> from ntk_sklearn.networks import Activation, Dense, Serial
    >>> shallow = Serial(Dense(), Activation("relu"), Dense())
    >>> angle_profile(shallow, [0.0, np.pi / 2], norms=(2, 3)).round(6).tolist()
    [3.0, 0.477465]
    """
    network = as_network(network)
    check_angles_suffice(network, n_features)
    found = np.asarray(angles, dtype=np.float64)
    if not np.isfinite(found).all():
        raise ValueError("angles must be finite, in radians")
    if np.shape(norms) != (2,) or not np.isfinite(norms).all() or not min(norms) > 0:
        raise ValueError(f"norms must be two positive numbers, got {norms!r}")
    x, z = np.zeros((1, n_features)), np.zeros((found.size, n_features))
    x[0, 0] = norms[0]
    z[:, 0], z[:, 1] = norms[1] * np.cos(found.ravel()), norms[1] * np.sin(found.ravel())
    values: np.ndarray = NetworkKernel(network, (quantity,)).matrix(x, z)[0, 0]
    return values.reshape(found.shape)


def sphere_spectrum(
    network: Network | None,
    dimension: int,
    max_degree: int = 60,
    *,
    quantity: Quantity = "ntk",
    radius: float = 1.0,
) -> SphereSpectrum:
    """Eigenvalues of a dense network's kernel on the sphere of `radius` in R^dimension.

    For the uniform distribution, whose eigenfunctions are spherical harmonics, on the circle
    sinusoids. For one bias-free hidden layer of ReLU the eigenvalues mu_k of the NTK fall like
    k^-dimension for even k and are 0 for odd k >= 3; a bias or a second hidden layer makes these
    positive. mu_1 is 1 / p in the scale where the diagonal of this NTK is 2: ``radius=sqrt(p)``,
    ``Serial(Dense(), Activation("relu"), Dense(sqrt(2)))``.

    Parameters
    ----------
    network, quantity
        As in `angle_profile`.
    dimension : int
        p >= 2; rows have that many features.
    max_degree : int, default=60
    radius : float, default=1
        sqrt(dimension) for rows of mean square 1. Without biases, only a factor for ReLU.

    Returns
    -------
    SphereSpectrum

    Raises
    ------
    ValueError
        As `angle_profile` and `ntk_sklearn.inference.funk_hecke`.

    References
    ----------
    Bietti and Mairal, "On the inductive bias of neural tangent kernels", 2019, proposition 5.

    Examples
    --------
    >>> from ntk_sklearn.networks import Activation, Dense, Serial
    >>> shallow = Serial(Dense(), Activation("relu"), Dense(2**0.5))
    >>> sphere_spectrum(shallow, 2, 2, radius=2**0.5).eigenvalues.round(4).tolist()
    [0.6079, 0.5, 0.1576]
    """

    def profile(angles: np.ndarray) -> np.ndarray:
        norms = (radius, radius)
        return angle_profile(network, angles, quantity=quantity, norms=norms, n_features=dimension)

    return funk_hecke(profile, dimension, max_degree)


def shift_profile(
    network: Network | None,
    image: ArrayLike,
    shifts: ArrayLike,
    *,
    quantity: Quantity = "ntk",
) -> np.ndarray:
    """k(image, shifted image) against circular shifts of one image.

    Constant for convolutional networks with circular padding, strides of 1 and global average
    pooling, and in general for these alone: without pooling a kernel is unchanged only if both
    images are shifted, and zero padding sees the borders.

    Parameters
    ----------
    network : Preset, Layer, Expression or None
        None is ``FullyConnected()``, which sees no positions.
    image : array-like, (channels, *spatial)
    shifts : array-like of int, (n_shifts,) or (n_shifts, n_spatial)
        By how many positions along the last axis, or along every spatial axis.
    quantity : {"ntk", "nngp"}, default="ntk"

    Returns
    -------
    ndarray, (n_shifts,)
        float64.

    Raises
    ------
    ValueError
        For an image without spatial axes or with values that are not finite, and for shifts that
        are no integers or fit another number of axes.
    """
    picture = np.asarray(image, dtype=np.float64)
    if picture.ndim < 2 or not np.isfinite(picture).all():
        raise ValueError(
            f"image must be (channels, *spatial) and finite, got shape {picture.shape}"
        )
    axes = tuple(range(1, picture.ndim))
    moved = np.stack([np.roll(picture, shift, axes) for shift in _shifts(shifts, len(axes))])
    kernel = NetworkKernel(as_network(network), (quantity,), picture.shape)
    found: np.ndarray = kernel.matrix(picture.reshape(1, -1), moved.reshape(len(moved), -1))[0, 0]
    return found


def check_angles_suffice(network: Network, n_features: int) -> None:
    """Refuse networks whose kernels see more of two rows than norms and angle.

    Raises
    ------
    ValueError
        In words: what the kernel depends on, and what to use.
    """
    if n_features < 2:
        raise ValueError(f"n_features must be at least 2 for two directions, got {n_features!r}")
    if finite_width(network) is not None:
        raise ValueError(
            "kernels of networks of finite width depend on more than the angle of their inputs: "
            "use width=inf, or evaluate the kernel on the rows themselves"
        )
    if averages(network):
        raise ValueError(
            "a kernel averaged over permutations of the features depends on more than the angle of "
            "its inputs: evaluate the kernel on the rows themselves"
        )
    for layers in trees(network):
        why = _reads_positions(layers, n_features)
        if why:
            raise ValueError(
                f"only dense networks have kernels of the angle alone, {why}; shift_profile shows "
                "networks of images"
            )


def _reads_positions(layers: Layer, n_features: int) -> str | None:
    shape = Shape(n_features)
    try:
        infer_shape(layers, shape)
    except ShapeError as error:
        return str(error)
    return asymmetry(layers, shape, Motion())


def _shifts(shifts: ArrayLike, n_axes: int) -> np.ndarray:
    """(n_shifts, n_axes), with 0 for the axes that are not named."""
    found = np.asarray(shifts)
    if found.dtype.kind not in "iu" or found.ndim not in (1, 2) or found.size == 0:
        raise ValueError("shifts must be integers, (n_shifts,) or (n_shifts, n_spatial)")
    if found.ndim == 1:
        found = np.stack([np.zeros_like(found)] * (n_axes - 1) + [found], axis=1)
    if found.shape[1] != n_axes:
        raise ValueError(f"shifts are along {found.shape[1]} axes, image has {n_axes} spatial ones")
    return found
