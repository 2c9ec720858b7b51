"""Where Displays draw, in which colours, and matplotlib, which is optional and imported here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito 2008, without the yellow that white paper swallows: apart for all kinds of eyes.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
INK, PALE = "#222222", "#8C8C8C"


class Display:
    """Base of the Displays: arrays in the constructor, one axes in `plot`.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
        Set by `plot`, as are the artists that it draws.
    """

    ax_: Axes
    figure_: Any

    def _on(self, ax: Axes | None) -> Axes:
        """`ax`, or the axes of a new figure; called after the arrays have been checked."""
        self._require_matplotlib("plot")
        self.ax_ = new_axes() if ax is None else ax
        self.figure_ = self.ax_.figure
        return self.ax_

    @classmethod
    def _require_matplotlib(cls, method: str, ax: Any = None) -> None:
        """Refuse before anything is computed.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        TypeError
            If `ax` is not one axes.
        """
        try:
            import matplotlib  # noqa: F401
        except ImportError as error:
            raise ImportError(
                f"{cls.__name__}.{method} needs matplotlib, which is not installed: "
                "pip install 'ntk-sklearn[plot]'"
            ) from error
        check_axes(ax)


def check_axes(ax: Any) -> None:
    """Refuse what cannot be drawn on.

    Raises
    ------
    TypeError
        For arrays of axes, figures and others.
    """
    from matplotlib.axes import Axes

    if ax is not None and not isinstance(ax, Axes):
        raise TypeError(f"ax must be one matplotlib Axes or None, got {type(ax).__name__}")


def new_axes() -> Axes:
    """The axes of a new figure that makes room for labels."""
    from matplotlib import pyplot

    ax: Axes = pyplot.subplots(layout="constrained")[1]
    return ax


def line_style(given: dict[str, Any], **defaults: Any) -> dict[str, Any]:
    """Keywords of a line: the given ones, in whichever spelling, before the defaults."""
    from matplotlib.cbook import normalize_kwargs
    from matplotlib.lines import Line2D

    return defaults | normalize_kwargs(given, Line2D)


def curve_colors(n: int, ordered: bool = False) -> list[Any]:
    """Colours of n curves; of many, or of ordered ones, along a scale from dark to light."""
    if n <= len(COLORS) and not ordered:
        return list(COLORS[:n])
    from matplotlib import colormaps

    return [tuple(color) for color in colormaps["viridis"](np.linspace(0.0, 0.85, n))]


def show_legend(ax: Axes) -> None:
    """A legend, if anything on the axes has a name."""
    if ax.get_legend_handles_labels()[1]:
        ax.legend(frameon=False, fontsize="small")


def whole_ticks(ax: Axes) -> None:
    """Ticks at integers along the horizontal axis."""
    from matplotlib.ticker import MaxNLocator

    ax.xaxis.set_major_locator(MaxNLocator(integer=True))


def plain_ticks(ax: Axes, along: str, values: Sequence[float]) -> None:
    """Ticks of a logarithmic axis at these values, written as plain numbers."""
    from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

    axis = ax.xaxis if along == "x" else ax.yaxis
    axis.set_major_locator(FixedLocator(list(values)))
    axis.set_major_formatter(FixedFormatter([f"{value:g}" for value in values]))
    axis.set_minor_locator(NullLocator())
