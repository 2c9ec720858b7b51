"""Predictions along one feature, with error bars."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .._validation import detached
from ._arrays import as_numbers
from ._axes import COLORS, INK, Display, line_style, show_legend

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import FillBetweenPolyCollection
    from matplotlib.lines import Line2D


class PosteriorDisplay(Display):
    """Mean, band of standard deviations, draws and data against one feature.

    Parameters
    ----------
    x : array-like, (m,)
    mean : array-like, (m,)
    std : array-like, (m,), default=None
    draws : array-like, (m, n_draws), default=None
        Functions, as `sample_y` gives them.
    x_train, y_train : array-like, (n,), default=None
    feature_name, target_name : str, default="x", "y"
        Names of the axes.

    Attributes
    ----------
    line_ : Line2D
        The mean.
    band_ : FillBetweenPolyCollection or None
    draws_ : list of Line2D
    points_ : Line2D or None
        The training data.
    ax_, figure_

    Examples
    --------
    >>> import numpy as np
    >>> from ntk_sklearn.plotting import PosteriorDisplay
    >>> x = np.linspace(0, 1, 5)
    >>> display = PosteriorDisplay(x, x**2, np.full(5, 0.1))
    """

    line_: Line2D
    band_: FillBetweenPolyCollection | None
    draws_: list[Line2D]
    points_: Line2D | None

    def __init__(
        self,
        x: Any,
        mean: Any,
        std: Any = None,
        *,
        draws: Any = None,
        x_train: Any = None,
        y_train: Any = None,
        feature_name: str = "$x$",
        target_name: str = "$y$",
    ) -> None:
        self.x = x
        self.mean = mean
        self.std = std
        self.draws = draws
        self.x_train = x_train
        self.y_train = y_train
        self.feature_name = feature_name
        self.target_name = target_name

    def plot(
        self,
        ax: Axes | None = None,
        *,
        n_std: float = 2.0,
        label: str | None = "mean",
        draw_kwargs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> PosteriorDisplay:
        """Draw the mean over its band.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            None makes a new figure.
        n_std : float, default=2.0
            Half the width of the band, in standard deviations.
        label : str or None, default="mean"
            None leaves everything out of the legend.
        draw_kwargs : dict, default=None
            Of the lines of the draws, of which the first has the label.
        **kwargs
            Of the line of the mean, whose colour the band and the draws take.

        Returns
        -------
        PosteriorDisplay
            Itself.

        Raises
        ------
        ValueError
            If the arrays are not finite numbers of fitting shapes.
        ImportError
            Without matplotlib.
        """
        x, mean, std, draws = self._arrays()
        data = self._data()
        if not n_std > 0:
            raise ValueError(f"n_std must be positive, got {n_std!r}")
        self._require_matplotlib("plot", ax)
        ax = self._on(ax)
        self.line_ = ax.plot(x, mean, **line_style(kwargs, color=COLORS[0], label=label))[0]
        color = self.line_.get_color()
        self.band_ = None
        if std is not None:
            band: dict[str, Any] = {"color": color, "alpha": 0.2, "linewidth": 0}
            band["label"] = label and f"± {n_std:g} standard deviations"
            self.band_ = ax.fill_between(x, mean - n_std * std, mean + n_std * std, **band)
        style = {"color": color, "linewidth": 0.7, "alpha": 0.6, "zorder": 1.8}
        thin = line_style(draw_kwargs or {}, label=label and "draws", **style)
        name = thin.pop("label")
        self.draws_ = [ax.plot(x, draw, **thin)[0] for draw in draws]
        if self.draws_:
            self.draws_[0].set_label(name if label is not None else "_nolegend_")
        self.points_ = None
        if data is not None:
            self.points_ = ax.plot(*data, "o", color=INK, markersize=4, label=label and "data")[0]
        ax.set(xlabel=self.feature_name, ylabel=self.target_name)
        show_legend(ax)
        return self

    def _arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, np.ndarray]:
        """x, mean, std and draws (n_draws, m), in the order of x."""
        x = as_numbers(self.x, "x", 1)
        order = np.argsort(x, kind="stable")
        mean = as_numbers(self.mean, "mean", 1, like=x.shape)
        std, draws = None, np.empty((0, len(x)))
        if self.std is not None:
            std = as_numbers(self.std, "std", 1, like=x.shape)
            if (std < 0).any():
                raise ValueError("std must not be negative")
            std = std[order]
        if self.draws is not None:
            draws = as_numbers(self.draws, "draws", 2).T
            if draws.shape[1] != len(x):
                raise ValueError(f"draws must be ({len(x)}, n_draws), got {draws.T.shape}")
        return x[order], mean[order], std, draws[:, order]

    def _data(self) -> tuple[np.ndarray, np.ndarray] | None:
        if (self.x_train is None) != (self.y_train is None):
            raise ValueError("x_train and y_train belong together: pass both or none")
        if self.x_train is None:
            return None
        x = as_numbers(self.x_train, "x_train", 1)
        return x, as_numbers(self.y_train, "y_train", 1, like=x.shape)

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any = None,
        *,
        feature: int | None = None,
        grid: Any = None,
        return_std: bool = True,
        n_draws: int = 0,
        random_state: Any = None,
        predict_params: dict[str, Any] | None = None,
        ax: Axes | None = None,
        **kwargs: Any,
    ) -> PosteriorDisplay:
        """Predictions of a fitted regressor along one feature.

        Parameters
        ----------
        estimator : fitted regressor
            With ``predict(X, return_std=True)``: `NNGPRegressor`, `NTKRegressor`, and those of
            scikit-learn.
        X : array-like, (n, n_features)
            The training rows.
        y : array-like, (n,), default=None
            Their targets; shown for one feature only, since rows do not lie on a section.
        feature : int, default=None
            The feature to vary while the others are held at their means over X; needed where there
            are several.
        grid : array-like, (m,), default=None
            Values of the feature; None is 201, a tenth beyond those of X on either side.
        return_std : bool, default=True
            False for regressors without error bars.
        n_draws : int, default=0
            Functions to draw with `sample_y`.
        random_state : int, RandomState or None, default=None
            Of the draws.
        predict_params : dict, default=None
            Passed on to `predict` and `sample_y`, such as ``{"t": 1.0}``.
        ax : matplotlib Axes, default=None
        **kwargs
            Of `plot`.

        Returns
        -------
        PosteriorDisplay

        Raises
        ------
        ValueError
            For several features and no choice of one, or several targets.
        """
        cls._require_matplotlib("from_estimator", ax)
        rows, name = _rows(X, feature)
        column = rows[:, feature or 0]
        at = _grid(column) if grid is None else as_numbers(grid, "grid", 1)
        section = np.repeat(rows.mean(axis=0, keepdims=True), len(at), axis=0)
        section[:, feature or 0] = at
        given = predict_params or {}
        found = estimator.predict(section, **({"return_std": True} if return_std else {}), **given)
        mean, std = found if return_std else (found, None)
        if np.ndim(mean) != 1:
            raise ValueError(
                f"a regressor of one target can be shown, predictions have the shape "
                f"{np.shape(mean)}: fit it to y[:, k]"
            )
        draws = None
        if n_draws:
            draws = estimator.sample_y(section, n_draws, random_state=random_state, **given)
        data = {} if y is None or rows.shape[1] > 1 else {"x_train": column, "y_train": y}
        display = cls(at, mean, std, draws=draws, feature_name=name, **data)
        return display.plot(ax, **kwargs)


def _rows(X: Any, feature: int | None) -> tuple[np.ndarray, str]:
    """Rows (n, n_features), and the name of what is varied."""
    columns = getattr(X, "columns", None)
    rows = as_numbers(detached(X), "X", 2)
    n_features = rows.shape[1]
    if feature is None and n_features > 1:
        raise ValueError(
            f"X has {n_features} features, and a line shows one: pass feature, the number of the "
            "one to vary; the others are held at their means"
        )
    if feature is not None and not 0 <= feature < n_features:
        raise ValueError(f"feature must be a number from 0 to {n_features - 1}, got {feature!r}")
    if columns is not None:
        return rows, str(columns[feature or 0])
    return rows, "$x$" if n_features == 1 else f"feature {feature}, others at their means"


def _grid(column: np.ndarray) -> np.ndarray:
    low, high = column.min(), column.max()
    margin = 0.1 * (high - low) or 1.0
    return np.linspace(low - margin, high + margin, 201)
