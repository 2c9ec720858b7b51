"""What from_module reads: the tree's finite network computes what the module computes."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, fields

import pytest
import torch
from finite_cases import jacobian_ntk
from torch import nn
from torch.nn import functional as F
from torch_modules import CASES, WIDTH, Calls

from ntk_sklearn import NTKRegressor
from ntk_sklearn.duals import ELU, ABReLU, LeakyReLU, Softplus, base
from ntk_sklearn.finite import to_module
from ntk_sklearn.finite.network import affine_layers
from ntk_sklearn.networks import (
    Activation,
    AvgPool,
    Concat,
    Conv,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool,
    Layer,
    LayerNorm,
    NetworkError,
    Product,
    Serial,
    ShapeError,
    Sum,
    from_module,
)


def frozen_scale(norm: nn.Module) -> nn.Module:
    norm.weight.requires_grad_(False)
    return norm


def has_biases(module: nn.Module) -> bool:
    return any(name.endswith("bias") for name, _ in module.named_parameters())


def transplanted(module: nn.Module, tree: Layer, shape: tuple[int, ...]) -> nn.Module:
    """The tree's network with the module's parameters: in this parametrization they are the same.

    Layers are matched in the order of the tree, which is that of the modules in all cases.
    """
    n_outputs = [p for p in module.parameters() if p.ndim > 1][-1].shape[0]
    network = to_module(tree, shape, WIDTH, n_outputs)
    sources = [m for m in module.modules() if isinstance(getattr(m, "weight", None), nn.Parameter)]
    for target, source in zip(affine_layers(network), sources, strict=True):
        with torch.no_grad():
            target.weight.copy_(source.weight.reshape_as(target.weight))
            if source.bias is not None:
                target.bias.copy_(source.bias)
    return network


@pytest.mark.parametrize("name", CASES)
def test_the_tree_with_the_modules_parameters_is_the_module(name: str) -> None:
    torch.manual_seed(0)
    make, shape = CASES[name]
    module = make().double()
    tree = from_module(module, shape)
    network = transplanted(module, tree, shape)
    x = torch.randn(3, *shape, dtype=torch.float64)
    with warnings.catch_warnings():  # torch pads even filters by a copy, and says so
        warnings.simplefilter("ignore", UserWarning)
        torch.testing.assert_close(network(x), module(x), rtol=1e-12, atol=1e-14)
        ntk = jacobian_ntk(module, x, x)
    found = jacobian_ntk(network, x, x)
    torch.testing.assert_close(found, ntk, rtol=1e-11, atol=1e-12)


RELU = Activation("relu")
DEFAULT = 3**-0.5  # w_std of torch's own initialization


def test_default_scales_and_the_standard_parametrization() -> None:
    module = nn.Sequential(nn.Linear(12, 27), nn.ReLU(), nn.Linear(27, 3, bias=False))
    first = Dense(DEFAULT, 1 / 6, lr_multiplier=12 / DEFAULT**2, bias_ntk=1.0)
    assert close(from_module(module), Serial(first, RELU, Dense(DEFAULT, lr_multiplier=81.0)))
    ntk = from_module(module, parametrization="ntk")
    assert close(ntk, Serial(Dense(DEFAULT, 1 / 6), RELU, Dense(DEFAULT)))


def test_frozen_parameters_contribute_nothing() -> None:
    module = nn.Sequential(
        nn.Linear(12, 27), nn.ReLU(), nn.Linear(27, 3), nn.ReLU(), nn.Linear(3, 3)
    )
    module[0].weight.requires_grad_(False)
    module[2].bias.requires_grad_(False)
    module[4].requires_grad_(False)
    standard = from_module(module)
    rates = [(layer.lr_multiplier, layer.bias_ntk) for layer in standard.layers[::2]]
    assert rates == [(0.0, 1.0), (pytest.approx(81.0), 0.0), (0.0, None)]
    ntk = from_module(module, parametrization="ntk")
    rates = [(layer.lr_multiplier, layer.bias_ntk) for layer in ntk.layers[::2]]
    assert rates == [(0.0, pytest.approx(1 / 36)), (1.0, 0.0), (0.0, None)]


def close(a: Layer, b: Layer) -> bool:
    """Whether two trees differ by rounding at most."""
    if type(a) is not type(b):
        return False
    for f in fields(a):
        x, y = getattr(a, f.name), getattr(b, f.name)
        if isinstance(x, tuple) and x and isinstance(x[0], Layer):
            same = len(x) == len(y) and all(map(close, x, y))
        elif isinstance(x, float) or (isinstance(x, tuple) and x and isinstance(x[0], float)):
            same = x == pytest.approx(y, rel=1e-12)
        else:
            same = x == y
        if not same:
            return False
    return True


# (module, shape or None): the tree, in the NTK parametrization and with w_std = 1 throughout
READ = {
    "flattened series": (
        nn.Sequential(nn.Sequential(nn.Linear(4, 4)), nn.Identity(),
                      nn.Sequential(nn.Linear(4, 4))),
        None, Serial(Dense(), Dense()),
    ),
    "alone": (nn.Linear(4, 2), None, Dense()),
    "activation of a default": (
        nn.Sequential(nn.Linear(4, 4), nn.LeakyReLU(), nn.Linear(4, 1)), None,
        Serial(Dense(), Activation(LeakyReLU(0.01)), Dense()),
    ),
    "convolution": (
        nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.Conv2d(4, 4, (3, 1), padding="same"),
                      nn.Flatten()),
        None, Serial(Conv(3, strides=2, padding=(1, 1)), Conv((3, 1)), Flatten()),
    ),
    "head": (
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten(),
                      nn.Linear(4, 1)),
        None, Serial(Conv(3, padding="valid"), GlobalAvgPool(), Dense()),
    ),
    "nothing behind pooling": (
        nn.Sequential(nn.Conv2d(3, 4, 1), nn.AdaptiveAvgPool2d(1), nn.AdaptiveAvgPool2d(None),
                      nn.AdaptiveAvgPool2d((1, None)), nn.Flatten(), nn.Linear(4, 1)),
        None, Serial(Conv(1, padding="valid"), GlobalAvgPool(), Dense()),
    ),
    "mean of the input": (
        Calls(lambda net, x: net.a(x.mean(2)), a=nn.Linear(3, 1)), (3, 5),
        Serial(GlobalAvgPool(), Dense()),
    ),
    "batch by keyword": (
        Calls(lambda net, x: net.b(net.a(x).view(x.size(dim=0), -1)), a=nn.Conv1d(3, 4, 1),
              b=nn.Linear(8, 1)),
        (3, 2), Serial(Conv(1, padding="valid"), Flatten(), Dense()),
    ),
    "softplus": (
        nn.Sequential(nn.Linear(4, 4), nn.Softplus(threshold=30), nn.Linear(4, 1)), None,
        Serial(Dense(), Activation("softplus"), Dense()),
    ),
    "borders left out": (
        nn.Sequential(
            nn.Conv2d(3, 4, 1), nn.AvgPool2d(3, 2, 1, count_include_pad=False), nn.Flatten()
        ),
        None,
        Serial(Conv(1, padding="valid"), AvgPool(3, 2, (1, 1), normalize_edges=True), Flatten()),
    ),
    "adaptive": (
        nn.Sequential(nn.Conv2d(3, 4, 1), nn.AdaptiveAvgPool2d((4, 2)), nn.Flatten()), (3, 8, 6),
        Serial(Conv(1, padding="valid"), AvgPool((2, 3)), Flatten()),
    ),
    "nothing to pool": (
        nn.Sequential(nn.Conv2d(3, 4, 1), nn.AdaptiveAvgPool2d((8, 6)), nn.Flatten()), (3, 8, 6),
        Serial(Conv(1, padding="valid"), Flatten()),
    ),
    "dropout": (
        nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Dropout(0.3), nn.Dropout(0.0),
                      nn.Linear(4, 1)),
        None, Serial(Dense(), RELU, Dropout(0.3), Dense()),
    ),
    "layer norm": (
        nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4, elementwise_affine=False), nn.Linear(4, 1)),
        None, Serial(Dense(), LayerNorm(eps=1e-5), Dense()),
    ),
    "rms norm": (
        nn.Sequential(nn.Linear(4, 4), nn.RMSNorm(4, 1e-6, elementwise_affine=False),
                      nn.Linear(4, 1)),
        None, Serial(Dense(), LayerNorm(eps=1e-6), Dense()),
    ),
    "group norm": (
        nn.Sequential(nn.Conv1d(2, 4, 1), nn.GroupNorm(2, 4, affine=False), nn.Flatten(),
                      nn.Linear(8, 1)),
        (2, 2), Serial(Conv(1, padding="valid"), LayerNorm("all", 1e-5), Flatten(), Dense()),
    ),
    "learned scales": (
        nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4), nn.Linear(4, 1)), None,
        Serial(Dense(), LayerNorm(eps=1e-5), Dense(bias_ntk=1.0), Dense()),
    ),
    "learned scales before relu": (
        nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4), nn.ReLU(), nn.Linear(4, 1)), None,
        Serial(Dense(), LayerNorm(eps=1e-5), Dense(lr_multiplier=0.0, bias_ntk=1.0), RELU,
               Dense(bias_ntk=0.0), Dense()),
    ),
    "learned shifts of images": (
        nn.Sequential(nn.Conv1d(2, 4, 1), frozen_scale(nn.GroupNorm(1, 4)), nn.ReLU(), nn.Flatten(),
                      nn.Linear(8, 1)),
        (2, 2),
        Serial(Conv(1, padding="valid"), LayerNorm("all", 1e-5),
               Conv(1, lr_multiplier=0.0, bias_ntk=1.0), RELU, Flatten(), Dense()),
    ),
    "sum of three": (
        Calls(lambda net, x: net.a(x) - net.b(x) + net.c(x), a=nn.Linear(4, 2), b=nn.Linear(4, 2),
              c=nn.Linear(4, 2)),
        None, Sum(Dense(), Dense(), Dense()),
    ),
    "concatenation": (
        Calls(lambda net, x: net.c(torch.cat((net.a(x), net.b(x)), dim=1)), a=nn.Linear(4, 2),
              b=nn.Linear(4, 6), c=nn.Linear(8, 2)),
        None, Serial(Concat(Dense(), Dense(), shares=(1, 3)), Dense()),
    ),
    "gate": (
        Calls(lambda net, x: net.c(net.a(x) * torch.erf(net.b(x))), a=nn.Linear(4, 6),
              b=nn.Linear(4, 6), c=nn.Linear(6, 2)),
        None, Serial(Product(Dense(), Serial(Dense(), Activation("erf"))), Dense()),
    ),
    "factor": (
        Calls(lambda net, x: net.b(0.5 * F.relu(net.a(x))) / 2, a=nn.Linear(4, 6),
              b=nn.Linear(6, 1)),
        None, Serial(Dense(0.5), RELU, Dense(0.5)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", READ)
def test_a_module_is_read_as(name: str) -> None:
    module, shape, tree = READ[name]
    scales = {"*weight": 1.0, "*bias": 0.0} if has_biases(module) else {"*weight": 1.0}
    assert close(from_module(module, shape, parametrization="ntk", scales=scales), tree)


def test_sizes_are_checked_where_they_are_known() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 1))
    assert from_module(module, (3, 4, 4)) == from_module(module)
    with pytest.raises(NetworkError, match=r"^3: it reads 16 features, but its input has 36"):
        from_module(module, (3, 5, 5))
    with pytest.raises(NetworkError, match=r"^0: it reads 3 channels, but its input has 1"):
        from_module(module, (1, 4, 4))
    with pytest.raises(ShapeError, match=r"^0: Conv.*a window reaching over 3 positions"):
        from_module(module, (3, 2, 4))


def test_the_module_is_left_as_it_is() -> None:
    module = CASES["residual"].make()
    before = {k: v.clone() for k, v in module.state_dict().items()}
    hash(from_module(module))
    assert module.training
    assert all(torch.equal(v, before[k]) for k, v in module.state_dict().items())
    assert [k for k, _ in module.named_modules()] == [
        k for k, _ in CASES["residual"].make().named_modules()
    ]


def test_growing_lists_of_features_are_nested() -> None:
    def forward(net: nn.Module, x: torch.Tensor) -> torch.Tensor:
        features = [net.stem(x)]
        for k in range(20):
            layer = getattr(net, f"layer{k}")
            features.append(layer(torch.cat(features, 1)).relu())
        return net.head(torch.cat(features, 1))

    layers = {f"layer{k}": nn.Linear(4 + 2 * k, 2) for k in range(20)}
    module = Calls(forward, stem=nn.Linear(3, 4), **layers, head=nn.Linear(44, 1))
    tree = from_module(module)
    assert len(tree.layers) == 22
    assert [len(layer.branches) for layer in tree.layers[1:-1]] == [2] * 20
    assert tree.layers[3].shares == pytest.approx((8 / 10, 2 / 10))


def test_estimators_take_the_tree() -> None:
    module = nn.Sequential(nn.Linear(3, 50), nn.ReLU(), nn.Linear(50, 1))
    x = torch.randn(20, 3, dtype=torch.float64).numpy()
    found = (
        NTKRegressor(from_module(module), alpha=1e-9, backend="reference")
        .fit(x, x[:, 0])
        .predict(x)
    )
    assert abs(found - x[:, 0]).max() < 1e-4


def test_a_module_on_the_meta_device_is_taken_as_initialized() -> None:
    with torch.device("meta"):
        module = nn.Sequential(nn.Linear(4, 10**6), nn.LayerNorm(10**6), nn.Linear(10**6, 1))
    assert from_module(module).layers[3].w_std == pytest.approx(DEFAULT)


@dataclass(frozen=True)
class Bent(ABReLU):
    """Stands for an ELU in a registry of names."""

    alpha: float = 1.0


def test_activations_are_found_by_name_and_keep_torchs_parameters(monkeypatch) -> None:
    monkeypatch.setattr(base, "_registry", {**base._registry, "elu": Bent})
    module = nn.Sequential(nn.Linear(3, 3), nn.ELU(), nn.Linear(3, 3), nn.ELU(0.5), nn.Linear(3, 1))
    found = [layer.function for layer in from_module(module).layers[1::2]]
    assert found == ["elu", Bent(alpha=0.5)]
    monkeypatch.setitem(base._registry, "elu", ABReLU)
    with pytest.raises(NetworkError, match=r"^3: the activation elu .*default parameters alone"):
        from_module(module)


def test_parameters_of_activations_are_read():
    module = nn.Sequential(nn.Linear(3, 8), nn.Softplus(2), nn.Linear(8, 8), nn.ELU(0.5))
    found = from_module(nn.Sequential(*module, nn.Linear(8, 1))).layers
    assert [found[k].function for k in (1, 3)] == [Softplus(2.0), ELU(0.5)]
