"""What a network is: layers, their shapes, and the check that a limit exists."""

from .at_initialization import AtInitialization, check_random_outputs, check_trainable
from .checks import NetworkError, check_network
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
from .shapes import Shape, infer_shape
from .symmetry import Motion, asymmetry
from .windows import ShapeError, Window, windows

__all__ = [
    "Activation",
    "AtInitialization",
    "AvgPool",
    "Concat",
    "Conv",
    "Dense",
    "Dropout",
    "Flatten",
    "GlobalAvgPool",
    "GlobalSumPool",
    "Identity",
    "Layer",
    "LayerNorm",
    "Motion",
    "NetworkError",
    "Positions",
    "Product",
    "Serial",
    "Shape",
    "ShapeError",
    "Sum",
    "SumPool",
    "Window",
    "asymmetry",
    "check_network",
    "check_random_outputs",
    "check_trainable",
    "children",
    "contains",
    "demanded_positions",
    "infer_shape",
    "replace",
    "residual",
    "scales",
    "windows",
]
