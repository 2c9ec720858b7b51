"""Errors of finite networks against their width."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ._arrays import as_numbers
from ._axes import COLORS, PALE, Display, line_style, plain_ticks, show_legend

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D


class WidthConvergenceDisplay(Display):
    r"""Errors of random networks against their width, with a power law.

    Parameters
    ----------
    widths : array-like, (n_widths,)
    errors : array-like, (n_widths, n_draws)
        One per drawn network, positive.
    slope, intercept : float, default=None
        A fitted law: :math:`\log error = intercept + slope \log width`. Without an intercept the
        line goes through the geometric mean of all errors; where the slope is NaN there is none.
    expected : float or None, default=-0.5
        Slope of the line to compare with, through that mean; None draws none.
    value_name : str, default="relative error of the kernel"

    Attributes
    ----------
    points_ : Line2D
        The draws.
    line_ : Line2D
        Geometric means over the draws of each width, which a fit in the logarithms is of.
    slope_line_, expected_line_ : Line2D or None
    ax_, figure_

    Examples
    --------
    >>> from ntk_sklearn.plotting import WidthConvergenceDisplay
    >>> display = WidthConvergenceDisplay([64, 256], [[0.2, 0.3], [0.1, 0.15]], slope=-0.5)
    """

    points_: Line2D
    line_: Line2D
    slope_line_: Line2D | None
    expected_line_: Line2D | None

    def __init__(
        self,
        widths: Any,
        errors: Any,
        *,
        slope: float | None = None,
        intercept: float | None = None,
        expected: float | None = -0.5,
        value_name: str = "relative error of the kernel",
    ) -> None:
        self.widths = widths
        self.errors = errors
        self.slope = slope
        self.intercept = intercept
        self.expected = expected
        self.value_name = value_name

    def plot(self, ax: Axes | None = None, **kwargs: Any) -> WidthConvergenceDisplay:
        """Draw every network, geometric means and the lines, on logarithmic axes.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            None makes a new figure.
        **kwargs
            Of the geometric means.

        Returns
        -------
        WidthConvergenceDisplay
            Itself.

        Raises
        ------
        ValueError
            If the arrays are not positive finite numbers of fitting shapes.
        ImportError
            Without matplotlib.
        """
        widths, errors = self._arrays()
        self._require_matplotlib("plot", ax)
        ax = self._on(ax)
        typical = np.exp(np.log(errors).mean(axis=1))
        each = np.repeat(widths, errors.shape[1])
        dots: dict[str, Any] = {"color": PALE, "alpha": 0.5, "markersize": 3, "label": "networks"}
        self.points_ = ax.plot(each, errors.ravel(), "o", zorder=1.8, **dots)[0]
        own = {"color": COLORS[0], "marker": "o", "linestyle": "none", "label": "geometric mean"}
        self.line_ = ax.plot(widths, typical, **line_style(kwargs, **own))[0]
        through = np.log(widths).mean(), np.log(typical).mean()
        fitted = {"color": COLORS[0], "label": f"fitted slope {self.slope or 0.0:.2f}"}
        self.slope_line_ = _law(ax, widths, self.slope, self.intercept, through, fitted)
        dashed = {
            "color": COLORS[1],
            "linestyle": "--",
            "zorder": 1.6,
            "label": f"slope {self.expected or 0.0:g}",
        }
        self.expected_line_ = _law(ax, widths, self.expected, None, through, dashed)
        ax.set(xscale="log", yscale="log", xlabel="width", ylabel=self.value_name)
        plain_ticks(ax, "x", np.unique(widths).tolist())
        show_legend(ax)
        return self

    def _arrays(self) -> tuple[np.ndarray, np.ndarray]:
        widths = as_numbers(self.widths, "widths", 1)
        errors = as_numbers(self.errors, "errors", 2)
        if len(errors) != len(widths):
            raise ValueError(f"errors must be ({len(widths)}, n_draws), got {errors.shape}")
        for name, values in (("widths", widths), ("errors", errors)):
            if not (values > 0).all():
                raise ValueError(f"{name} must be positive for logarithmic axes")
        return widths, errors

    @classmethod
    def from_study(
        cls, result: Any, *, ax: Axes | None = None, **kwargs: Any
    ) -> WidthConvergenceDisplay:
        """Draw what `studies.width_convergence` has found.

        Parameters
        ----------
        result : object
            With `widths`, `errors` (n_widths, n_draws) and, if fitted, `slope` and `intercept`.
        ax : matplotlib Axes, default=None
        **kwargs
            Of `plot`.

        Returns
        -------
        WidthConvergenceDisplay

        Raises
        ------
        TypeError
            For an object without widths or errors.
        """
        cls._require_matplotlib("from_study", ax)
        missing = [name for name in ("widths", "errors") if not hasattr(result, name)]
        if missing:
            raise TypeError(f"from_study needs a result with widths and errors, {missing} missing")
        law: dict[str, Any] = {name: getattr(result, name, None) for name in ("slope", "intercept")}
        return cls(result.widths, result.errors, **law).plot(ax, **kwargs)


def _law(
    ax: Axes,
    widths: np.ndarray,
    slope: float | None,
    intercept: float | None,
    through: tuple[float, float],
    style: dict[str, Any],
) -> Line2D | None:
    """The line of a power law, through a point in the logarithms if it has no intercept."""
    if slope is None or np.isnan(slope):
        return None
    if intercept is None:
        intercept = through[1] - slope * through[0]
    ends = np.array([widths.min(), widths.max()])
    style = {"linewidth": 1.0, "zorder": 1.5} | style
    return ax.plot(ends, np.exp(intercept) * ends**slope, **style)[0]
