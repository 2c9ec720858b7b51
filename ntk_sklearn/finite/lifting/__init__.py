"""From torch modules to layer trees."""

from . import activations, affine, layers, norms, refusals  # noqa: F401  their rules
from .lift import from_module

__all__ = ["from_module"]
