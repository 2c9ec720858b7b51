"""What from_module refuses: the path of the submodule, the reason, the nearest alternative."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations, spectral_norm
from torch_modules import Calls

from ntk_sklearn.finite import to_module
from ntk_sklearn.networks import Activation, Dense, NetworkError, Serial, from_module


def images(part: nn.Module, channels: int = 4) -> nn.Module:
    """The part in the middle of a network of images, called body.1."""
    body = nn.Sequential(nn.Conv2d(3, channels, 3), part, nn.Conv2d(channels, 4, 1))
    return Named(body=body, head=nn.Sequential(nn.Flatten(), nn.Linear(16, 1)))


def rows(part: nn.Module) -> nn.Module:
    """The part in the middle of a network of rows, called body.1."""
    return Named(body=nn.Sequential(nn.Linear(4, 4), part), head=nn.Linear(4, 1))


class Named(nn.Module):
    def __init__(self, **parts: nn.Module) -> None:
        super().__init__()
        self.parts = parts
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, x: Tensor) -> Tensor:
        for part in self.parts.values():
            x = part(x)
        return x


class OwnForward(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + 1


def trained_norm() -> nn.Module:
    norm = nn.LayerNorm(4)
    nn.init.constant_(norm.weight, 1.1)
    return norm


SHAPE = (3, 4, 4)

# name: (module, shape of one input or None, what is said)
NO_LIMIT = {
    "max pooling": (images(nn.MaxPool2d(2)), SHAPE, r"^body\.1: MaxPool2d: .*nn\.AvgPool2d"),
    "adaptive max": (images(nn.AdaptiveMaxPool2d(1)), None, r"^body\.1: .*average pooling"),
    "batch norm": (
        images(nn.BatchNorm2d(4)), SHAPE, r"^body\.1: BatchNorm2d: .*rows of a batch.*GroupNorm",
    ),
    "batch norm of rows": (rows(nn.BatchNorm1d(4)), None, r"^body\.1: .*rows of a batch"),
    "instance norm": (images(nn.InstanceNorm2d(4)), None, r"^body\.1: .*nn\.GroupNorm\(1"),
    "groups of one": (images(nn.GroupNorm(4, 4)), None, r"^body\.1: .*nn\.GroupNorm\(1"),
    "lstm": (rows(nn.LSTM(4, 4)), None, r"^body\.1: LSTM: .*same weights at every step.*Conv1d"),
    "gru": (rows(nn.GRU(4, 4)), None, r"^body\.1: GRU: "),
    "embedding": (
        Named(table=nn.Embedding(5, 4), head=nn.Linear(4, 1)), None, r"^table: .*one-hot",
    ),
    "attention": (rows(nn.TransformerEncoderLayer(4, 2, 4)), None, r"^body\.1: .*SelfAttention"),
    "softmax": (rows(nn.Softmax(1)), None, r"^body\.1: Softmax: .*leave it out"),
    "log softmax": (rows(nn.LogSoftmax(1)), None, r"^body\.1: .*leave it out"),
    "pixel shuffle": (images(nn.PixelShuffle(2)), None, r"^body\.1: PixelShuffle: "),
    "upsampling": (images(nn.Upsample(scale_factor=2)), None, r"^body\.1: .*strides"),
    "transposed": (images(nn.ConvTranspose2d(4, 4, 2)), None, r"^body\.1: .*as a tree"),
    "groups": (images(nn.Conv2d(4, 4, 1, groups=2)), None, r"^body\.1: .*groups=1"),
    "depthwise": (
        images(nn.Conv2d(4, 4, 1, groups=4)), None, r"^body\.1: .*not Gaussian.*groups=1",
    ),
    "reflected": (
        images(nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect")), None,
        r"^body\.1: padding_mode='reflect'.*'circular'",
    ),
    "circular": (
        images(nn.Conv2d(4, 4, 3, padding=2, padding_mode="circular")), None,
        r"^body\.1: circular padding by 2 .*padding='same'",
    ),
    "circular strides": (
        images(nn.Conv2d(4, 4, 3, 2, 1, padding_mode="circular")), None,
        r"^body\.1: .*pass input_shape",
    ),
    "circular strides of even sizes": (
        images(nn.Conv2d(4, 4, 3, 2, 1, padding_mode="circular")), (3, 6, 6),
        r"^body\.1: circular padding by 1",
    ),
    "padding": (images(nn.ZeroPad2d(1)), None, r"^body\.1: .*pass padding="),
    "divisor": (images(nn.AvgPool2d(2, divisor_override=3)), None, r"^body\.1: divisor_override"),
    "ceil without sizes": (images(nn.AvgPool2d(2, ceil_mode=True)), None, r"pass input_shape"),
    "ceil": (images(nn.AvgPool2d(2, ceil_mode=True)), (3, 5, 5), r"^body\.1: ceil_mode=True"),
    "uneven windows": (images(nn.AdaptiveAvgPool2d(2)), (3, 5, 5), r"^body\.1: .*different sizes"),
    "adaptive without sizes": (images(nn.AdaptiveAvgPool2d(2)), None, r"^body\.1: .*input_shape"),
    "channel dropout": (images(nn.Dropout2d(0.2)), None, r"^body\.1: .*nn\.Dropout"),
    "gelu by tanh": (
        rows(nn.GELU("tanh")), None, r"^body\.1: .*no registered name.*nn\.GELU\(\).*Elementwise",
    ),
    "early softplus": (rows(nn.Softplus(1, 0.1)), None, r"^body\.1: threshold=0\.1 .*default, 20"),
    "open hardtanh": (
        rows(nn.Hardtanh(0, torch.inf)), None, r"^body\.1: its max_val must be finite.*nn\.ReLU",
    ),
    "norm of other channels": (
        images(nn.GroupNorm(1, 8)), None, r"^body\.1: it reads 8 channels, but its input has 4",
    ),
    "adaptive behind pooling": (
        images(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.AdaptiveAvgPool2d((None, 2)))), None,
        r"^body\.1\.1: average pooling on the single position",
    ),
    "learned slope": (rows(nn.PReLU()), None, r"^body\.1: PReLU: .*LeakyReLU"),
    "no such module": (rows(nn.Hardshrink()), None, r"^body\.1: there is no rule for Hardshrink"),
    "no such activation": (rows(nn.Tanhshrink()), None, r"^body\.1: .*tanhshrink has no rule here"),
    "norm of rows of pixels": (
        images(nn.LayerNorm(2, elementwise_affine=False)), None, r"^body\.1: .*nn\.GroupNorm\(1",
    ),
    "scales of positions": (
        images(nn.LayerNorm((4, 2, 2))), SHAPE, r"^body\.1: .*per position.*GroupNorm",
    ),
    "trained scales": (rows(trained_norm()), None, r"^body\.1: its weight is not 1"),
    "scales before an activation": (
        rows(nn.Sequential(nn.LayerNorm(4), nn.Identity(), nn.GELU())), None,
        r"^body\.1\.0: an activation \(body\.1\.2\) reads its learned scales.*requires_grad_",
    ),
    "linear on images": (images(nn.Linear(2, 2)), SHAPE, r"^body\.1: .*nn\.Flatten"),
    "two activations": (
        rows(nn.Sequential(nn.ReLU(), nn.ReLU())), None,
        r"^body\.1\.1, as layers\.2: Activation\('relu'\) needs Gaussian input",
    ),
    "input": (nn.Sequential(nn.ReLU(), nn.Linear(3, 1)), None, r"^0, as layers\.0: .*not Gaussian"),
    "norm of outputs": (
        nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4)), None, r"ends in a LayerNorm",
    ),
    "own forward": (rows(OwnForward(4, 4)), None, r"^body\.1: OwnForward has a forward of its own"),
    "spectral norm": (rows(spectral_norm(nn.Linear(4, 4))), None, r"^body\.1: it has hooks"),
    "parametrized": (
        rows(parametrizations.spectral_norm(nn.Linear(4, 4))), None, r"^body\.1: .*parametriz",
    ),
    "lazy": (rows(nn.LazyLinear(4)), None, r"^body\.1: its sizes are not known"),
    "parallel": (
        nn.DataParallel(nn.Linear(3, 1)), None, r"^the module: DataParallel: .*module\.module",
    ),
    "unflattened": (
        nn.Sequential(nn.Unflatten(1, (1, 2, 2)), nn.Conv2d(1, 2, 1), nn.Flatten()), None,
        r"^0: .*image_shape",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NO_LIMIT)
def test_modules_without_a_layer(name: str) -> None:
    module, shape, told = NO_LIMIT[name]
    with pytest.raises(NetworkError, match=told):
        from_module(module, shape)


def calls(forward: Callable, **parts: nn.Module) -> nn.Module:
    """A network whose middle, called net, has the forward."""
    defaults = {"a": nn.Linear(4, 4), "b": nn.Linear(4, 4), "c": nn.Conv2d(4, 4, 1)}
    return Named(net=Calls(forward, **(defaults | parts)), head=nn.Linear(4, 1))


def two_inputs() -> nn.Module:
    class Two(nn.Module):
        def forward(self, x: Tensor, y: Tensor) -> Tensor:
            return x + y

    return Two()


CALLS = {
    "max pooling": (
        lambda n, x: F.max_pool2d(n.c(x), 2), r"^net \(calling max_pool2d\): .*AvgPool",
    ),
    "maximum": (lambda n, x: n.c(x).amax((2, 3)), r"^net \(calling amax\): .*average"),
    "batch norm": (
        lambda n, x: F.batch_norm(n.a(x), None, None, training=True), r"^net .*rows of a batch",
    ),
    "softmax": (lambda n, x: n.a(x).softmax(1), r"^net \(calling softmax\)"),
    "attention": (
        lambda n, x: F.scaled_dot_product_attention(n.a(x), n.a(x), n.a(x)), r"called twice",
    ),
    "permuted": (lambda n, x: n.c(x).permute(0, 2, 3, 1), r"^net \(calling permute\)"),
    "halves": (lambda n, x: n.a(x).chunk(2, 1)[0], r"^net .*self\.a\(x\)"),
    "part": (lambda n, x: n.a(x)[:, :2], r"^net \(calling getitem\)"),
    "unknown": (lambda n, x: torch.cumsum(n.a(x), 1), r"^net \(calling cumsum\): .*no rule"),
    "tied": (lambda n, x: n.a(torch.relu(n.a(x))), r"^net\.a: it is called twice.*two modules"),
    "parameter": (lambda n, x: n.a(x) * n.b.bias, r"^net \(calling mul\): .*trained factors"),
    "weights": (lambda n, x: F.linear(n.a(x), n.b.weight), r"^net .*use the modules that hold"),
    "shift": (lambda n, x: n.a(x) + 1.0, r"^net .*not centred"),
    "quotient": (lambda n, x: 1 / n.a(x), r"^net .*quotient"),
    "zero": (lambda n, x: 0 * n.a(x), r"^net .*by 0"),
    "factor of a shortcut": (
        lambda n, x: 0.5 * x + n.b(x), r"^net \(calling mul\): a factor of 0\.5 .*meets no weights",
    ),
    "factor behind erf": (
        lambda n, x: 2 * torch.erf(n.a(x)), r"^net .*a factor of 2 .*not homogeneous",
    ),
    "control flow": (
        lambda n, x: n.a(x) if x.sum() > 0 else x, r"^net: its forward cannot be followed",
    ),
    "loop": (lambda n, x: sum(n.a(row) for row in x), r"followed without inputs"),
    "broken": (lambda n, x: n.missing(x), r"AttributeError"),
    "two outputs": (lambda n, x: (n.a(x), n.b(x)), r"^head: it must be called on one signal"),
    "mean of channels": (lambda n, x: n.a(x).mean(1), r"^net .*global pooling"),
    "mean of rows": (lambda n, x: n.c(x).mean(3), r"^net .*global pooling"),
    "mean of an axis of the input": (lambda n, x: n.a(x.mean(2)), r"^net .*pass input_shape"),
    "mean of last axes of the input": (
        lambda n, x: n.a(x.mean((-2, -1))), r"^net .*pass input_shape",
    ),
    "early softplus": (
        lambda n, x: F.softplus(n.a(x), threshold=0.1),
        r"^net \(calling softplus\): threshold=0\.1",
    ),
    "broadcast": (
        lambda n, x: n.c(x) * F.adaptive_avg_pool2d(n.d(x), 1), r"^net .*different shapes",
    ),
    "stretched": (lambda n, x: n.a(x) + n.e(x), r"^net .*different shapes"),
    "concatenated rows": (lambda n, x: torch.cat([n.a(x), n.b(x)], 0), r"^net .*dim=1"),
    "norm with weights": (
        lambda n, x: F.layer_norm(n.a(x), (4,), n.b.bias, n.b.bias), r"^net .*use the modules",
    ),
    "twice the same": (lambda n, x: (lambda y: y + y)(n.a(x)), r"branches \[0, 1\] of a sum reach"),
    "squared branch": (lambda n, x: (lambda y: y * y)(n.a(x)), r"of a product reach"),
    "active shortcut": (
        lambda n, x: (lambda y: y + n.b(y))(torch.relu(n.a(x))),
        r"^net \(calling add\), as layers\.2: branch 0 of a sum",
    ),
    "overwritten": (
        lambda n, x: (lambda y: n.b(F.relu(y, inplace=True)) + y)(n.a(x)),
        r"^net \(calling relu\): it overwrites its input .*which net \(calling add\) reads",
    ),
    "overwritten view": (
        lambda n, x: (lambda y: n.b(F.relu(y.flatten(1), inplace=True)) + y)(n.a(x)),
        r"^net \(calling relu\): it overwrites its input",
    ),
    "view of overwritten": (
        lambda n, x: (lambda y: (lambda v: n.b(y.relu_()) + v)(y.view(y.size(0), -1)))(n.a(x)),
        r"^net \(calling relu_?\): it overwrites its input",
    ),
    "crossed branches": (
        lambda n, x: (lambda y, z: n.f(torch.cat([y, z], 1)) + y)(n.a(x), n.b(x)),
        r"^net \(calling add\): its branches share net\.a",
    ),
    "shared factor": (
        lambda n, x: (lambda y, z: (y + z) * n.f(torch.cat([y, z], 1)))(n.a(x), n.b(x)),
        r"^net \(calling mul\): its branches share net\.a, net\.b",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_calls_without_a_layer(name: str) -> None:
    forward, told = CALLS[name]
    module = calls(forward, d=nn.Conv2d(4, 4, 1), e=nn.Linear(4, 1), f=nn.Linear(8, 4))
    with pytest.raises(NetworkError, match=told):
        from_module(module)


def test_forwards_of_one_tensor_alone() -> None:
    with pytest.raises(NetworkError, match=r"^the module: its forward .*must take one tensor"):
        from_module(two_inputs())


def test_weights_of_another_module() -> None:
    module = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))
    module[2].weight = module[0].weight
    with pytest.raises(NetworkError, match=r"^2: its weight is that of 0 \(tied\)"):
        from_module(module)


def test_compiled_modules_have_an_original() -> None:
    compiled = rows(nn.ReLU())  # what torch.compile makes holds the original by this name
    compiled._orig_mod = nn.Linear(3, 1)
    with pytest.raises(NetworkError, match=r"^the module: it is compiled; .*_orig_mod"):
        from_module(compiled)


def test_hooks_are_not_overlooked() -> None:
    module = nn.Sequential(nn.Linear(4, 4))
    module[0].register_forward_hook(lambda module, args, output: 2 * output)
    with pytest.raises(NetworkError, match=r"^0: it has hooks"):
        from_module(module)


def test_finite_networks_whose_parameters_were_frozen_since() -> None:
    module = to_module(Serial(Dense(), Activation(), Dense()), (3,), 5)
    module.body.requires_grad_(False)
    with pytest.raises(NetworkError, match=r"^the module: requires_grad .*lr_multiplier"):
        from_module(module)
    with pytest.raises(NetworkError, match=r"^the module: .*read as a whole"):
        from_module(module.body)


def test_finite_networks_keep_the_scales_of_their_tree() -> None:
    inner = Serial(Dense(1.5), Activation(), Dense(2.0, lr_multiplier=3.0))
    module = nn.Sequential(to_module(inner, (3,), 5, 4), nn.ReLU(), nn.Linear(4, 1))
    for scales in ("measured", {"*": 1.0}, {"0.*": 1.0}):
        with pytest.raises(NetworkError, match=r"^0: its scales are those of the tree"):
            from_module(module, scales=scales)
    with pytest.raises(NetworkError, match=r"^the module: its scales are those of the tree"):
        from_module(module[0], scales="measured")
    found = from_module(module, scales={"2.*": 1.0}, parametrization="ntk")
    assert found == Serial(inner, Activation(), Dense(1.0, 1.0))


@pytest.mark.parametrize("shape", [3, (), (3.7,), (3, 4.0), "34", (None, 4)])
def test_sizes_of_inputs_are_integers(shape: object) -> None:
    with pytest.raises(TypeError, match=r"^input_shape must be integers, \(n_features,\) or"):
        from_module(nn.Linear(3, 1), shape)
    with pytest.raises(TypeError, match=r"^input_shape must be integers, \(n_features,\) or"):
        to_module(Dense(), shape, 5)


@pytest.mark.parametrize(
    "arguments, error, told",
    [
        ({"module": "net"}, TypeError, "must be a torch.nn.Module"),
        ({"parametrization": "mup"}, ValueError, 'must be "standard" or "ntk"'),
        ({"scales": "torch"}, ValueError, 'must be "default", "measured" or a mapping'),
        ({"scales": {"1.weight": 1.0}}, ValueError, "no parameter is named '1.weight'"),
        ({"scales": {"weight": -1.0}}, ValueError, r"scales\['weight'\] must be a finite number"),
    ],
)
def test_bad_arguments(arguments: dict, error: type[Exception], told: str) -> None:
    with pytest.raises(error, match=told):
        from_module(**({"module": nn.Linear(3, 1)} | arguments))


@pytest.mark.parametrize("seed", range(5))
def test_narrower_uniform_weights_are_no_draw_of_the_default(seed: int) -> None:
    torch.manual_seed(seed)
    layer = nn.Linear(10, 64)
    nn.init.xavier_uniform_(layer.weight)  # within 0.285, the default within 0.316
    with pytest.raises(ValueError, match="no draw from torch's default initialization"):
        from_module(layer)
