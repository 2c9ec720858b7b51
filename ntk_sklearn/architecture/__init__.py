"""What a network is: layers, their shapes, and the check that a limit exists."""

from .checks import NetworkError, check_network
from .convolutions import ConvLocal, ConvTranspose, transposed_windows
from .hyperparameters import replace, scales
from .layers import (
    Activation,
    AvgPool,
    Concat,
    Conv,
    Dense,
    Flatten,
    GlobalAvgPool,
    GlobalSumPool,
    Identity,
    Layer,
    LocalAvgPool,
    Serial,
    Sum,
    SumPool,
    children,
    contains,
    residual,
)
from .layout import Positions, demanded_positions
from .normalization import Dropout, LayerNorm
from .product import Product
from .shapes import Shape, infer_shape, most_positions
from .windows import ShapeError, Window, edge_factors, windows

__all__ = [
    "Activation",
    "AvgPool",
    "Concat",
    "Conv",
    "ConvLocal",
    "ConvTranspose",
    "Dense",
    "Dropout",
    "Flatten",
    "GlobalAvgPool",
    "GlobalSumPool",
    "Identity",
    "Layer",
    "LayerNorm",
    "LocalAvgPool",
    "NetworkError",
    "Positions",
    "Product",
    "Serial",
    "Shape",
    "ShapeError",
    "Sum",
    "SumPool",
    "Window",
    "check_network",
    "children",
    "contains",
    "demanded_positions",
    "edge_factors",
    "infer_shape",
    "most_positions",
    "replace",
    "residual",
    "scales",
    "transposed_windows",
    "windows",
]
