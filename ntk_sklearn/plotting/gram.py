"""A kernel matrix as an image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils import check_consistent_length
from sklearn.utils.multiclass import type_of_target

from .._validation import detached
from ._arrays import as_numbers
from ._axes import Display
from ._grams import gram, normalized, training_gram

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colorbar import Colorbar
    from matplotlib.image import AxesImage

VALUE = r"$k(x, x')$"
CORRELATION = r"$k(x, x')\;/\;\sqrt{k(x, x)\,k(x', x')}$"
# Classes whose names have room along an axis.
_NAMES = 20


class GramDisplay(Display):
    """A kernel matrix as an image, its rows ordered by their labels.

    Parameters
    ----------
    matrix : array-like, (n, m)
    labels : array-like, (n,) or None, default=None
        Classes of the rows of a square matrix, equal ones side by side.
    name : str, default="k(x, x')"
        What the colours mean.
    row_name : str, default="row"
        What stands along the axes where there are no labels.

    Attributes
    ----------
    image_ : AxesImage
    colorbar_ : Colorbar or None
    boundaries_ : list of Line2D
        Between classes: two for every boundary.
    ax_, figure_

    Examples
    --------
    >>> import numpy as np
    >>> from ntk_sklearn.plotting import GramDisplay
    >>> display = GramDisplay(np.eye(4), labels=["a", "a", "b", "b"])
    """

    image_: AxesImage
    colorbar_: Colorbar | None
    boundaries_: list[Any]

    def __init__(
        self, matrix: Any, *, labels: Any = None, name: str = VALUE, row_name: str = "row"
    ) -> None:
        self.matrix = matrix
        self.labels = labels
        self.name = name
        self.row_name = row_name

    def plot(
        self,
        ax: Axes | None = None,
        *,
        boundaries: bool = True,
        colorbar: bool = True,
        **kwargs: Any,
    ) -> GramDisplay:
        """Draw the matrix, its first row on top.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            None makes a new figure.
        boundaries : bool, default=True
            Lines between classes, and their names along the axes if there are at most 20.
        colorbar : bool, default=True
        **kwargs
            Of `Axes.imshow`. By default matrices with negative entries have colours symmetric
            about 0.

        Returns
        -------
        GramDisplay
            Itself.

        Raises
        ------
        ValueError
            If the matrix is not made of finite numbers, or the labels do not fit it.
        ImportError
            Without matplotlib.
        """
        matrix = as_numbers(self.matrix, "matrix", 2)
        names, edges = _runs(self.labels, matrix)
        self._require_matplotlib("plot", ax)
        ax = self._on(ax)
        self.image_ = ax.imshow(matrix, **(_colors(matrix, kwargs) | kwargs))
        self.colorbar_ = self.figure_.colorbar(self.image_, ax=ax) if colorbar else None
        if self.colorbar_ is not None:
            self.colorbar_.set_label(self.name)
            self.colorbar_.outline.set_visible(False)
        self.boundaries_ = _boundaries(ax, edges) if boundaries else []
        _name_rows(ax, names if boundaries else [], edges, self.row_name)
        return self

    @classmethod
    def from_kernel(
        cls,
        kernel: Any,
        X: Any = None,
        y: Any = None,
        *,
        normalize: bool = False,
        ax: Axes | None = None,
        **kwargs: Any,
    ) -> GramDisplay:
        """Evaluate a kernel at rows, order them by labels, and draw.

        Parameters
        ----------
        kernel : callable, network or array-like (n, n)
            A network stands for its NTK; a matrix is shown as it is, without X.
        X : array-like, (n, ...)
        y : array-like, (n,), default=None
            Rows are ordered by it, stably; classes get names and boundaries.
        normalize : bool, default=False
            Divide by the roots of the diagonal: the cosines of the features.
        ax : matplotlib Axes, default=None
        **kwargs
            Of `plot`.

        Returns
        -------
        GramDisplay
        """
        cls._require_matplotlib("from_kernel", ax)
        return cls._of(gram(kernel, X), y, normalize).plot(ax, **kwargs)

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any = None,
        y: Any = None,
        *,
        normalize: bool = False,
        ax: Axes | None = None,
        **kwargs: Any,
    ) -> GramDisplay:
        """Draw the kernel matrix of a fitted estimator.

        Parameters
        ----------
        estimator : fitted estimator
            One with a `kernel_` and its training rows: ours, and scikit-learn's Gaussian processes.
        X : array-like, (n, n_features), default=None
            None takes the rows that it was fitted to, without equal ones.
        y, normalize, ax, **kwargs
            As in `from_kernel`.

        Returns
        -------
        GramDisplay
        """
        cls._require_matplotlib("from_estimator", ax)
        return cls._of(training_gram(estimator, X), y, normalize).plot(ax, **kwargs)

    @classmethod
    def _of(cls, K: np.ndarray, y: Any, normalize: bool) -> GramDisplay:
        K, name = (normalized(K), CORRELATION) if normalize else (K, VALUE)
        if y is None:
            return cls(K, name=name)
        y = np.asarray(detached(y, "y"))
        check_consistent_length(K, y)
        if y.ndim != 1:
            raise ValueError(f"y must be (n,) to order rows by it, got the shape {y.shape}")
        order = np.argsort(y, kind="stable")
        classes = type_of_target(y) in ("binary", "multiclass")
        labels = y[order] if classes else None
        return cls(K[np.ix_(order, order)], labels=labels, name=name, row_name="row, by target")


def _colors(matrix: np.ndarray, given: dict[str, Any]) -> dict[str, Any]:
    chosen: dict[str, Any] = {"interpolation": "nearest"}
    # zeros that rounding has made negative are none
    if matrix.min() >= -1e-12 * np.abs(matrix).max():
        return chosen | {"cmap": "viridis"}
    top = np.abs(matrix).max()
    limits = {} if {"norm", "vmin", "vmax"} & set(given) else {"vmin": -top, "vmax": top}
    return chosen | {"cmap": "RdBu_r"} | limits


def _runs(labels: Any, matrix: np.ndarray) -> tuple[list[str], np.ndarray]:
    """Names of the classes, and the edges of their rows: one more than there are names."""
    if labels is None:
        return [], np.array([0, len(matrix)])
    labels = np.asarray(labels)
    if labels.ndim != 1 or matrix.shape != (len(labels), len(labels)):
        raise ValueError(
            f"labels are of the rows of a square matrix, got {labels.shape} for {matrix.shape}"
        )
    starts = np.flatnonzero(np.r_[True, labels[1:] != labels[:-1]])
    if len(starts) != len(np.unique(labels)):
        raise ValueError(
            "equal labels must stand side by side: from_kernel(kernel, X, y) orders the rows"
        )
    return [str(label) for label in labels[starts]], np.r_[starts, len(labels)]


def _boundaries(ax: Axes, edges: np.ndarray) -> list[Any]:
    style: dict[str, Any] = {"color": "white", "linewidth": 0.8}
    between = edges[1:-1] - 0.5
    return [draw(at, **style) for at in between for draw in (ax.axhline, ax.axvline)]


def _name_rows(ax: Axes, names: list[str], edges: np.ndarray, row_name: str) -> None:
    if not 0 < len(names) <= _NAMES:
        ax.set(xlabel=row_name, ylabel=row_name)
        return
    middles = (edges[1:] + edges[:-1] - 1) / 2
    ax.set_xticks(middles, names)
    ax.set_yticks(middles, names)
    ax.tick_params(length=0)
    ax.set(xlabel="class", ylabel="class")
