"""Eigenvalues of kernels, and what they hold of a target."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ._arrays import as_numbers, check_choice
from ._axes import Display, show_legend
from ._grams import gram, training_gram
from ._spectra import decomposed, even_slope, numeric_targets
from ._spectrum_artists import draw_eigenvalues, draw_law, draw_power, draw_shares, scale_index

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

# Eigenvalues below this share of the largest are rounding.
ROUNDING = 1e-12


class SpectrumDisplay(Display):
    r"""Eigenvalues against their index, or against the degree of their harmonics.

    Parameters
    ----------
    eigenvalues : array-like, (n,)
        In falling order if there are no degrees.
    degrees : array-like, (n,), default=None
        Of the harmonics on a sphere whose eigenvalues :math:`\mu_k` these are.
    errors : array-like, (n,), default=None
        Of the eigenvalues, absolute: below them they are rounding. None is 1e-12 of the largest.
    power : array-like, (n,), default=None
        What each mode holds of the target: squares of its coefficients.
    slope, intercept : float, default=None
        A power law to draw: :math:`\log \mu = intercept + slope \log(i + offset)`, for index or
        degree i. Without an intercept it goes through the geometric mean of the eigenvalues.
    offset : float, default=0.0
    fitted : (low, high), default=None
        The range of i in which the line is drawn; None is all of it.

    Attributes
    ----------
    lines_ : list of Line2D
        Of eigenvalues, one or, with degrees, two: even and odd; of shares: one or, with `power`,
        two; of power: one.
    slope_line_ : Line2D or None
    ax_, figure_

    Examples
    --------
    >>> from ntk_sklearn.plotting import SpectrumDisplay
    >>> display = SpectrumDisplay([1.0, 0.25, 0.1], slope=-2.0)
    """

    lines_: list[Line2D]
    slope_line_: Line2D | None

    def __init__(
        self,
        eigenvalues: Any,
        *,
        degrees: Any = None,
        errors: Any = None,
        power: Any = None,
        slope: float | None = None,
        intercept: float | None = None,
        offset: float = 0.0,
        fitted: tuple[float, float] | None = None,
    ) -> None:
        self.eigenvalues = eigenvalues
        self.degrees = degrees
        self.errors = errors
        self.power = power
        self.slope = slope
        self.intercept = intercept
        self.offset = offset
        self.fitted = fitted

    def plot(
        self, ax: Axes | None = None, *, kind: str = "eigenvalues", **kwargs: Any
    ) -> SpectrumDisplay:
        """Draw eigenvalues, cumulative shares or the target's power.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            None makes a new figure.
        kind : {"eigenvalues", "cumulative", "power"}, default="eigenvalues"
            "eigenvalues": both axes logarithmic; those that are rounding lie on the lower edge as
            triangles; degree 0 has its place left of 1. "cumulative": the
            share of the trace in the first modes, and of the target's power. "power": the share of
            the target's power in each mode.
        **kwargs
            Of the lines.

        Returns
        -------
        SpectrumDisplay
            Itself.

        Raises
        ------
        ValueError
            If the arrays are not finite numbers of one length, or no eigenvalue is positive; for
            "power" without any, for "cumulative" with degrees.
        ImportError
            Without matplotlib.
        """
        values = as_numbers(self.eigenvalues, "eigenvalues", 1)
        at, power = self._along(values, kind), self._power(len(values), kind)
        there = values > self._floor(values)
        line = self._law(at[there], values[there])
        self._require_matplotlib("plot", ax)
        ax, self.slope_line_ = self._on(ax), None
        if kind == "eigenvalues":
            self.lines_ = draw_eigenvalues(ax, at, values, there, self.degrees is not None, kwargs)
            self.slope_line_ = None if line is None else draw_law(ax, *line, self.slope)
        elif kind == "cumulative":
            self.lines_ = draw_shares(ax, at, np.maximum(values, 0.0), power, kwargs)
        else:
            self.lines_ = draw_power(ax, at, power, kwargs)
        scale_index(ax, at)
        ax.set_xlabel("index of the eigenvalue" if self.degrees is None else "degree $k$")
        show_legend(ax)
        return self

    def _along(self, values: np.ndarray, kind: str) -> np.ndarray:
        """Index from 1, or degree, of every eigenvalue."""
        check_choice(kind, "kind", ("eigenvalues", "cumulative", "power"))
        if not values.max() > 0:
            raise ValueError("eigenvalues must have positive ones among them")
        if self.degrees is None and (np.diff(values) > 0).any():
            raise ValueError("eigenvalues must fall: sort them, and their power with them")
        if self.degrees is None:
            return np.arange(1.0, len(values) + 1)
        if kind == "cumulative":
            raise ValueError(
                "kind='cumulative' is of single modes: degrees stand for many of them each"
            )
        return as_numbers(self.degrees, "degrees", 1, like=values.shape)

    def _floor(self, values: np.ndarray) -> np.ndarray:
        """Below which eigenvalues (n,) are rounding."""
        if self.errors is None:
            return np.full(values.shape, ROUNDING * values.max())
        return np.maximum(as_numbers(self.errors, "errors", 1, like=values.shape), 0.0)

    def _power(self, n: int, kind: str) -> np.ndarray:
        """Shares (n,) of the target's power, or nothing."""
        if self.power is None:
            if kind == "power":
                raise ValueError("kind='power' needs power: from_kernel(kernel, X, y) computes it")
            return np.empty(0)
        power = as_numbers(self.power, "power", 1, like=(n,))
        if not (power >= 0).all() or not power.sum() > 0:
            raise ValueError("power must be squares, not negative and not all zero")
        found: np.ndarray = power / power.sum()
        return found

    def _law(self, at: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """The power law, where it is drawn."""
        if self.slope is None:
            return None
        low, high = self.fitted or (-np.inf, np.inf)
        inside = (at >= low) & (at <= high) & (at + self.offset > 0)
        if not inside.any():
            raise ValueError(f"fitted={self.fitted} holds no eigenvalue above rounding")
        i, intercept = at[inside] + self.offset, self.intercept
        if intercept is None:
            intercept = float((np.log(values[inside]) - self.slope * np.log(i)).mean())
        i = np.geomspace(i.min(), i.max(), 50)
        return i - self.offset, np.exp(intercept) * i**self.slope

    @classmethod
    def from_kernel(
        cls, kernel: Any, X: Any = None, y: Any = None, *, ax: Axes | None = None, **kwargs: Any
    ) -> SpectrumDisplay:
        """Eigenvalues of a kernel matrix K, and what each eigenvector holds of the target.

        Parameters
        ----------
        kernel : callable, network or array-like (n, n)
            A network stands for its NTK; a matrix is decomposed as it is, without X.
        X : array-like, (n, ...)
        y : array-like of numbers, (n,) or (n, n_targets), default=None
            Not centred.
        ax : matplotlib Axes, default=None
        **kwargs
            Of `plot`.

        Returns
        -------
        SpectrumDisplay
        """
        cls._require_matplotlib("from_kernel", ax)
        K = gram(kernel, X)
        return cls._of(*decomposed(K), numeric_targets(y, len(K))).plot(ax, **kwargs)

    @classmethod
    def from_estimator(
        cls, estimator: Any, *, ax: Axes | None = None, **kwargs: Any
    ) -> SpectrumDisplay:
        """Eigenvalues of the kernel of a fitted estimator, at its training rows.

        Of the NTK estimators those of W^1/2 Theta W^1/2 with the sample weights W, which training
        learns one by one, and the power of what is to be learned: W^1/2 (y - f_0(X)), in units of
        normalized targets. A fit for a finite time has decomposed it already. Of other estimators
        with a `kernel_` and training rows the eigenvalues alone.

        Parameters
        ----------
        estimator : fitted estimator
        ax : matplotlib Axes, default=None
        **kwargs
            Of `plot`.

        Returns
        -------
        SpectrumDisplay
        """
        cls._require_matplotlib("from_estimator", ax)
        values = getattr(estimator, "eigenvalues_", np.empty(0))
        trained = hasattr(estimator, "initial_") and hasattr(estimator, "weight_")
        if not trained:
            return cls._of(*decomposed(training_gram(estimator)), None).plot(ax, **kwargs)
        residual = estimator.targets_ - estimator.initial_
        vectors = estimator.eigenvectors_
        K = None if values.size else training_gram(estimator)
        n = len(vectors) if K is None else len(K)
        if n > len(residual):  # outputs that are trained together: by row, then by output
            residual = residual.reshape(-1, 1)
        root = np.repeat(np.sqrt(estimator.weight_), n // len(estimator.weight_))[:, np.newaxis]
        if K is not None:
            values, vectors = decomposed(root * K * root.T)
        residual = root * residual
        return cls._of(values, vectors, residual).plot(ax, **kwargs)

    @classmethod
    def from_spectrum(
        cls, spectrum: Any, *, ax: Axes | None = None, **kwargs: Any
    ) -> SpectrumDisplay:
        """A spectrum that is known already.

        Parameters
        ----------
        spectrum : object
            With `eigenvalues` (n,), the largest first, and `coefficients` of the targets, (n, k) or
            None.
        ax : matplotlib Axes, default=None
        **kwargs
            Of `plot`.

        Returns
        -------
        SpectrumDisplay

        Raises
        ------
        TypeError
            For an object without eigenvalues.
        """
        cls._require_matplotlib("from_spectrum", ax)
        if not hasattr(spectrum, "eigenvalues"):
            raise TypeError(f"from_spectrum needs an object with eigenvalues, got {spectrum!r}")
        found = getattr(spectrum, "coefficients", None)
        power = None if found is None else (np.reshape(found, (len(found), -1)) ** 2).sum(axis=1)
        return cls(spectrum.eigenvalues, power=power).plot(ax, **kwargs)

    @classmethod
    def from_sphere(
        cls,
        spectrum: Any,
        dimension: int | None = None,
        *,
        fit: tuple[int, int] | None = (10, 60),
        ax: Axes | None = None,
        **kwargs: Any,
    ) -> SpectrumDisplay:
        r"""Eigenvalues of the degrees 0, 1, ... on a sphere, with the slope of the even ones.

        The slope is that of :math:`\log \mu_k` against :math:`\log(k + (p - 2) / 2)` for the sphere
        in p dimensions: in this variable power laws hold from moderate degrees on.

        Parameters
        ----------
        spectrum : SphereSpectrum or array-like, (n,)
            Anything with `eigenvalues`, `dimension` and, if known, their `errors`, below which they
            are rounding; or the eigenvalues themselves.
        dimension : int, default=None
            p, of the space in which the sphere lies, 2 for the circle; with plain eigenvalues.
        fit : (low, high) or None, default=(10, 60)
            Even degrees that the line is fitted to by least squares; None fits none.
        ax : matplotlib Axes, default=None
        **kwargs
            Of `plot`.

        Returns
        -------
        SpectrumDisplay

        Raises
        ------
        ValueError
            For fewer than two even degrees in the range, or eigenvalues that are not positive.
        """
        cls._require_matplotlib("from_sphere", ax)
        values = as_numbers(getattr(spectrum, "eigenvalues", spectrum), "eigenvalues", 1)
        p = getattr(spectrum, "dimension", dimension)
        if p is None:
            raise TypeError("plain eigenvalues need the dimension: 2 for the circle")
        degrees, offset = np.arange(len(values)), (p - 2) / 2
        slope, intercept = (None, None) if fit is None else even_slope(values, offset, fit)
        return cls(
            values,
            degrees=degrees,
            errors=getattr(spectrum, "errors", None),
            slope=slope,
            intercept=intercept,
            offset=offset,
            fitted=fit,
        ).plot(ax, **kwargs)

    @classmethod
    def _of(cls, values: np.ndarray, vectors: np.ndarray, targets: Any) -> SpectrumDisplay:
        """From ascending eigenvalues."""
        power = None if targets is None else ((vectors.T @ targets) ** 2).sum(axis=1)[::-1]
        return cls(values[::-1], power=power)
