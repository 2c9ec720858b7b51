"""The networks that are compared, with their inputs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter

from ntk_sklearn.networks import Convolutional, FullyConnected, Layer, Myrtle, Preset, ResNet

DENSE_SHAPE = (1, 28, 28)  # 784 features


@dataclass(frozen=True)
class Work:
    """A row of the table.

    Parameters
    ----------
    title : str
    preset : Preset
    size : int or None
        Images of `size` x `size` pixels and three channels in a block k(X, Z); None is the Gram
        k(X) of rows of 784 features.
    peer_side : int
        neural-tangents computes blocks of `peer_side` x `peer_side` pairs of images. It also
        computes the covariance of every image with itself, so that larger blocks cost less per
        pair; these are the sizes beyond which it gains nothing or calls take tens of seconds.
    """

    title: str
    preset: Preset
    size: int | None = None
    peer_side: int = 1

    @property
    def network(self) -> Layer:
        """The layer tree."""
        return self.preset.build()

    @property
    def image_shape(self) -> tuple[int, int, int] | None:
        """(channels, height, width)."""
        return None if self.size is None else (3, self.size, self.size)


def _pooled(size: int, peer_side: int) -> Work:
    title = f"CNN, 5 layers, GlobalAvgPool, {size}x{size}"
    return Work(title, Convolutional(5), size, peer_side)


WORKS = {
    "cnn-8": _pooled(8, 32),
    "cnn-16": _pooled(16, 8),
    "cnn-32": _pooled(32, 4),
    "cnn-flatten-32": Work(
        "CNN, 5 layers, Flatten, 32x32", Convolutional(5, head="flatten"), 32, 64
    ),
    "myrtle-5": Work("Myrtle-5, 32x32", Myrtle(5), 32, 4),
    "myrtle-10": Work("Myrtle-10, 32x32", Myrtle(10), 32, 4),
    "resnet-4": Work("ResNet, 4 blocks, GlobalAvgPool, 16x16", ResNet((4,)), 16, 8),
    "resnet-strided": Work(
        "ResNet, 3 x 2 blocks, two strides of 2, GlobalAvgPool, 32x32",
        ResNet((2, 2, 2)),
        32,
        4,
    ),
    "dense-3": Work("dense, depth 3, k(X)", FullyConnected(3)),
    "dense-20": Work("dense, depth 20, k(X)", FullyConnected(20)),
}


def smooth_images(n: int, shape: tuple[int, int, int], seed: int = 0) -> np.ndarray:
    """Random images (n, channels, height, width): smoothed noise of variance 1."""
    noise = np.random.default_rng(seed).normal(size=(n, *shape))
    smooth = gaussian_filter(noise, (0, 0, 1.5, 1.5), mode="wrap")
    return smooth / smooth.std()


def read_images(path: Path, n: int, size: int) -> np.ndarray:
    """Images (n, channels, size, size) of a file with X (n, H, W, channels); size divides H.

    They are averaged over squares of pixels and standardized per channel.
    """
    with np.load(path) as held:
        pixels = held["X"][:n].astype(np.float64)
    count, height, width, channels = pixels.shape
    if count < n or height % size or width != height:
        raise ValueError(
            f"need {n} square images of a multiple of {size} pixels, {path.name} has {pixels.shape}"
        )
    step = height // size
    images = pixels.reshape(n, size, step, size, step, channels).mean(axis=(2, 4))
    images -= images.mean(axis=(0, 1, 2))
    return np.moveaxis(images / images.std(axis=(0, 1, 2)), -1, 1)


def inputs(work: Work, n: int, path: Path | None = None) -> np.ndarray:
    """Rows (n, features) of dense work, images (n, channels, height, width) of the others."""
    if work.size is None:
        return smooth_images(n, DENSE_SHAPE).reshape(n, -1)
    if path is None:
        return smooth_images(n, (3, work.size, work.size))
    return read_images(path, n, work.size)
