"""The fused engine on recorded networks, from the definition, and on all presets."""

from __future__ import annotations

import pytest
from fused_cases import pictures, rows
from fused_images import IMAGES
from fused_kernels import FUSED, error, matrix, problem_of, single_errors
from golden_networks import network as golden
from golden_networks import recorded, specifications
from naive_recursion import naive_kernels
from reference_kernels import relative_error

from ntk_sklearn.networks import Convolutional, FullyConnected, Myrtle, ResNet

EXACT = 1e-12
COVERED = sorted(name for name in specifications() if name != "attention")


@pytest.mark.parametrize("name", COVERED)
def test_golden(name):
    tables = recorded(name)
    x1, x2 = tables["x1"], tables["x2"]
    problem = problem_of(golden(name), x1.shape[1:])
    assert FUSED.why_not(problem) == []
    found = [*matrix(FUSED, problem, x1, x2), *matrix(FUSED, problem, x1)]
    for value, table in zip(found, ("nngp", "ntk", "nngp_train", "ntk_train"), strict=True):
        # some recorded NTK entries of coincident images are low by 2e-9
        low = name in ("cnn3_flatten", "resnet_flatten") and table.startswith("ntk")
        assert relative_error(value, tables[table]) < (5e-9 if low else 1e-10)


@pytest.mark.parametrize("name", COVERED)
def test_golden_inputs(name):
    x1 = recorded(name)["x1"]
    assert error(problem_of(golden(name), x1.shape[1:]), x1) < EXACT
    found, bound = single_errors(golden(name), [x1])
    assert (found <= bound).all(), found / bound


NAIVE = ("even", "far in a plane", "dilation, strides", "circular, ragged", "pool, circular",
         "pool, padded", "mixed", "beside pool", "long strides", "residual, projected")  # fmt: skip


@pytest.mark.parametrize("name", NAIVE)
def test_definition(name):
    network, shape = IMAGES[name]
    X = pictures((shape[0], *(min(n, 4) for n in shape[1:])))[[0, 3, 5, 6, 7]]
    found = matrix(FUSED, problem_of(network, X.shape[1:]), X, X[1:])
    assert relative_error(found, naive_kernels(network, X, X[1:])) < 2e-8  # arccos near 1


PRESETS = {
    "dense": (FullyConnected(), (6,)),
    "convolutional": (Convolutional(), (3, 6, 5)),
    "flat": (Convolutional(head="flatten", padding="circular"), (3, 6, 5)),
    "sum": (Convolutional(head="global_sum_pool", strides=2, depth=3), (1, 9)),
    "myrtle 5": (Myrtle(), (3, 8, 8)),
    "myrtle 7": (Myrtle(7), (1, 10, 8)),
    "myrtle 10": (Myrtle(10), (3, 8, 8)),
    "resnet": (ResNet(), (3, 8, 7)),
    "resnet of three stages": (ResNet((1, 2, 1), head="flatten"), (3, 9, 8)),
    "resnet, circular": (ResNet((2, 1), padding="circular"), (3, 6, 5)),
    "dense resnet": (ResNet((2, 2), filter=None), (6,)),
}


@pytest.mark.parametrize("preset, shape", PRESETS.values(), ids=list(PRESETS))
def test_presets(preset, shape):
    network = preset.build()
    X = pictures(shape) if len(shape) > 1 else rows(*shape)
    assert error(problem_of(network, shape), X) < EXACT
    found, bound = single_errors(network, [X])
    assert (found <= bound).all(), found / bound
