"""Displays of kernels, spectra and training, in the style of scikit-learn.

A Display holds plain arrays; `plot` draws them on one axes and needs matplotlib, which is optional
(``pip install 'ntk-sklearn[plot]'``) and imported only then. The class methods ``from_...`` compute
the arrays and draw them.
"""

from .dynamics import TrainingDynamicsDisplay
from .gram import GramDisplay
from .phase_diagram import PhaseDiagramDisplay
from .posterior import PosteriorDisplay
from .profile import KernelProfileDisplay
from .spectrum import SpectrumDisplay
from .width_convergence import WidthConvergenceDisplay

__all__ = [
    "GramDisplay",
    "KernelProfileDisplay",
    "PhaseDiagramDisplay",
    "PosteriorDisplay",
    "SpectrumDisplay",
    "TrainingDynamicsDisplay",
    "WidthConvergenceDisplay",
]
