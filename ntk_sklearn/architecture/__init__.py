"""What a network is: layers, their shapes, and the check that a limit exists."""

from .at_initialization import AtInitialization, check_random_outputs, check_trainable
from .attention import ExponentialDecay, SelfAttention, position_covariance
from .checks import NetworkError, check_network
from .concat_positions import ConcatPositions
from .convolutions import ConvLocal, ConvTranspose, transposed_windows
from .graphs import Aggregate, GraphInput, check_nodes
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
from .matrices import Matrix
from .normalization import Dropout, LayerNorm
from .position_maps import PositionMap, axis_maps
from .product import Product
from .resampling import Resize, Slice
from .shapes import Shape, infer_shape, most_positions
from .symmetry import Motion, asymmetry
from .windows import ShapeError, Window, edge_factors, windows

__all__ = [
    "Activation",
    "Aggregate",
    "AtInitialization",
    "AvgPool",
    "Concat",
    "ConcatPositions",
    "Conv",
    "ConvLocal",
    "ConvTranspose",
    "Dense",
    "Dropout",
    "ExponentialDecay",
    "Flatten",
    "GlobalAvgPool",
    "GlobalSumPool",
    "GraphInput",
    "Identity",
    "Layer",
    "LayerNorm",
    "LocalAvgPool",
    "Matrix",
    "Motion",
    "NetworkError",
    "PositionMap",
    "Positions",
    "Product",
    "Resize",
    "SelfAttention",
    "Serial",
    "Shape",
    "ShapeError",
    "Slice",
    "Sum",
    "SumPool",
    "Window",
    "asymmetry",
    "axis_maps",
    "check_network",
    "check_nodes",
    "check_random_outputs",
    "check_trainable",
    "children",
    "contains",
    "demanded_positions",
    "edge_factors",
    "infer_shape",
    "most_positions",
    "position_covariance",
    "replace",
    "residual",
    "scales",
    "transposed_windows",
    "windows",
]
