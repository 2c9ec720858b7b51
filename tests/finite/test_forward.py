"""Forward passes against loops over pixels and taps written from the definition."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
import torch
from finite_cases import CASES, rows

from ntk_sklearn.architecture import AvgPool, Conv, Dense, Layer, Serial, ShapeError, SumPool
from ntk_sklearn.finite import to_module

WINDOWS = {
    "same": {"window": 3},
    "even": {"window": 2},
    "even_strided": {"window": 4, "strides": 2},
    "stride_over_filter": {"window": 2, "strides": 3},
    "dilated": {"window": 3, "dilation": 2},
    "dilated_even_strided": {"window": 2, "dilation": 3, "strides": 2},
    "valid": {"window": 2, "strides": 2, "padding": "valid"},
    "circular": {"window": 4, "dilation": 2, "padding": "circular"},
    "circular_strided": {"window": 3, "strides": 2, "padding": "circular"},
    "explicit": {"window": 3, "strides": 2, "padding": (1, 1)},
    "lopsided": {"window": 3, "padding": (0, 3)},
}
SIZES = [(7,), (6, 5), (5, 4, 6)]


def padded_amount(n: int, k: int, s: int, d: int, padding: object) -> tuple[int, int]:
    """Low padding and number of outputs: ceil(n / s) and the odd pixel at the end for "same"."""
    reach = d * (k - 1) + 1
    if padding in ("same", "circular"):
        out = math.ceil(n / s)
        return max((out - 1) * s + reach - n, 0) // 2, out
    low, high = (0, 0) if padding == "valid" else padding  # type: ignore[misc]
    return low, (n + low + high - reach) // s + 1


def slide(x: np.ndarray, kernel: np.ndarray, s: int, d: int, padding: object) -> np.ndarray:
    """sum_{c, a} kernel[o, c, a] x[n, c, i s + a d - low], position by position."""
    sizes, k = x.shape[2:], kernel.shape[2]
    plans = [padded_amount(n, k, s, d, padding) for n in sizes]
    result = np.zeros((len(x), len(kernel), *(out for _, out in plans)))
    for i in product(*(range(out) for _, out in plans)):
        for a in product(range(k), repeat=len(sizes)):
            at = [p * s + t * d - low for p, t, (low, _) in zip(i, a, plans, strict=True)]
            if padding == "circular":
                at = [q % n for q, n in zip(at, sizes, strict=True)]
            if all(0 <= q < n for q, n in zip(at, sizes, strict=True)):
                result[(..., *i)] += x[(..., *at)] @ kernel[(..., *a)].T
    return result


def image(size: tuple[int, ...], channels: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(2, channels, *size, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("size", SIZES, ids=len)
@pytest.mark.parametrize("name", WINDOWS)
def test_convolution_is_the_sum_over_its_taps(name: str, size: tuple[int, ...]) -> None:
    taps = {"strides": 1, "dilation": 1, "padding": "same"} | WINDOWS[name]
    k = taps.pop("window")
    module = to_module(Conv(k, 1.3, 0.4, **taps), (2, *size), 5, n_outputs=3, random_state=0)
    weight, bias = (p.detach().numpy() for p in module.body.parameters())
    x = image(size, 2)
    want = slide(x.numpy(), weight, taps["strides"], taps["dilation"], taps["padding"])
    want *= 1.3 / math.sqrt(2 * k ** len(size))
    want += 0.4 * bias.reshape(-1, *(1,) * len(size))
    assert module(x).detach().numpy() == pytest.approx(want, abs=1e-13)


@pytest.mark.parametrize("size", SIZES, ids=len)
@pytest.mark.parametrize("name", [n for n in WINDOWS if "dilat" not in n and n != "circular"])
@pytest.mark.parametrize("layer", [AvgPool, SumPool])
def test_pooling_is_the_sum_over_its_window(
    layer: type[AvgPool], name: str, size: tuple[int, ...]
) -> None:
    taps = {"strides": 1, "padding": "same"} | WINDOWS[name]
    module = to_module(layer(**taps), (2, *size), 5)
    kernel = np.zeros((2, 2, *(taps["window"],) * len(size)))
    kernel[0, 0] = kernel[1, 1] = 1.0 if layer is SumPool else taps["window"] ** -len(size)
    x = image(size, 2)
    want = slide(x.numpy(), kernel, taps["strides"], 1, taps["padding"])
    assert module(x).numpy() == pytest.approx(want, abs=1e-13)


def test_dense_layers_are_in_the_ntk_parametrization() -> None:
    module = to_module(CASES["dense"][0], (5,), 7, n_outputs=2, random_state=0)
    w1, b1, w2, b2, w3, b3 = module.parameters()
    assert [tuple(w.shape) for w in (w1, w2, w3)] == [(7, 5), (7, 7), (2, 7)]
    x = rows("dense", 3)
    h = torch.relu(1.4 / 5**0.5 * x @ w1.T + 0.1 * b1)
    h = torch.erf(1.2 / 7**0.5 * h @ w2.T + 0.3 * b2)
    torch.testing.assert_close(module(x), 0.9 / 7**0.5 * h @ w3.T + 0.2 * b3)


@pytest.mark.parametrize("name", CASES)
def test_rows_and_images_are_the_same_input(name: str) -> None:
    network, shape = CASES[name]
    module = to_module(network, shape, 6, n_outputs=2, random_state=0)
    x = rows(name, 3)
    assert torch.equal(module(x), module(x.reshape(3, *shape)))
    assert module(x).shape[1] == (12 if name.endswith("_then_flatten") else 2)


def test_parameters_are_standard_normal() -> None:
    module = to_module(Serial(Dense(3.0, 2.0), Dense()), (100,), 400, random_state=0)
    for parameter in list(module.parameters())[:2]:
        spread = 4 / math.sqrt(parameter.numel())
        assert abs(parameter.mean()) < spread
        assert abs(parameter.var() - 1) < math.sqrt(2) * spread


def test_multipliers_rescale_parameters_not_the_function() -> None:
    plain = to_module(Serial(Dense(1.4, 0.1), Dense()), (5,), 6, random_state=0)
    scaled = to_module(
        Serial(Dense(1.4, 0.1, lr_multiplier=4.0), Dense(lr_multiplier=0.0)),
        (5,),
        6,
        random_state=0,
    )
    x = rows("dense", 3)
    torch.testing.assert_close(plain(x), scaled(x))
    torch.testing.assert_close(plain.body.parts[0].weight, 2 * scaled.body.parts[0].weight)
    assert [p.requires_grad for p in scaled.parameters()] == [True, True, False]


def test_biases_trained_from_zero_start_there() -> None:
    module = to_module(Dense(1.0, 0.0, bias_ntk=0.25), (5,), 6, random_state=0)
    assert not module.body.bias.any()
    assert module.body.bias_scale == 0.5


def test_wrong_sizes_and_unknown_layers_are_named() -> None:
    class Swap(Layer):
        def __repr__(self) -> str:
            return "Swap()"

    with pytest.raises(NotImplementedError, match="Swap"):
        to_module(Serial(Dense(), Swap()), (5,), 6)
    with pytest.raises(ShapeError, match=r"layers\.1.*needs images"):
        to_module(Serial(Dense(), Conv()), (5,), 6)
    with pytest.raises(ShapeError, match=r"\(5,\).*\(3, 4\)"):
        to_module(Dense(), (5,), 6)(torch.zeros(3, 4, dtype=torch.float64))


@pytest.mark.parametrize("bad", [{"width": 0}, {"width": 2.0}, {"n_outputs": 0}, {"width": True}])
def test_impossible_widths_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(bad))):
        to_module(Dense(), (5,), **{"width": 3, **bad})
