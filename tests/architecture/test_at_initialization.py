"""The mark is a Serial to every rule, and another tree to comparisons and checks."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from ntk_sklearn.architecture import (
    Activation,
    AtInitialization,
    Conv,
    Dense,
    GlobalAvgPool,
    NetworkError,
    Serial,
    Shape,
    check_network,
    check_random_outputs,
    check_trainable,
    contains,
    infer_shape,
    replace,
    residual,
    scales,
)
from ntk_sklearn.kernels import NTK

LAYERS = (Conv(3, 1.4, 0.1), Activation("relu"), GlobalAvgPool(), Dense(lr_multiplier=30.0))
MARKED, PLAIN = AtInitialization(*LAYERS), Serial(*LAYERS)


def test_it_compares_and_reads_as_its_own():
    assert MARKED != PLAIN
    assert hash(MARKED) == hash(AtInitialization(*LAYERS))
    assert eval(repr(MARKED)) == MARKED
    assert pickle.loads(pickle.dumps(MARKED)) == MARKED


def test_it_is_a_sequence_to_checks_and_shapes():
    check_network(MARKED)
    assert infer_shape(MARKED, Shape(2, (4, 5))) == Shape(None)
    assert scales(MARKED) == scales(PLAIN)


def test_other_scales_keep_the_mark():
    assert contains(replace(MARKED, {"layers.0.w_std": 2.0}), AtInitialization)


@pytest.mark.parametrize("backend", ["reference", "fused"])
def test_evaluators_compute_its_kernel(backend):
    X = np.random.default_rng(0).standard_normal((3, 2, 4, 5))
    found, expected = (NTK(tree, backend=backend)(X) for tree in (MARKED, PLAIN))
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("check", [check_trainable, check_random_outputs])
def test_checks_find_the_mark_anywhere(check):
    check(PLAIN)
    for tree in (MARKED, Serial(Dense(), residual(AtInitialization(Dense())))):
        with pytest.raises(NetworkError, match="initialization"):
            check(tree)
