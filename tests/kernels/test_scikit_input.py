"""What the scikit-learn kernels accept and refuse; not every caller validates for them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch

from ntk_sklearn.kernels import NTK
from ntk_sklearn.networks import (
    Activation,
    Conv,
    Dense,
    FullyConnected,
    NetworkError,
    Serial,
)

X = np.random.default_rng(2).integers(0, 100, size=(8, 6)).astype(float)
KERNEL = NTK(FullyConnected(2))


def read_only(X):
    X = X.copy()
    X.flags.writeable = False
    return X


ACCEPTED = {
    "fortran": np.asfortranarray,
    "negative strides": lambda X: X[::-1, ::-1].copy()[::-1, ::-1],
    "every other": lambda X: np.repeat(X, 2, axis=1)[:, ::2],
    "big-endian": lambda X: X.astype(">f8"),
    "read-only": read_only,
    "list": lambda X: X.tolist(),
    "uint8": lambda X: X.astype(np.uint8),
    "int8": lambda X: X.astype(np.int8),
    "float16": lambda X: X.astype(np.float16),
    "float32": lambda X: X.astype(np.float32),
    "longdouble": lambda X: X.astype(np.longdouble),
    "objects": lambda X: X.astype(object),
    "data frame": pd.DataFrame,
    "tensor": torch.tensor,
    "tensor with gradient": lambda X: torch.tensor(X, requires_grad=True),
    "masked, nothing masked": lambda X: np.ma.masked_array(X, mask=False),
}


@pytest.mark.parametrize("form", ACCEPTED)
def test_forms_of_the_same_numbers_give_the_same_matrix(form):
    other = ACCEPTED[form](X)
    np.testing.assert_array_equal(KERNEL(other), KERNEL(X))
    np.testing.assert_array_equal(KERNEL(other, X[:3].copy()), KERNEL(X, X[:3].copy()))
    np.testing.assert_array_equal(KERNEL.diag(other), KERNEL.diag(X))


def test_booleans_and_broadcast_rows_are_numbers():
    np.testing.assert_array_equal(KERNEL(X > 50), KERNEL((X > 50).astype(float)))
    rows = np.broadcast_to(X[:1], (4, 6))
    np.testing.assert_array_equal(KERNEL(rows), KERNEL(rows.copy()))


def spoiled(value):
    found = X.copy()
    found[2, 3] = value
    return found


REFUSED = {
    "one row": (X[0], ValueError, "Expected 2D array"),
    "one number": (3.0, ValueError, "Expected 2D array"),
    "three axes": (X[:, :, np.newaxis], ValueError, "dim 3"),
    "no features": (X[:, :0], ValueError, r"0 feature\(s\)"),
    "nan": (spoiled(np.nan), ValueError, "contains NaN"),
    "inf": (spoiled(np.inf), ValueError, "contains infinity"),
    "missing": (pd.DataFrame(X.astype(int), dtype="Int64").mask(X > 50), ValueError, "NaN"),
    "sparse matrix": (sp.csr_matrix(X), TypeError, "[Ss]parse"),
    "sparse array": (sp.coo_array(X), TypeError, "[Ss]parse"),
    "complex": (X + 0j, ValueError, "Complex data not supported"),
    "strings": (np.full((8, 6), "a"), ValueError, "could not convert string"),
    "ragged": ([[1.0, 2.0], [3.0]], ValueError, "inhomogeneous"),
    "meta tensor": (torch.empty(8, 6, device="meta"), TypeError, "meta tensor"),
    "masked": (np.ma.masked_array(X, mask=X > 50), ValueError, "masked"),
}


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("use", ["gram", "columns", "diag"])
def test_what_is_no_table_of_finite_numbers_is_refused(case, use):
    bad, error, message = REFUSED[case]
    with pytest.raises(error, match=message):
        {"gram": KERNEL, "columns": lambda Y: KERNEL(X, Y), "diag": KERNEL.diag}[use](bad)


def test_other_number_of_features_is_refused():
    with pytest.raises(ValueError, match="Y has 5 features, X has 6"):
        KERNEL(X, X[:, :5])


@pytest.mark.parametrize("use", [KERNEL, KERNEL.diag, lambda X: KERNEL(X, X[:2].copy())])
def test_squares_that_overflow_are_refused(use):
    with pytest.raises(ValueError, match="overflows float64: scale X down"):
        use(X * 1e160)


@pytest.mark.parametrize("b_std", [0.0, 0.5])
def test_squares_that_underflow_are_the_squares_of_zero(b_std):
    kernel = NTK(FullyConnected(2, b_std=b_std))
    np.testing.assert_array_equal(kernel(X * 1e-200), kernel(X * 0.0))


# Networks


@pytest.mark.parametrize("network", [3, "relu", [Dense()], FullyConnected, RuntimeError])
def test_what_is_no_network_is_refused(network):
    with pytest.raises(TypeError, match="network must be None, a preset"):
        NTK(network)(X)


def test_tree_without_a_limit_is_refused_in_words():
    with pytest.raises(NetworkError, match="does not end in a Gaussian output"):
        NTK(Serial(Dense(), Activation("relu")))(X)
    with pytest.raises(ValueError, match=r"ends in .* positions: end it with Flatten"):
        NTK(Serial(Conv(), Activation("relu"), Conv()), image_shape=(1, 2, 3))(X)
