"""Kernels made from kernels, which stand where a network may stand."""

from .._expression import Expression
from .averaged import Averaged
from .compositional import MyrtleCompositional
from .groups import Flip, Group, Permutations, Translations, horizontal_flip, translations
from .normalized import Normalized
from .products import Multiplied
from .sums import Added, DepthAveraged, Mixture

__all__ = [
    "Added",
    "Averaged",
    "DepthAveraged",
    "Expression",
    "Flip",
    "Group",
    "Mixture",
    "Multiplied",
    "MyrtleCompositional",
    "Normalized",
    "Permutations",
    "Translations",
    "horizontal_flip",
    "translations",
]
