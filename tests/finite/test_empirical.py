"""Empirical kernels against explicit Jacobians and definitions, and what they hold in memory."""

from __future__ import annotations

import pytest
import torch
from finite_cases import CASES, jacobian_ntk, rows
from torch.utils._python_dispatch import TorchDispatchMode

from ntk_sklearn.architecture import AvgPool, Conv, Dense, GlobalAvgPool, Serial
from ntk_sklearn.finite import (
    FiniteNetwork,
    contract,
    empirical_nngp,
    empirical_ntk,
    signals,
    to_module,
    uses,
)

WIDTH = 6


def network(name: str, width: int = WIDTH, n_outputs: int = 1) -> FiniteNetwork:
    tree, shape = CASES[name]
    return to_module(tree, shape, width, n_outputs, random_state=0)


def close(found: torch.Tensor, want: torch.Tensor) -> bool:
    return bool((found - want).abs().max() <= 1e-12 * want.abs().max())


@pytest.mark.parametrize("width", [1, WIDTH])
@pytest.mark.parametrize("name", CASES)
def test_ntk_is_the_product_of_jacobians(name: str, width: int) -> None:
    module, x, z = network(name, width), rows(name, 4), rows(name, 3, seed=1)
    assert close(empirical_ntk(module, x, z), jacobian_ntk(module, x, z))


def test_ntk_is_the_mean_over_outputs() -> None:
    module, x = network("residual_images", n_outputs=3), rows("residual_images", 4)
    assert close(empirical_ntk(module, x, x), jacobian_ntk(module, x, x))


@pytest.mark.parametrize("by_positions", [True, False])
@pytest.mark.parametrize("name", [n for n, (tree, shape) in CASES.items() if len(shape) > 1])
def test_both_contractions_of_convolutions_agree(
    name: str, by_positions: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, x, z = network(name), rows(name, 4), rows(name, 3, seed=1)
    monkeypatch.setattr(contract, "by_positions", lambda layer, channels: by_positions)
    monkeypatch.setattr(contract, "GRADIENT_BLOCK", 20)
    monkeypatch.setattr(uses, "PAIR_BLOCK", 500)
    assert close(empirical_ntk(module, x, z), jacobian_ntk(module, x, z))
    gram = empirical_ntk(module, x)
    assert close(gram.diagonal(), jacobian_ntk(module, x, x).diagonal())


def test_narrow_images_are_contracted_by_positions() -> None:
    narrow, wide = (
        to_module(Conv(3), (32, *size), WIDTH, n_outputs=32).body for size in ((2, 2), (9, 9))
    )
    assert contract.by_positions(narrow, 32)
    assert not contract.by_positions(wide, 32)


READOUTS = {
    "linear": ["body"],
    "dense": ["body.parts.4"],
    "multipliers": ["body.parts.4"],
    "average": ["body.parts.6"],
    "flatten": ["body.parts.3"],
    "conv_then_average": ["body.parts.2"],
    "conv_then_sum": ["body.parts.2"],
    "conv_then_flatten": ["body.parts.2"],
    "strided": ["body.parts.4"],
    "local_then_average": ["body.parts.2"],
    "local_then_flatten": ["body.parts.2"],
    "two_readouts": ["body.parts.2.parts.0", "body.parts.2.parts.1.parts.2"],
}


@pytest.mark.parametrize("name", READOUTS)
def test_nngp_is_the_covariance_over_the_readouts(name: str) -> None:
    """The output is linear in their independent N(0, spread^2) parameters."""
    module, x, z = network(name), rows(name, 4), rows(name, 3, seed=1)
    for parameter in module.parameters():
        parameter.requires_grad_(False)
    for part in map(module.get_submodule, READOUTS[name]):
        with torch.no_grad():  # unit variance
            part.weight_scale, part.bias_scale = (
                part.weight_scale * part.weight_spread, part.bias_scale * part.bias_spread,
            )  # fmt: skip
        for parameter in part.parameters(recurse=False):
            parameter.requires_grad_()
    assert close(empirical_nngp(module, x, z), jacobian_ntk(module, x, z))


def test_nngp_of_a_dense_readout() -> None:
    module, x = network("dense"), rows("dense", 4)
    hidden = x
    for part in module.body.parts[:-1]:
        hidden = part(hidden)
    assert close(empirical_nngp(module, x), 0.81 / WIDTH * hidden @ hidden.T + 0.04)


def test_nngp_where_a_hidden_layer_reaches_the_output() -> None:
    module, x = network("residual_end"), rows("residual_end", 4)
    first = module.body.parts[:2]
    h = first[1](first[0](x))
    last = torch.erf(module.body.parts[2](h))
    want = 1.44 / WIDTH * h @ h.T + 0.09 + 0.81 / WIDTH * last @ last.T + 0.04
    assert close(empirical_nngp(module, x), want)


@pytest.mark.parametrize("kernel", [empirical_nngp, empirical_ntk])
@pytest.mark.parametrize("name", ["dense", "average", "residual_images", "conv_then_flatten"])
def test_grams_are_symmetric_blocks_of_the_whole(name: str, kernel: object) -> None:
    module, x = network(name), rows(name, 5)
    gram = kernel(module, x)  # type: ignore[operator]
    assert torch.equal(gram, gram.T)
    assert close(gram, kernel(module, x, x.clone()))  # type: ignore[operator]
    assert close(gram[1:3, 2:], kernel(module, x[1:3], x[2:]))  # type: ignore[operator]


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_kernels_work_in_every_gradient_mode(mode: type[torch.no_grad]) -> None:
    tree, shape = CASES["residual_images"]
    with mode():
        x = rows("residual_images", 3)
        module = to_module(tree, shape, WIDTH, random_state=0)
        found = empirical_ntk(module, x)
    assert close(found.clone(), jacobian_ntk(module, x.clone(), x.clone()))
    assert not found.requires_grad


def test_rows_go_through_the_network_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    module, x = network("average"), rows("average", 5)
    whole = empirical_ntk(module, x)
    monkeypatch.setattr(signals, "GRAPH_BYTES", 2 * signals.graph_bytes_per_row(module, 8))
    assert close(empirical_ntk(module, x), whole)


class _Largest(TorchDispatchMode):
    """The largest number of entries of any tensor that an operation returns."""

    numel = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        found = func(*args, **(kwargs or {}))
        for value in found if isinstance(found, (tuple, list)) else (found,):
            if isinstance(value, torch.Tensor):
                self.numel = max(self.numel, value.untyped_storage().nbytes() // value.itemsize)
        return found


def test_no_array_holds_the_gradients_of_all_rows() -> None:
    tree = Serial(Conv(3), CASES["average"][0].layers[1], Conv(3), AvgPool(2), Conv(3),
                  GlobalAvgPool(), Dense())  # fmt: skip
    n, module = 20, to_module(tree, (2, 4, 4), 64, random_state=0)
    x = torch.randn(n, 2, 4, 4, dtype=torch.float64)
    with _Largest() as largest:
        empirical_ntk(module, x)
    n_parameters = sum(p.numel() for p in module.parameters())
    assert largest.numel <= n * contract.GRADIENT_BLOCK < n * n_parameters / 4
