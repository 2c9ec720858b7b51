"""Presets: families of networks as scikit-learn-style objects."""

from .base import Preset
from .convolutional import Convolutional, Myrtle
from .dense import FullyConnected
from .resnet import ResNet

__all__ = ["Convolutional", "FullyConnected", "Myrtle", "Preset", "ResNet"]
