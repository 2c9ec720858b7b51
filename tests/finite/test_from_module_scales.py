"""Where scales come from: torch's own initialization, values, or the caller."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from ntk_sklearn.networks import from_module

DEFAULT = 3**-0.5


def affine(into: int = 40, out: int = 30, bias: bool = True) -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(into, out, bias)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (50, 1), (300, 200)])
def test_torchs_draws_are_known_for_what_they_are(shape: tuple[int, int], dtype) -> None:
    for seed in range(20):
        torch.manual_seed(seed)
        found = from_module(nn.Linear(*shape, dtype=dtype))
        assert (found.w_std, found.b_std) == pytest.approx((DEFAULT, DEFAULT / math.sqrt(shape[0])))


def test_convolutions_count_their_filter() -> None:
    found = from_module(nn.Conv2d(4, 3, (3, 2)))
    assert (found.w_std, found.b_std) == pytest.approx((DEFAULT, 1 / math.sqrt(3 * 24)))
    assert found.lr_multiplier * found.w_std**2 == pytest.approx(24)


def zero_bias(module: nn.Linear) -> None:
    nn.init.zeros_(module.bias)


def constant_bias(module: nn.Linear) -> None:
    nn.init.constant_(module.bias, 0.01)


OTHER = {
    "kaiming normal": lambda m: nn.init.kaiming_normal_(m.weight),
    "kaiming uniform": lambda m: nn.init.kaiming_uniform_(m.weight, nonlinearity="relu"),
    "xavier": lambda m: nn.init.xavier_uniform_(m.weight, gain=1.5),
    "orthogonal": lambda m: nn.init.orthogonal_(m.weight),
    "small": lambda m: nn.init.normal_(m.weight, std=0.02),
    "same variance, normal": lambda m: nn.init.normal_(m.weight, std=DEFAULT / math.sqrt(40)),
    "constant": lambda m: nn.init.constant_(m.weight, DEFAULT / math.sqrt(40)),
    "positive": lambda m: m.weight.data.abs_(),
    "zero": lambda m: nn.init.zeros_(m.weight),
    "zero bias": zero_bias,
    "constant bias": constant_bias,
}


@pytest.mark.parametrize("name", OTHER)
def test_other_initializations_are_told_apart(name: str) -> None:
    module = nn.Sequential(affine(), nn.ReLU(), affine(30, 1))
    OTHER[name](module[0])
    with pytest.raises(
        ValueError, match=r"^0: the (weights|biases) are no draw from torch.*measured"
    ):
        from_module(module)


def test_initializations_of_a_subclass() -> None:
    class Own(nn.Linear):
        def reset_parameters(self) -> None:
            nn.init.normal_(self.weight)
            nn.init.zeros_(self.bias)

    with pytest.raises(ValueError, match=r'^the module: .*of their own; pass scales="measured"'):
        from_module(Own(30, 20))
    found = from_module(Own(30, 20), scales="measured")
    assert found.w_std == pytest.approx(math.sqrt(30), rel=5 / math.sqrt(2 * 600))
    assert (found.b_std, found.bias_ntk) == (0.0, 1.0)


def test_measured_scales_are_root_mean_squares() -> None:
    module = affine()
    nn.init.normal_(module.weight, std=0.3)
    nn.init.normal_(module.bias, std=0.7)
    found = from_module(module, scales="measured")
    w, b = (p.detach().double().square().mean().sqrt().item() for p in module.parameters())
    assert (found.w_std, found.b_std) == pytest.approx((w * math.sqrt(40), b), rel=1e-12)
    assert found.w_std == pytest.approx(0.3 * math.sqrt(40), rel=5 / math.sqrt(2 * 1200))


@pytest.mark.parametrize("name", ["constant", "positive", "constant bias"])
def test_nothing_is_measured_on_values_that_are_not_centred(name: str) -> None:
    module = affine()
    OTHER[name](module)
    with pytest.raises(ValueError, match="no draw from a centred distribution"):
        from_module(module, scales="measured")


def test_names_go_before_patterns_and_these_in_order() -> None:
    module = nn.Sequential(
        affine(), nn.ReLU(), affine(30, 30), nn.ReLU(), affine(30, 1, bias=False)
    )
    scales = {"*.weight": 1.5, "2.weight": 1.2, "0.*": 0.1, "2.bias": 0.3}
    found = from_module(module, scales=scales).layers
    assert [layer.w_std for layer in found[::2]] == [1.5, 1.2, 1.5]
    assert [layer.b_std for layer in found[::2]] == [0.1, 0.3, 0.0]


def test_trained_weights_that_start_at_zero() -> None:
    module = nn.Sequential(affine(), nn.ReLU(), affine(30, 1, bias=False))
    nn.init.zeros_(module[2].weight)
    with pytest.raises(ValueError, match=r"^2: weights that start at zero"):
        from_module(module, scales={"2.weight": 0.0})
    assert from_module(module, scales={"2.weight": 0.0}, parametrization="ntk").layers[2].w_std == 0
    module[2].weight.requires_grad_(False)
    assert from_module(module, scales={"2.weight": 0.0}).layers[2].lr_multiplier == 0


def test_nothing_is_measured_where_there_are_no_values() -> None:
    with torch.device("meta"):
        module = nn.Linear(3, 4)
    with pytest.raises(ValueError, match="meta device"):
        from_module(module, scales="measured")


def test_values_that_are_not_finite() -> None:
    module = affine()
    module.weight.data[0, 0] = math.nan
    with pytest.raises(ValueError, match=r"^the module: the weights are not finite"):
        from_module(module)
