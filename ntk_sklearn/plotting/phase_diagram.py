"""Phases of deep networks over the scales of weights and biases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..presets import critical_w_std, phase
from ._arrays import as_numbers, check_choice
from ._axes import INK, Display, plain_ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import QuadMesh
    from matplotlib.colorbar import Colorbar
    from matplotlib.lines import Line2D

QUANTITIES = {
    "chi_1": r"$\chi_1$",
    "correlation_depth": r"correlation depth $-1\,/\,\log\chi_c$ (layers)",
}
# Correlation depths from which colours do not tell apart: at criticality they are infinite.
_DEEPEST = 100.0
# Names are written in regions of at least this share of the picture.
_ROOM = 0.04


class PhaseDiagramDisplay(Display):
    r"""Ordered and chaotic phases over `w_std` and `b_std`, and the critical line between them.

    Parameters
    ----------
    w_std : array-like, (n_w,)
    b_std : array-like, (n_b,)
    values : array-like, (n_b, n_w)
        :math:`\chi_1`, or correlation depths; NaN where there are none.
    phases : array-like of str, (n_b, n_w), default=None
        Names of the phases, written into their regions.
    critical : array-like, (n_b,), default=None
        The critical `w_std` for every `b_std`, NaN where there is none.
    quantity : {"chi_1", "correlation_depth"}, default="chi_1"

    Attributes
    ----------
    mesh_ : QuadMesh
    colorbar_ : Colorbar
    line_ : Line2D or None
        The critical line.
    texts_ : list of Text
    ax_, figure_

    Examples
    --------
    >>> from ntk_sklearn.plotting import PhaseDiagramDisplay
    >>> display = PhaseDiagramDisplay([1.0, 2.0], [0.0, 0.1], [[0.8, 1.5], [0.7, 1.4]])
    """

    mesh_: QuadMesh
    colorbar_: Colorbar
    line_: Line2D | None
    texts_: list[Any]

    def __init__(
        self,
        w_std: Any,
        b_std: Any,
        values: Any,
        *,
        phases: Any = None,
        critical: Any = None,
        quantity: str = "chi_1",
    ) -> None:
        self.w_std = w_std
        self.b_std = b_std
        self.values = values
        self.phases = phases
        self.critical = critical
        self.quantity = quantity

    def plot(
        self, ax: Axes | None = None, *, squared: bool = False, **kwargs: Any
    ) -> PhaseDiagramDisplay:
        """Draw colours, the critical line, and the names of the regions.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            None makes a new figure.
        squared : bool, default=False
            Variances along the axes instead of standard deviations.
        **kwargs
            Of `Axes.pcolormesh`. By default colours are logarithmic: about 1 for chi_1, up to 100
            layers for depths. Grey is where there is no value.

        Returns
        -------
        PhaseDiagramDisplay
            Itself.

        Raises
        ------
        ValueError
            If the arrays are not numbers of fitting shapes, or have no positive value.
        ImportError
            Without matplotlib.
        """
        w, b, values, critical = self._arrays()
        phases = self._phases(values.shape)
        check_choice(self.quantity, "quantity", tuple(QUANTITIES))
        self._require_matplotlib("plot", ax)
        ax = self._on(ax)
        power = 2 if squared else 1
        shown = np.ma.masked_invalid(np.where(values == np.inf, 1e300, values))
        style = _colors(self.quantity, shown.compressed(), kwargs) | kwargs
        self.mesh_ = ax.pcolormesh(w**power, b**power, shown, **style)
        ax.set_facecolor("0.85")
        extend = "max" if self.quantity == "correlation_depth" else "both"
        self.colorbar_ = self.figure_.colorbar(self.mesh_, ax=ax, extend=extend)
        self.colorbar_.set_label(QUANTITIES[self.quantity])
        plain_ticks(self.colorbar_.ax, "y", _ticks(*self.mesh_.get_clim()))
        self._write(ax, w**power, b**power, phases)
        self.line_ = None
        if critical is not None:
            there = np.isfinite(critical) & (critical >= w.min()) & (critical <= w.max())
            at = np.where(there, critical, np.nan) ** power
            style = {"color": INK, "linewidth": 2.0, "label": "critical"}
            style["marker"] = "o" if there.sum() == 1 else None  # of one point there is no line
            self.line_ = ax.plot(at, b**power, **style)[0]
        sign = "^2" if squared else ""
        ax.set(xlabel=rf"$\sigma_w{sign}$ (w_std{'²' * squared})")
        ax.set(ylabel=rf"$\sigma_b{sign}$ (b_std{'²' * squared})")
        return self

    def _arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None]:
        w, b = as_numbers(self.w_std, "w_std", 1), as_numbers(self.b_std, "b_std", 1)
        for name, axis in (("w_std", w), ("b_std", b)):
            if (np.diff(axis) <= 0).any() or axis[0] < 0 or len(axis) < 2:
                raise ValueError(f"{name} must be two or more rising numbers that are not negative")
        values = as_numbers(self.values, "values", 2, like=(len(b), len(w)), finite=False)
        if not (values > 0).any():
            raise ValueError("values has no positive number")
        if self.critical is None:
            return w, b, values, None
        return w, b, values, as_numbers(self.critical, "critical", 1, like=b.shape, finite=False)

    def _phases(self, shape: tuple[int, ...]) -> np.ndarray:
        if self.phases is None:
            return np.full(shape, "")
        phases = np.asarray(self.phases).astype(str)
        if phases.shape != shape:
            raise ValueError(f"phases must have the shape {shape}, got {phases.shape}")
        return phases

    def _write(self, ax: Axes, x: np.ndarray, y: np.ndarray, phases: np.ndarray) -> None:
        """The name of every phase at the point of its region that is deepest inside."""
        from matplotlib.patheffects import withStroke

        self.texts_ = []
        halo = [withStroke(linewidth=2.5, foreground="white")]
        for name in np.unique(phases):
            inside = phases == name
            if name in ("", "critical") or inside.mean() < _ROOM:
                continue
            row, column = _deepest(inside)
            style: dict[str, Any] = {"ha": "center", "va": "center", "path_effects": halo}
            self.texts_.append(ax.text(x[column], y[row], name, color=INK, **style))

    @classmethod
    def from_activation(
        cls,
        activation: Any = "erf",
        w_std: Any = None,
        b_std: Any = None,
        *,
        quantity: str = "chi_1",
        ax: Axes | None = None,
        **kwargs: Any,
    ) -> PhaseDiagramDisplay:
        """The phases of deep networks of equal layers with an activation; see `networks.phase`.

        Every point is a fixed point of its own: about 4 ms each for activations in closed form,
        and up to a second for those whose expectations are integrated numerically.

        Parameters
        ----------
        activation : str or DualActivation, default="erf"
        w_std : array-like, (n_w,), default=None
            Rising; None is 41 from 0.2 to 3.
        b_std : array-like, (n_b,), default=None
            Rising; None is 21 from 0 to 1.
        quantity : {"chi_1", "correlation_depth"}, default="chi_1"
        ax : matplotlib Axes, default=None
        **kwargs
            Of `plot`.

        Returns
        -------
        PhaseDiagramDisplay
            With NaN where variances alternate between two values and there is no phase.

        Raises
        ------
        ValueError
            For steps, which pass no gradient; for scales that are not rising.
        """
        cls._require_matplotlib("from_activation", ax)
        check_choice(quantity, "quantity", tuple(QUANTITIES))
        w = np.linspace(0.2, 3.0, 41) if w_std is None else as_numbers(w_std, "w_std", 1)
        b = np.linspace(0.0, 1.0, 21) if b_std is None else as_numbers(b_std, "b_std", 1)
        values, phases = np.full((len(b), len(w)), np.nan), np.full((len(b), len(w)), "", object)
        for i, j in np.ndindex(values.shape):
            found = _phase(activation, float(w[j]), float(b[i]))
            if found is not None:
                values[i, j], phases[i, j] = getattr(found, quantity), found.name
        critical = np.array([_critical(activation, bias) for bias in b.tolist()])
        display = cls(w, b, values, phases=phases, critical=critical, quantity=quantity)
        return display.plot(ax, **kwargs)


def _phase(activation: Any, w_std: float, b_std: float) -> Any:
    """The phase, or None where the variance alternates between two values."""
    try:
        return phase(activation, w_std, b_std)
    except ValueError as error:
        if "alternates" in str(error):
            return None
        raise


def _critical(activation: Any, b_std: float) -> float:
    """The critical scale, or NaN where there is none."""
    try:
        return critical_w_std(activation, b_std)
    except ValueError:
        return np.nan


def _colors(quantity: str, values: np.ndarray, given: dict[str, Any]) -> dict[str, Any]:
    from matplotlib.colors import LogNorm

    found: dict[str, Any] = {"shading": "nearest", "rasterized": True}
    depth = quantity == "correlation_depth"
    found["cmap"] = "viridis" if depth else "PuOr_r"
    if {"norm", "vmin", "vmax"} & set(given):
        return found
    positive = values[(values > 0) & (values < 1e300)]
    if depth:
        low = max(float(positive.min()), 0.3) if len(positive) else 1.0
        return found | {"norm": LogNorm(low, max(_DEEPEST, 2 * low))}
    far = float(np.exp(np.abs(np.log(positive)).max())) if len(positive) else 2.0
    far = min(max(far, 1.1), 4.0)
    return found | {"norm": LogNorm(1.0 / far, far)}


def _deepest(inside: np.ndarray) -> tuple[int, int]:
    """The cell of a region that is farthest from its edge and from that of the picture."""
    from scipy.ndimage import distance_transform_edt

    height, width = inside.shape
    depth = distance_transform_edt(np.pad(inside, 1), sampling=(1.0 / height, 1.0 / width))
    row, column = np.unravel_index(int(depth[1:-1, 1:-1].argmax()), inside.shape)
    return int(row), int(column)


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers within the limits of a logarithmic scale."""
    rounds = [0.25, 0.5, 1.0, 2.0, 4.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0]
    return [value for value in rounds if low * 0.999 <= value <= high * 1.001]
