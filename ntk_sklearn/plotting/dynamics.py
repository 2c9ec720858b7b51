"""Training in function space: losses and modes against time, beside measured ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ._arrays import as_curves, as_labels, as_numbers, check_choice, named
from ._axes import PALE, Display, curve_colors, line_style, show_legend

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D


# Curves on a logarithmic axis are shown down to this share of their largest value.
_DEEPEST = 1e-8


class TrainingDynamicsDisplay(Display):
    """Curves against training time, predicted and measured.

    Parameters
    ----------
    times : array-like, (n_times,)
        Times of gradient flow, or numbers of steps.
    curves : array-like, (n_times,) or (n_curves, n_times)
        What is not finite is left out, as where training has diverged.
    labels : str, sequence of str or None, default=None
        Names of the curves.
    measured : array-like, (n_networks, n_times) or (n_curves, n_networks, n_times), default=None
        What finite networks did: grey, or with three axes in the colours of the curves.
    measured_times : array-like, (n_measured_times,), default=None
        Where they were measured, if elsewhere.
    time_name, value_name : str, default="time t", "training loss"
        Names of the axes.

    Attributes
    ----------
    lines_ : list of Line2D
    measured_lines_ : list of Line2D
        Of all networks in turn.
    ax_, figure_

    Examples
    --------
    >>> import numpy as np
    >>> from ntk_sklearn.plotting import TrainingDynamicsDisplay
    >>> t = np.geomspace(0.1, 10, 50)
    >>> display = TrainingDynamicsDisplay(t, np.exp(-2 * t), labels="one mode")
    """

    lines_: list[Line2D]
    measured_lines_: list[Line2D]

    def __init__(
        self,
        times: Any,
        curves: Any,
        *,
        labels: Any = None,
        measured: Any = None,
        measured_times: Any = None,
        time_name: str = "time $t$",
        value_name: str = "training loss",
    ) -> None:
        self.times = times
        self.curves = curves
        self.labels = labels
        self.measured = measured
        self.measured_times = measured_times
        self.time_name = time_name
        self.value_name = value_name

    def plot(
        self,
        ax: Axes | None = None,
        *,
        xscale: str = "log",
        yscale: str = "log",
        ordered: bool = False,
        **kwargs: Any,
    ) -> TrainingDynamicsDisplay:
        """Draw the curves, over the measured ones.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            None makes a new figure.
        xscale, yscale : {"log", "linear"}, default="log"
            Logarithmic axes have no place for t = 0, and end at 1e-8 of the largest value.
        ordered : bool, default=False
            Whether the curves are steps of one scale: colours from dark to light.
        **kwargs
            Of the lines of `curves`.

        Returns
        -------
        TrainingDynamicsDisplay
            Itself.

        Raises
        ------
        ValueError
            If the arrays are not numbers of fitting shapes.
        ImportError
            Without matplotlib.
        """
        times = as_numbers(self.times, "times", 1)
        curves = as_curves(self.curves, "curves", len(times), finite=False)
        labels = as_labels(self.labels, len(curves))
        measured_at, measured = self._measured(times, len(curves))
        for name, scale in (("xscale", xscale), ("yscale", yscale)):
            check_choice(scale, name, ("log", "linear"))
        self._require_matplotlib("plot", ax)
        ax = self._on(ax)
        colors = curve_colors(len(curves), ordered)
        thin = colors if len(measured) == len(curves) and np.ndim(self.measured) == 3 else [PALE]
        self.measured_lines_ = []
        for group, color in zip(measured, thin, strict=False):
            style: dict[str, Any] = {"color": color, "linewidth": 0.8, "alpha": 0.5, "zorder": 1.8}
            self.measured_lines_ += [ax.plot(measured_at, row, **style)[0] for row in group]
        self.lines_ = [
            ax.plot(times, row, **line_style(kwargs, color=color, label=label))[0]
            for row, color, label in zip(curves, colors, labels, strict=True)
        ]
        if self.measured_lines_:
            self.measured_lines_[0].set_label("measured, finite width")
        ax.set(xscale=xscale, yscale=yscale, xlabel=self.time_name, ylabel=self.value_name)
        largest = np.max(curves, where=np.isfinite(curves), initial=0.0)
        if yscale == "log" and (curves < _DEEPEST * largest).any():
            ax.set_ylim(bottom=_DEEPEST * largest)
        show_legend(ax)
        return self

    def _measured(self, times: np.ndarray, n_curves: int) -> tuple[np.ndarray, np.ndarray]:
        """Where, and (groups, n_networks, n_times)."""
        if self.measured is None:
            return times, np.empty((0, 0, 0))
        at = times
        if self.measured_times is not None:
            at = as_numbers(self.measured_times, "measured_times", 1)
        ndim = 3 if np.ndim(self.measured) == 3 else 2
        measured = as_numbers(self.measured, "measured", ndim, like=at.shape, finite=False)
        if ndim == 3 and len(measured) != n_curves:
            raise ValueError(f"measured has {len(measured)} groups for {n_curves} curves")
        return at, measured.reshape(-1, *measured.shape[-2:])

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        t: Any = None,
        *,
        measured: Any = None,
        measured_times: Any = None,
        ax: Axes | None = None,
        **kwargs: Any,
    ) -> TrainingDynamicsDisplay:
        """The training loss of fitted NTK estimators: their `loss_curve`.

        Parameters
        ----------
        estimator : fitted estimator, sequence of them or mapping from names to them
            All with a learning rate, whose times are steps, or all without.
        t : array-like, (n_times,), default=None
            None is 200 times from a hundredth to ten thousand times the estimators'
            `max_learning_rate`, the time of their fastest modes; with a learning rate, the steps up
            to 1000.
        measured, measured_times
            Losses of finite networks; see the class.
        ax : matplotlib Axes, default=None
        **kwargs
            Of `plot`.

        Returns
        -------
        TrainingDynamicsDisplay

        Raises
        ------
        TypeError
            For estimators without `loss_curve`.
        ValueError
            If some take steps and others do not, and where `loss_curve` is not known.
        """
        cls._require_matplotlib("from_estimator", ax)
        models = named(estimator, "estimator")
        steps = _take_steps(list(models.values()))
        if t is None:
            t = np.arange(1, 1001) if steps else _times(list(models.values()))
        curves = np.stack([model.loss_curve(t) for model in models.values()])
        display = cls(
            np.asarray(t),
            curves,
            labels=None if list(models) == [None] else list(models),
            measured=measured,
            measured_times=measured_times,
            time_name="step" if steps else "time $t$",
        )
        return display.plot(ax, **kwargs)

    @classmethod
    def from_spectrum(
        cls,
        eigenvalues: Any,
        times: Any = None,
        *,
        modes: Sequence[int] | None = None,
        learning_rate: float | None = None,
        ax: Axes | None = None,
        **kwargs: Any,
    ) -> TrainingDynamicsDisplay:
        r"""What is left of single modes: :math:`e^{-v t}`, or :math:`(1 - h v)^k` after k steps.

        Of squared loss, summed over the samples, with a kernel that stays as it is.

        Parameters
        ----------
        eigenvalues : array-like, (n,), or anything that has them
        times : array-like, (n_times,), default=None
            Times, or numbers of steps; None is chosen by the shown eigenvalues.
        modes : sequence of int, default=None
            Which to show, from 1 for the largest eigenvalue; None is up to six, spaced evenly in
            the logarithm of the index.
        learning_rate : float, default=None
            None is gradient flow.
        ax : matplotlib Axes, default=None
        **kwargs
            Of `plot`; the vertical axis is linear by default.

        Returns
        -------
        TrainingDynamicsDisplay

        Raises
        ------
        ValueError
            For modes that do not exist, or eigenvalues that are not positive.
        """
        cls._require_matplotlib("from_spectrum", ax)
        eigenvalues = getattr(eigenvalues, "eigenvalues", eigenvalues)
        values = np.sort(as_numbers(eigenvalues, "eigenvalues", 1))[::-1]
        which = _modes(modes, len(values))
        shown = values[which - 1]
        if not (shown > 0).all():
            raise ValueError(f"eigenvalues of the modes {which} must be positive, got {shown}")
        rates = shown if learning_rate is None else shown * learning_rate
        if times is None:
            times = np.geomspace(0.02 / rates[0], 5.0 / rates[-1], 200)
            times = times if learning_rate is None else np.unique(np.ceil(times))
        at = as_numbers(times, "times", 1)
        if learning_rate is None:
            left = np.exp(-np.outer(shown, at))
        else:
            left = (1.0 - rates[:, np.newaxis]) ** at
        display = cls(
            at,
            left,
            labels=[f"mode {mode}" for mode in which],
            time_name="time $t$" if learning_rate is None else "step",
            value_name="share of the mode that is left",
        )
        options: dict[str, Any] = {"yscale": "linear", "ordered": True}
        return display.plot(ax, **options | kwargs)


def _take_steps(models: list[Any]) -> bool:
    wrong = [model for model in models if not hasattr(model, "loss_curve")]
    if wrong:
        raise TypeError(f"from_estimator needs NTK estimators, which have loss_curve, got {wrong}")
    steps = {getattr(model, "learning_rate", None) is not None for model in models}
    if len(steps) > 1:
        raise ValueError(
            "estimators with a learning rate count steps, others time: show them on two axes"
        )
    return steps.pop()


def _times(models: list[Any]) -> np.ndarray:
    """From before to long after the fastest modes are learned."""
    bounds = [model.max_learning_rate() for model in models]
    start, end = 0.01 * min(bounds), 1e4 * max(bounds)
    return np.geomspace(start, end, 200)


def _modes(modes: Sequence[int] | None, n: int) -> np.ndarray:
    if modes is None:
        return np.unique(np.round(np.geomspace(1, n, min(n, 6))).astype(int))
    found = np.asarray(modes)
    if found.ndim != 1 or not len(found) or found.dtype.kind not in "iu":
        raise ValueError(f"modes must be integers from 1 to {n}, got {modes!r}")
    if found.min() < 1 or found.max() > n:
        raise ValueError(f"modes must lie between 1 and {n}, got {modes!r}")
    return np.sort(found)
