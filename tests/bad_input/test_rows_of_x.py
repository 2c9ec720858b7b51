"""X that is no table: axes, empty axes, widths, and what numpy cannot read."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from bad_input_cases import (
    DENSE,
    KERNELS,
    TORCH_KERNELS,
    USES,
    X,
    Z,
    dense_matrix,
    estimators,
    fitted,
    targets,
    uses,
)

TENSOR = torch.tensor(X)


@uses
def test_one_axis_is_refused(use):
    with pytest.raises(ValueError, match="Expected 2D array"):
        use(X[0])


@estimators
def test_fit_on_no_rows_is_refused(kind):
    with pytest.raises(ValueError, match=r"0 sample\(s\)"):
        kind(DENSE).fit(X[:0], targets(kind, 0))


def grams_of_tensors():
    return {kind.__name__: lambda x, k=kind: dense_matrix(k(DENSE), x) for kind in TORCH_KERNELS}


@pytest.mark.parametrize("name", [*USES, *grams_of_tensors()])
def test_rows_without_features_are_refused(name):
    grams = grams_of_tensors()
    use, rows = (grams[name], TENSOR[:, :0]) if name in grams else (USES[name], X[:, :0])
    with pytest.raises(ValueError, match=r"0 feature\(s\)"):
        use(rows)


@estimators
def test_prediction_of_no_rows_is_refused(kind):
    with pytest.raises(ValueError, match=r"0 sample\(s\)"):
        fitted(kind).predict(X[:0])


@pytest.mark.parametrize("kind", [*KERNELS, *TORCH_KERNELS])
def test_kernel_of_no_rows_is_an_empty_matrix(kind):
    kernel = kind(DENSE)
    if kind in TORCH_KERNELS:
        assert dense_matrix(kernel, TENSOR[:0], TENSOR).shape == (0, 20)
        return
    assert kernel(X[:0], X).shape == (0, 20)
    assert kernel(X, X[:0]).shape == (20, 0)
    assert kernel(X[:0]).shape == (0, 0)
    assert kernel.diag(X[:0]).shape == (0,)


@uses
def test_three_axes_are_refused(use):
    with pytest.raises(ValueError, match="dim 3"):
        use(X[:, :, np.newaxis])


@estimators
def test_prediction_of_rows_of_another_width_is_refused(kind):
    with pytest.raises(ValueError, match=r"X has 7 features, but .* is expecting 12"):
        fitted(kind).predict(Z[:, :7])


@pytest.mark.parametrize("kind", KERNELS)
def test_blocks_of_rows_of_two_widths_are_refused(kind):
    with pytest.raises(ValueError, match="Y has 7 features, X has 12"):
        kind(DENSE)(X, Z[:, :7])


@uses
def test_ragged_lists_are_refused(use):
    with pytest.raises(ValueError, match="inhomogeneous"):
        use([[1.0, 2.0], [3.0]] * 10)


@uses
def test_complex_rows_are_refused(use):
    with pytest.raises(ValueError, match="Complex data not supported"):
        use(X + 0j)


@estimators
def test_complex_targets_and_weights_are_refused(kind):
    y = targets(kind)
    for arguments in ((y + 0j,), (y, np.ones(len(y)) + 0j)):
        with pytest.raises(ValueError, match="Complex data not supported"):
            kind(DENSE).fit(X, *arguments)
