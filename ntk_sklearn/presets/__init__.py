"""Presets: families of networks as scikit-learn-style objects, and what depth makes of them."""

from .base import Preset
from .convolutional import Convolutional, Myrtle
from .critical import critical_w_std
from .dense import FullyConnected
from .depth import DepthLimits, depth_limits, network_phase
from .phases import Phase, phase
from .resnet import ResNet

__all__ = [
    "Convolutional",
    "DepthLimits",
    "FullyConnected",
    "Myrtle",
    "Phase",
    "Preset",
    "ResNet",
    "critical_w_std",
    "depth_limits",
    "network_phase",
    "phase",
]
