"""What a network's kernel sees of an angle, a shift or its own depth."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..backends import Quantity
from ._arrays import as_curves, as_labels, as_numbers, check_choice, named
from ._axes import Display, curve_colors, line_style, show_legend, whole_ticks
from ._profiles import against_angles, against_shifts

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

_ALONG = {
    "angle": "angle between unit vectors (rad)",
    "shift": "circular shift of the image (pixels)",
    "depth": "depth",
}
_SYMBOLS = {"ntk": r"\Theta", "nngp": "K"}


class KernelProfileDisplay(Display):
    r"""Fingerprint of a network: its kernel against angle, shift or depth.

    Parameters
    ----------
    positions : array-like, (n_points,)
        Angles in radians, shifts in pixels, or depths.
    values : array-like, (n_points,) or (n_curves, n_points)
    along : {"angle", "shift", "depth"}, default="angle"
    labels : str, sequence of str or None, default=None
        Names of the curves.
    quantity : {"ntk", "nngp"}, default="ntk"
    normalized : bool, default=False
        Whether the values are correlations :math:`k(x, x') / \sqrt{k(x, x) k(x', x')}`.

    Attributes
    ----------
    lines_ : list of Line2D
    ax_, figure_

    Examples
    --------
    >>> import numpy as np
    >>> from ntk_sklearn.plotting import KernelProfileDisplay
    >>> angles = np.linspace(0, np.pi, 5)
    >>> display = KernelProfileDisplay(angles, np.cos(angles), labels="linear")
    """

    lines_: list[Line2D]

    def __init__(
        self,
        positions: Any,
        values: Any,
        *,
        along: str = "angle",
        labels: Any = None,
        quantity: str = "ntk",
        normalized: bool = False,
    ) -> None:
        self.positions = positions
        self.values = values
        self.along = along
        self.labels = labels
        self.quantity = quantity
        self.normalized = normalized

    def plot(
        self,
        ax: Axes | None = None,
        *,
        yscale: str = "linear",
        ordered: bool = False,
        **kwargs: Any,
    ) -> KernelProfileDisplay:
        """Draw one curve per network.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            None makes a new figure.
        yscale : {"linear", "log"}, default="linear"
        ordered : bool, default=False
            Whether the curves are steps of one scale, such as depths: colours from dark to light.
        **kwargs
            Of every line.

        Returns
        -------
        KernelProfileDisplay
            Itself.

        Raises
        ------
        ValueError
            If the arrays are not finite numbers of fitting shapes; for unknown names.
        ImportError
            Without matplotlib.
        """
        at = as_numbers(self.positions, "positions", 1)
        values = as_curves(self.values, "values", len(at))
        labels = as_labels(self.labels, len(values))
        names = self._axis_names()
        check_choice(yscale, "yscale", ("linear", "log"))
        self._require_matplotlib("plot", ax)
        ax = self._on(ax)
        marker = {} if self.along == "angle" else {"marker": "o", "markersize": 3.5}
        colors = curve_colors(len(values), ordered)
        self.lines_ = [
            ax.plot(at, row, **line_style(kwargs, color=color, label=label, **marker))[0]
            for row, color, label in zip(values, colors, labels, strict=True)
        ]
        ax.set(xlabel=names[0], ylabel=names[1], yscale=yscale)
        if self.along == "angle":
            _name_angles(ax, at)
        else:
            whole_ticks(ax)
        show_legend(ax)
        return self

    def _axis_names(self) -> tuple[str, str]:
        along = _ALONG[check_choice(self.along, "along", tuple(_ALONG))]
        symbol = _SYMBOLS[check_choice(self.quantity, "quantity", tuple(_SYMBOLS))]
        value = rf"${symbol}(x, x')$"
        if self.normalized:
            value = rf"${symbol}(x, x')\;/\;\sqrt{{{symbol}(x, x)\,{symbol}(x', x')}}$"
        return along, value

    @classmethod
    def from_network(
        cls,
        network: Any,
        *,
        angles: Any = None,
        image: Any = None,
        shifts: Any = None,
        quantity: Quantity = "ntk",
        normalize: bool = False,
        ax: Axes | None = None,
        **kwargs: Any,
    ) -> KernelProfileDisplay:
        r"""The kernel against the angle of two unit vectors, or of an image and its shifts.

        Kernels of dense networks depend on their inputs through norms and angle alone, so that one
        curve is the whole kernel on the unit circle, and on any sphere of that radius if the
        weights of the first layer are divided by the same fan-in. Those of networks of a finite
        width depend on more: evaluate such a kernel at rows, and pass the values to the class.

        Parameters
        ----------
        network : network, sequence of networks or mapping from names to networks
        angles : array-like, (n,), default=None
            In radians, of vectors with two features; None is 181 from 0 to pi.
        image : array-like, (channels, *spatial), default=None
            If given, networks see it beside its circular shifts along the last axis.
        shifts : array-like of int, (n,), default=None
            In pixels; None is once around.
        quantity : {"ntk", "nngp"}, default="ntk"
        normalize : bool, default=False
            Divide by the roots of the values of each input with itself.
        ax : matplotlib Axes, default=None
        **kwargs
            Of `plot`.

        Returns
        -------
        KernelProfileDisplay

        Raises
        ------
        TypeError
            If both `angles` and `image` are given, or `shifts` without an image.
        ValueError
            Without an image, for networks whose kernels depend on more than the angle: of images,
            of a finite width, averaged over permutations.
        """
        cls._require_matplotlib("from_network", ax)
        check_choice(quantity, "quantity", tuple(_SYMBOLS))
        if image is None and shifts is not None:
            raise TypeError("shifts are of an image: pass image, (channels, *spatial)")
        if image is not None and angles is not None:
            raise TypeError("pass either angles or an image, not both")
        networks = named(network, "network")
        if image is None:
            at = np.linspace(0.0, math.pi, 181) if angles is None else angles
            values = [against_angles(each, at, quantity, normalize) for each in networks.values()]
        else:
            at = np.arange(np.shape(image)[-1] + 1) if shifts is None else shifts
            values = [
                against_shifts(each, image, at, quantity, normalize) for each in networks.values()
            ]
        along = "angle" if image is None else "shift"
        made = cls._of(at, values, along, networks, quantity, normalize)
        return made.plot(ax, **kwargs)

    @classmethod
    def from_depths(
        cls,
        build: Callable[[int], Any] | Mapping[str, Callable[[int], Any]],
        depths: Any,
        *,
        angle: float = math.pi / 2,
        quantity: Quantity = "ntk",
        normalize: bool = False,
        ax: Axes | None = None,
        **kwargs: Any,
    ) -> KernelProfileDisplay:
        """The kernel of two unit vectors against the depth of the network.

        Parameters
        ----------
        build : callable or mapping from names to callables
            From a depth, whatever it counts, to the network.
        depths : array-like of int, (n,)
        angle : float, default=pi/2
            Of the two inputs, in radians; 0 shows the kernel of an input with itself.
        quantity, normalize, ax, **kwargs
            As in `from_network`.

        Returns
        -------
        KernelProfileDisplay
        """
        cls._require_matplotlib("from_depths", ax)
        check_choice(quantity, "quantity", tuple(_SYMBOLS))
        builders = named(build, "network")
        values = [
            [
                against_angles(make(depth), [angle], quantity, normalize)[0]
                for depth in np.ravel(depths).tolist()
            ]
            for make in builders.values()
        ]
        made = cls._of(np.ravel(depths), values, "depth", builders, quantity, normalize)
        return made.plot(ax, **kwargs)

    @classmethod
    def _of(
        cls, at: Any, values: Any, along: str, names: Any, quantity: str, normalize: bool
    ) -> KernelProfileDisplay:
        labels = None if list(names) == [None] else list(names)
        found = np.array(values)
        return cls(
            np.asarray(at),
            found,
            along=along,
            labels=labels,
            quantity=quantity,
            normalized=normalize,
        )


def _name_angles(ax: Axes, angles: np.ndarray) -> None:
    """Ticks at quarters of pi, where angles reach over one of them."""
    quarters = np.arange(math.floor(4 * angles.min() / math.pi), 9)
    quarters = quarters[quarters * math.pi / 4 <= angles.max() + 1e-9]
    if not 3 <= len(quarters) <= 9:
        return
    texts = {0: "0", 1: "π/4", 2: "π/2", 3: "3π/4", 4: "π", 5: "5π/4", 6: "3π/2", 7: "7π/4"}
    ax.set_xticks(quarters * math.pi / 4, [texts.get(k, f"{k / 4:g}π") for k in quarters.tolist()])
