"""Tiny rows, huge rows and subnormal entries."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from bad_input_cases import (
    BIAS_FREE,
    DENSE,
    ESTIMATORS,
    KERNELS,
    X,
    Z,
    estimators,
    everything,
    gram,
    matrices,
    outputs,
    targets,
)


def relative(found, expected):
    return np.abs(found - expected).max() / np.abs(expected).max()


# From the representable to what is no different from zero


@estimators
@pytest.mark.parametrize("factor", [1e-100, 1e-150, 1e-155, 1e-160, 1e-200, 5e-324])
def test_tiny_rows_without_biases_are_predicted_as_scaled_or_zero_ones(kind, factor):
    model = kind(BIAS_FREE).fit(X * factor, targets(kind))
    found = outputs(model, Z * factor)
    assert np.isfinite(found).all()
    if factor >= 1e-100:  # no ridge here depends on the scale of the kernel
        assert relative(found, outputs(kind(BIAS_FREE).fit(X, targets(kind)), Z)) < 1e-9
    elif factor <= 1e-200:
        expected = outputs(kind(BIAS_FREE).fit(X * 0, targets(kind)), Z * 0)
        np.testing.assert_array_equal(found, expected)


@matrices
@pytest.mark.parametrize("factor", [1e-100, 1e-155, 1e-200])
def test_kernels_of_tiny_rows_are_scaled_or_zero(kind, factor):
    found = gram(kind, BIAS_FREE, X * factor)
    expected = gram(kind, BIAS_FREE, X) * factor * factor
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-320)


@everything
@pytest.mark.parametrize("factor", [1e70, 1e150, 1e160, 1e300])
def test_huge_rows_give_the_right_answer_or_are_refused(kind, factor):
    def use(rows, new):
        if kind in ESTIMATORS:
            return outputs(kind(BIAS_FREE).fit(rows, targets(kind)), new)
        return gram(kind, BIAS_FREE, rows, new)

    if factor > 1e150:
        with pytest.raises(ValueError, match="overflows float64: scale X down"):
            use(X * factor, Z * factor)
        return
    expected = use(X, Z) if kind in ESTIMATORS else use(X, Z) * factor**2
    assert relative(use(X * factor, Z * factor), expected) < 1e-9


@pytest.mark.parametrize("kind", [*ESTIMATORS, *KERNELS])
def test_huge_rows_in_single_precision_are_computed_in_double(kind):
    rows, new = ((v * 1e25).astype(np.float32) for v in (X, Z))

    def use(**options):
        subject = kind(BIAS_FREE, **options)
        if kind in KERNELS:
            return subject(rows, new)
        return outputs(subject.fit(rows, targets(kind)), new)

    assert np.isfinite(use()).all()
    with pytest.raises(ValueError, match="overflows float32: scale X down"):
        use(dtype="float32")


@everything
def test_subnormal_entries_count_as_zero_or_as_themselves(kind):
    rows = X.copy()
    rows[::2, ::3] = 1e-310

    def use():
        if kind in ESTIMATORS:
            return outputs(kind(DENSE).fit(rows, targets(kind)), Z)
        return gram(kind, DENSE, rows)

    kept = use()
    try:
        supported = torch.set_flush_denormal(True)
        flushed = use()
    finally:
        torch.set_flush_denormal(False)
    if not supported:
        pytest.skip("this processor keeps subnormal numbers")
    assert np.isfinite(kept).all()
    assert relative(flushed, kept) < 1e-10
