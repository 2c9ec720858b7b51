"""What kernels do not see: translations of one image, rotations common to all rows."""

from __future__ import annotations

import numpy as np
import pytest
from fused_kernels import FUSED, REFERENCE, matrix, problem_of
from reference_kernels import relative_error

from ntk_sklearn.architecture import (
    Activation,
    AvgPool,
    Conv,
    ConvTranspose,
    Dense,
    Flatten,
    GlobalAvgPool,
    Layer,
    Product,
    Serial,
)

RELU, ERF = Activation("relu"), Activation("erf")
HEAD = (GlobalAvgPool(), Dense(1.1, 0.1))
both = pytest.mark.parametrize("evaluator", [REFERENCE, FUSED], ids=["reference", "fused"])
IMAGES = np.random.default_rng(0).standard_normal((3, 2, 6, 4))


def stem(padding: str) -> tuple[Layer, ...]:
    conv = Conv(3, 1.3, 0.2, padding=padding)
    return conv, RELU, conv, ERF


def change(evaluator, network: Layer, shift: tuple[int, int], both_moved: bool = False) -> float:
    """By how much a block changes, relatively, if the column images are moved."""
    problem = problem_of(network, IMAGES.shape[1:])
    moved = np.roll(IMAGES, shift, (2, 3))
    before = matrix(evaluator, problem, IMAGES, IMAGES[::-1].copy())
    rows = moved if both_moved else IMAGES
    after = matrix(evaluator, problem, rows, moved[::-1].copy())
    return max(map(relative_error, after, before))


@both
@pytest.mark.parametrize("shift", [(0, 1), (2, 3), (-1, 0)])
def test_translations_of_one_image(evaluator, shift):
    assert change(evaluator, Serial(*stem("circular"), *HEAD), shift) < 1e-12


@both
def test_translations_by_multiples_of_a_pooling(evaluator):
    pooled = Serial(*stem("circular"), AvgPool(2), *stem("circular"), *HEAD)
    assert change(evaluator, pooled, (2, -2)) < 1e-12
    assert change(evaluator, pooled, (1, 0)) > 1e-4


@both
def test_translations_before_a_transposed_convolution(evaluator):
    grown = ConvTranspose(3, 1.2, 0.1, 2, "circular")
    assert change(evaluator, Serial(*stem("circular"), grown, RELU, *HEAD), (1, 2)) < 1e-12


@both
def test_neither_padding_nor_pooling_suffices(evaluator):
    flat = Serial(*stem("circular"), Flatten(), Dense())
    assert change(evaluator, Serial(*stem("same"), *HEAD), (1, 0)) > 1e-3
    assert change(evaluator, flat, (1, 0)) > 1e-2
    assert change(evaluator, flat, (1, 2), both_moved=True) < 1e-12


DENSE = {
    "relu": Serial(Dense(1.3, 0.2), RELU, Dense(1.2, 0.1), ERF, Dense()),
    "product": Serial(
        Product(Serial(Dense(1.3, 0.2), RELU), Dense(0.7)), Dense(1.2, 0.1), ERF, Dense()
    ),
}


@both
@pytest.mark.parametrize("name", DENSE)
def test_rotations_of_all_rows(evaluator, name):
    rng = np.random.default_rng(1)
    X, Z = rng.standard_normal((2, 5, 7))
    Q, _ = np.linalg.qr(rng.standard_normal((7, 7)))
    problem = problem_of(DENSE[name], (7,))
    before, after = matrix(evaluator, problem, X, Z), matrix(evaluator, problem, X @ Q, Z @ Q)
    assert max(map(relative_error, after, before)) < 1e-12
    alone = matrix(evaluator, problem, X @ Q, Z)
    assert max(map(relative_error, alone, before)) > 1e-2
