"""The same numbers in other types, orders and containers."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from bad_input_cases import (
    DENSE,
    TORCH_KERNELS,
    USES,
    X,
    Z,
    dense_matrix,
    estimators,
    kernels,
    outputs,
    targets,
    uses,
)

WHOLE = np.random.default_rng(2).integers(0, 100, size=(20, 12)).astype(float)


def same(use, form, rows):
    np.testing.assert_array_equal(use(form), use(rows))


@uses
@pytest.mark.parametrize("form", ["numbers", "text", "mixed", "bytes", "numpy text"])
def test_objects_are_converted_if_they_are_numbers(use, form):
    if form == "numbers":
        same(use, X.astype(object), X)
        return
    bad = {"text": X.astype("U").astype(object), "mixed": X.astype(object)}
    bad |= {"bytes": X.astype("S"), "numpy text": X.astype("U")}
    bad["mixed"][3, 4] = "1.5"
    with pytest.raises(ValueError, match="could not convert string"):
        use(bad[form])


@uses
@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.bool_])
def test_whole_numbers_and_booleans_equal_floats(use, dtype):
    rows = (WHOLE > 50).astype(float) if dtype is np.bool_ else WHOLE
    same(use, rows.astype(dtype), rows)


@uses
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.longdouble])
def test_other_precisions_are_computed_in_double(use, dtype):
    rows = X.astype(dtype)
    same(use, rows, rows.astype(np.float64))


@pytest.mark.parametrize("kind", TORCH_KERNELS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.int64, torch.complex64])
def test_gpytorch_kernels_refuse_other_precisions(kind, dtype):
    with pytest.raises(TypeError, match="float32 or float64"):
        dense_matrix(kind(DENSE), torch.tensor(X).to(dtype))


def strided(rows):
    return np.repeat(rows, 2, axis=1)[:, ::2]


LAYOUTS = {
    "big-endian": lambda rows: rows.astype(">f8"),
    "negative strides": lambda rows: rows[::-1, ::-1].copy()[::-1, ::-1],
    "Fortran order": np.asfortranarray,
    "every other column": strided,
    "broadcast": lambda rows: np.broadcast_to(rows[0], rows.shape),
}


@uses
@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.filterwarnings("ignore::scipy.linalg.LinAlgWarning")  # equal rows
def test_layouts_in_memory_do_not_matter(use, name):
    rows = LAYOUTS[name](X)
    same(use, rows, np.array(rows, dtype=np.float64, order="C"))


def locked(values, path):
    found = values.copy()
    found.flags.writeable = False
    return found


def mapped(values, path):
    np.save(path, values)
    return np.load(path, mmap_mode="r")


@estimators
@pytest.mark.parametrize("form", [locked, mapped])
def test_read_only_arrays_are_taken_without_a_warning(kind, form, tmp_path):
    y, weight = targets(kind), np.linspace(1.0, 2.0, 20)
    expected = outputs(kind(DENSE).fit(X, y, weight), Z)
    given = [form(v, tmp_path / f"{k}.npy") for k, v in enumerate((X, y, weight, Z))]
    with warnings.catch_warnings(action="error"):
        found = outputs(kind(DENSE).fit(*given[:3]), given[3])
    np.testing.assert_array_equal(found, expected)


@kernels
@pytest.mark.parametrize("form", [locked, mapped])
def test_kernels_take_read_only_arrays(kind, form, tmp_path):
    rows, kernel = form(X, tmp_path / "rows.npy"), kind(DENSE)
    same(kernel, rows, X)
    same(lambda columns: kernel(X, columns), rows, X.copy())


@uses
def test_masked_cells_are_refused(use):
    with pytest.raises(ValueError, match="masked"):
        use(np.ma.masked_array(X, mask=X > 1.0))


@estimators
@pytest.mark.parametrize("name", ["y", "sample_weight"])
def test_masked_targets_and_weights_are_refused(kind, name):
    given = {"y": targets(kind), "sample_weight": np.ones(20)}
    given[name] = np.ma.masked_array(given[name], mask=np.arange(20) == 3)
    with pytest.raises(ValueError, match=f"{name} has masked entries"):
        kind(DENSE).fit(X, **given)


TENSORS = {
    "tensor": torch.tensor,
    "with gradient": lambda rows: torch.tensor(rows, requires_grad=True),
    "lazily negated": lambda rows: torch.tensor(-rows)._neg_view(),
}


@uses
@pytest.mark.parametrize("name", TENSORS)
def test_tensors_are_arrays(use, name):
    same(use, TENSORS[name](X), X)


@uses
@pytest.mark.parametrize("name", ["meta", "sparse"])
def test_tensors_without_numbers_are_refused(use, name):
    bad = torch.empty(20, 12, device="meta") if name == "meta" else torch.tensor(X).to_sparse()
    with pytest.raises(TypeError, match=f"{name} tensor"):
        use(bad)


@estimators
@pytest.mark.parametrize("gradient", [False, True])
def test_tensors_of_targets_and_weights_are_arrays(kind, gradient):
    y, weight = targets(kind), np.linspace(1.0, 2.0, 20)
    expected = outputs(kind(DENSE).fit(X, y, weight), Z)
    floats = torch.tensor(weight, requires_grad=gradient)
    labels = torch.tensor(y.astype(float), requires_grad=gradient)
    np.testing.assert_array_equal(outputs(kind(DENSE).fit(X, labels, floats), Z), expected)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", USES)
def test_tensors_on_a_cuda_device_are_arrays(name):
    same(USES[name], torch.tensor(X, device="cuda"), X)
