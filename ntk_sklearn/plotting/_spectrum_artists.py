"""What spectra are drawn with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ._axes import COLORS, INK, PALE, line_style, plain_ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D


def draw_eigenvalues(
    ax: Axes,
    at: np.ndarray,
    values: np.ndarray,
    there: np.ndarray,
    by_degree: bool,
    given: dict[str, Any],
) -> list[Line2D]:
    """Points of the eigenvalues that are `there`, even and odd degrees apart."""
    groups: list[tuple[Any, dict[str, Any]]] = [(slice(None), {"markersize": 3.0})]
    if by_degree:
        even, odd = {"label": "even"}, {"label": "odd", "markerfacecolor": "white"}
        groups = [(at % 2 == 0, even), (at % 2 == 1, odd | {"color": COLORS[1]})]
    lines = []
    for which, own in groups:
        x, y, seen = at[which], values[which], there[which]
        style = {"color": COLORS[0], "marker": "o", "markersize": 4.5} | own
        lines += ax.plot(x[seen], y[seen], **line_style(given, **style | {"linestyle": "none"}))
        if not seen.all():
            _mark_zeros(ax, x[~seen], lines[-1], own.get("label", ""))
    ax.set(yscale="log", ylabel=r"$\mu_k$" if by_degree else "eigenvalue")
    return lines


def _mark_zeros(ax: Axes, x: np.ndarray, like: Any, name: str) -> None:
    """Triangles on the lower edge, since a logarithmic axis has no place for 0."""
    style: dict[str, Any] = {"marker": "v", "linestyle": "none", "clip_on": False, "color": PALE}
    style |= {"markerfacecolor": like.get_markerfacecolor(), "markeredgecolor": like.get_color()}
    style["label"] = f"{name} 0 up to rounding".strip()
    ax.plot(x, np.full(len(x), 0.012), transform=ax.get_xaxis_transform(), **style)


def draw_law(ax: Axes, x: np.ndarray, y: np.ndarray, slope: float | None) -> Line2D:
    """The line of a power law."""
    style: dict[str, Any] = {"color": INK, "linewidth": 1.0, "zorder": 2.5}
    return ax.plot(x, y, label=f"slope {slope:.2f}", **style)[0]


def draw_shares(
    ax: Axes, at: np.ndarray, values: np.ndarray, power: np.ndarray, given: dict[str, Any]
) -> list[Line2D]:
    """Cumulative shares of the trace, and of the target's power where it is known."""
    curves = [("trace of the kernel", values, COLORS[0])]
    curves += [("power of the target", power, COLORS[1])] if len(power) else []
    ax.set(ylabel="share in the first modes", ylim=(0.0, 1.03))
    return [
        ax.plot(at, np.cumsum(v) / v.sum(), **line_style(given, label=label, color=color))[0]
        for label, v, color in curves
    ]


def draw_power(ax: Axes, at: np.ndarray, power: np.ndarray, given: dict[str, Any]) -> list[Line2D]:
    """Shares of the target's power, mode by mode."""
    style = {"marker": "o", "markersize": 3.5, "linestyle": "none", "color": COLORS[1]}
    ax.set(yscale="log", ylabel="share of the target's power")
    return list(ax.plot(at, power, **line_style(given, **style)))


def scale_index(ax: Axes, at: np.ndarray) -> None:
    """A logarithmic axis, for degrees with a place for 0."""
    if at.min() > 0:
        ax.set_xscale("log")
        return
    ax.set_xscale("symlog", linthresh=1.0, linscale=0.4)
    ax.set_xlim(-0.3, at.max() * 1.3)
    plain_ticks(ax, "x", [k for k in (0, 1, 2, 5, 10, 20, 50, 100, 200, 500) if k <= at.max()])
