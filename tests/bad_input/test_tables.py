"""Data frames, missing values, sparse matrices, text."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from bad_input_cases import DENSE, WIDTH, X, Z, estimators, fitted, targets, torch_uses, uses

NAMES = [f"feature {k}" for k in range(WIDTH)]
FRAME = pd.DataFrame(X, columns=NAMES)


def with_column(values):
    return FRAME.assign(**{NAMES[3]: values})


@estimators
@pytest.mark.parametrize("columns", [NAMES[::-1], NAMES[1:]], ids=["reordered", "missing"])
def test_columns_in_another_order_or_missing_are_refused(kind, columns):
    model = kind(DENSE).fit(FRAME, targets(kind))
    np.testing.assert_array_equal(model.feature_names_in_, NAMES)
    with pytest.raises(ValueError, match="feature names"):
        model.predict(FRAME[columns])


TEXTS = {
    "words": with_column(["a", "b"] * 10),
    "numbers as text": with_column(["1.5"] * 20),
    "numbers as objects of text": with_column(np.array(["1.5"] * 20, dtype=object)),
    "categories": with_column(pd.Categorical(["a", "b"] * 10)),
    "numbers as categories": with_column(pd.Categorical([1.5, 2.5] * 10)),
    "dates": with_column(pd.date_range("2020", periods=20)),
}


@uses
@pytest.mark.parametrize("frame", TEXTS.values(), ids=TEXTS)
def test_columns_of_text_categories_or_dates_are_refused(use, frame):
    with pytest.raises(ValueError, match=r"could not convert string.*feature 3"):
        use(frame)


def spoiled(value):
    found = X.copy()
    found[2, 3] = value
    return found


MISSING = {
    "nan": (spoiled(np.nan), "NaN"),
    "inf": (spoiled(np.inf), "infinity"),
    "-inf": (spoiled(-np.inf), "infinity"),
    "pandas.NA": (with_column(pd.array([1, pd.NA] * 10, dtype="Int64")), "NaN"),
    "None": (with_column(np.array([1.0, None] * 10, dtype=object)), "NaN"),
    "NaN in float32": (spoiled(np.nan).astype(np.float32), "NaN"),
}


@uses
@pytest.mark.parametrize("name", MISSING)
def test_missing_and_infinite_values_are_refused(use, name):
    bad, message = MISSING[name]
    with pytest.raises(ValueError, match=message):
        use(bad)


@torch_uses
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_missing_and_infinite_entries_of_tensors_are_refused(use, value):
    with pytest.raises(ValueError, match="NaN or infinity"):
        use(torch.tensor(spoiled(value)))


@uses
@pytest.mark.parametrize("layout", ["csr", "csc", "coo"])
@pytest.mark.parametrize("form", ["array", "matrix"])
def test_sparse_rows_are_refused(use, layout, form):
    with pytest.raises(TypeError, match=r"[Ss]parse"):
        use(getattr(sp, f"{layout}_{form}")(X))


@estimators
def test_columns_in_order_are_rows(kind):
    found = kind(DENSE).fit(FRAME, targets(kind)).predict(pd.DataFrame(Z, columns=NAMES))
    np.testing.assert_array_equal(found, fitted(kind).predict(Z))
