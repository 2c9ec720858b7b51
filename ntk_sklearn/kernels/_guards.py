"""What the GPyTorch kernels refuse, and what they warn of."""

from __future__ import annotations

import warnings

import gpytorch
import torch
from linear_operator.utils.warnings import NumericalWarning
from torch import Tensor


def check_tensor(x: Tensor) -> None:
    """Refuse rows that are not finite numbers in single or double precision.

    Raises
    ------
    TypeError
        For another precision: half precision does not resolve angles between rows.
    ValueError
        For rows without features, and rows with NaN or infinity.
    """
    if x.dtype not in (torch.float32, torch.float64):
        raise TypeError(f"rows must be float32 or float64, got {x.dtype}")
    if x.is_meta:
        raise TypeError("rows are a meta tensor and hold no numbers")
    if x.shape[-1] == 0:
        raise ValueError("rows have 0 feature(s)")
    if not torch.isfinite(x.detach()).all():
        raise ValueError("rows contain NaN or infinity")


def warn_of_iterative_solves(n: int) -> None:
    """Warn where GPyTorch would predict from n rows by conjugate gradients.

    Their tolerances are made for other spectra: posterior means are off by 1e-2 and variances by
    factors, without a word.
    """
    fast, largest = gpytorch.settings.fast_computations, gpytorch.settings.max_cholesky_size.value()
    iterative = fast.solves.on() or fast.covar_root_decomposition.on()
    if n > largest and iterative:
        warnings.warn(
            f"GPyTorch solves by conjugate gradients above max_cholesky_size={largest} rows, which "
            f"is inaccurate for kernels of wide networks: predict within "
            f"gpytorch.settings.max_cholesky_size({n}) or more",
            NumericalWarning,
            stacklevel=3,
        )
