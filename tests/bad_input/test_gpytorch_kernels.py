"""The GPyTorch kernels in models of any size, with foreign states and odd batches."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

import gpytorch
import pytest
import torch
from bad_input_cases import DENSE, dense_matrix, torch_kernels
from bad_input_models import exact_model, posterior_error
from linear_operator.utils.warnings import NumericalWarning

from ntk_sklearn.networks import FullyConnected


@torch_kernels
@pytest.mark.parametrize("n", [799, 801, pytest.param(1500, marks=pytest.mark.slow)])
def test_exact_posteriors_of_many_rows_with_the_documented_setting(kind, n):
    assert posterior_error(kind, n) < 1e-6


@torch_kernels
def test_predictions_by_conjugate_gradients_are_warned_of(kind):
    model, z = exact_model(kind, 60)
    warned = pytest.warns(NumericalWarning, match=r"max_cholesky_size\(60\)")
    with gpytorch.settings.max_cholesky_size(50), warned:
        model(z)


@pytest.mark.slow
@pytest.mark.skipif(not importlib.util.find_spec("botorch"), reason="BoTorch is not installed")
@torch_kernels
@pytest.mark.parametrize("n", [801, 1500])
def test_exact_posteriors_after_botorch_changed_the_settings(kind, n):
    code = (
        "import botorch, ntk_sklearn.kernels; from bad_input_models import posterior_error; "
        f"assert posterior_error(ntk_sklearn.kernels.{kind.__name__}, {n}) < 1e-6"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)


OTHERS = [FullyConnected(2), FullyConnected(1, activation="erf"), FullyConnected(1, b_std=0.0)]


@torch_kernels
@pytest.mark.parametrize("network", OTHERS, ids=str)
@pytest.mark.parametrize("strict", [True, False])
def test_state_of_another_network_is_refused(kind, network, strict):
    with pytest.raises(RuntimeError, match="belongs to another network"):
        kind(DENSE).load_state_dict(kind(network).state_dict(), strict=strict)


def rows(*shape):
    generator = torch.Generator().manual_seed(len(shape))
    return torch.randn(*shape, 4, generator=generator)


BATCHES = {
    "batch": (rows(3, 5), rows(3, 2), (3, 5, 2)),
    "two axes": (rows(3, 1, 5), rows(2, 2), (3, 2, 5, 2)),
    "expanded": (rows(5).expand(6, 5, 4), rows(6, 2), (6, 5, 2)),
    "empty batch": (rows(0, 5), rows(0, 2), (0, 5, 2)),
    "no rows": (rows(0), rows(2), (0, 2)),
    "no rows in a batch": (rows(3, 0), rows(3, 2), (3, 0, 2)),
    "no columns": (rows(5), rows(0), (5, 0)),
}


@torch_kernels
@pytest.mark.parametrize("case", BATCHES)
@pytest.mark.parametrize("gradient", [True, False])
@pytest.mark.parametrize("batch_shape", [(), (3, 1)], ids=["kernel", "batch of kernels"])
def test_shapes_of_batches(kind, case, gradient, batch_shape):
    x, z, shape = BATCHES[case]
    kernel = kind(DENSE, batch_shape=torch.Size(batch_shape))
    full = torch.broadcast_shapes(shape[:-2], batch_shape)
    with torch.set_grad_enabled(gradient):
        assert dense_matrix(kernel, x, z).shape == (*full, *shape[-2:])
        n = x.shape[-2]
        own = torch.broadcast_shapes(x.shape[:-2], batch_shape)
        assert dense_matrix(kernel, x).shape == (*own, n, n)
        assert kernel(x, diag=True).shape == (*own, n)
