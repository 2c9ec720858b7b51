"""Powers of the width, fitted to numbers that scatter from draw to draw."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.stats import linregress


class PowerLaw(NamedTuple):
    """``exp(intercept) * width**slope``, with the standard error of the slope."""

    slope: float
    slope_error: float
    intercept: float


def fit_power_law(widths: np.ndarray, values: np.ndarray) -> PowerLaw:
    """Least squares in the logarithms of all values (n_widths, n_draws), each of equal weight.

    The standard error is that of independent draws that scatter alike at all widths. NaN where
    there is nothing to fit: for one width, values of 0 and values that are not finite; for two
    points there is no standard error.
    """
    if len(widths) < 2 or not (np.isfinite(values) & (values > 0)).all():
        return PowerLaw(np.nan, np.nan, np.nan)
    x = np.repeat(np.log(widths), values.shape[1])
    fit = linregress(x, np.log(values).ravel())
    error = float(fit.stderr) if values.size > 2 else np.nan
    return PowerLaw(float(fit.slope), error, float(fit.intercept))
