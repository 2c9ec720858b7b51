"""GPyTorch kernels in double precision and their twins for scikit-learn."""

from __future__ import annotations

import torch

from ntk_sklearn.architecture import Layer, scales
from ntk_sklearn.kernels import NNGP, NTK, NNGPKernel, NTKKernel
from ntk_sklearn.networks import (
    Activation,
    Convolutional,
    Dense,
    FullyConnected,
    ResNet,
    Serial,
)

IMAGE = (1, 2, 3)
TREE = Serial(Dense(1.3, 0.2), Activation("relu"), Dense(1.1), Activation("erf"), Dense(0.9, 0.1))
CASES = {
    "dense ntk": (NTKKernel, FullyConnected(2), None),
    "dense nngp": (NNGPKernel, FullyConnected(2, activation="erf"), None),
    "tree": (NTKKernel, TREE, None),
    "dense resnet": (NNGPKernel, ResNet((1, 1), filter=None), None),
    "pooled": (NTKKernel, Convolutional(2), IMAGE),
    "flattened": (NNGPKernel, Convolutional(1, head="flatten"), IMAGE),
}


def rows(n, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, 6, generator=generator, dtype=torch.float64)


def make(case, **options):
    """A kernel in float64 whose scales are not rounded to float32 first."""
    kind, network, image_shape = CASES[case]
    kernel = kind(network, image_shape=image_shape, **options).double()
    given = scales(network) if isinstance(network, Layer) else network.scales
    for name in kernel.scales:
        kernel.set_scale(name, given[name])
    return kernel


def twin(case):
    kind, network, image_shape = CASES[case]
    return {NTKKernel: NTK, NNGPKernel: NNGP}[kind](network, image_shape=image_shape)


def relative(value, expected):
    return float((value - expected).detach().abs().max() / expected.detach().abs().max())
