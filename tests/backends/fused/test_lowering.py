"""From trees of layers to stages, registers and buffers."""

from __future__ import annotations

import pytest
from fused_cases import CIRCULAR, RELU, block, conv, skip

from ntk_sklearn.architecture import (
    AvgPool,
    Concat,
    Conv,
    Dense,
    Flatten,
    GlobalAvgPool,
    GlobalSumPool,
    Identity,
    Layer,
    Serial,
    Sum,
    SumPool,
)
from ntk_sklearn.backends.fused.lowering import lower
from ntk_sklearn.backends.fused.program import NotFusedError, Program, Sink

SPATIAL = (8, 6)


def lowered(*layers: Layer, spatial: tuple[int, ...] = SPATIAL) -> Program:
    return lower([Serial(*layers)], spatial)


def sinks(program: Program) -> list[list[str]]:
    return [[operation.sink.name for operation in stage.operations] for stage in program.stages]


def test_convolutions_stay_in_one_stage():
    program = lowered(conv(), RELU, conv(strides=2), RELU, conv(2, padding="valid"), Flatten())
    assert sinks(program) == [["REGISTER"] * 3 + ["HEAD"]]
    (stage,) = program.stages
    assert [r.sizes for r in stage.registers] == [(8, 6), (8, 6), (4, 3), (3, 2)]
    assert [r.strides for r in stage.registers] == [(1, 1), (1, 1), (2, 2), (2, 2)]
    assert [o.activation is not None for o in stage.operations] == [False, True, True, False]
    assert program.n_tables == 2


@pytest.mark.parametrize("layer", [AvgPool(2), SumPool(2), conv(strides=2, **CIRCULAR)])
def test_what_mixes_displacements_begins_a_stage(layer):
    program = lowered(block(), layer, RELU, conv(), GlobalAvgPool())
    together = isinstance(layer, Conv)
    behind = ["REGISTER"] * (1 + together) + ["HEAD"]
    assert sinks(program) == [["REGISTER", "BUFFER"], behind]
    assert program.buffers == [(4, 3)]
    assert program.stages[0].operations[-1].together is together


def test_padding_changes_in_a_new_stage():
    program = lowered(conv(), conv(1), conv(**CIRCULAR), conv(1), conv(), GlobalAvgPool())
    assert [stage.wrapped for stage in program.stages] == [False, True, False]
    alike = lowered(conv(1), conv(**CIRCULAR), conv(1, **CIRCULAR), GlobalAvgPool())
    assert [stage.wrapped for stage in alike.stages] == [True]


@pytest.mark.parametrize(
    "head, diagonal, weight",
    [(Flatten(), True, 1 / 48), (GlobalAvgPool(), False, 1 / 48**2), (GlobalSumPool(), False, 1.0)],
)
def test_heads(head, diagonal, weight):
    program = lowered(conv(), head, Dense(), RELU, Dense())
    (found,) = program.heads
    assert (found.diagonal, found.weight) == (diagonal, pytest.approx(weight, rel=1e-15))
    assert program.tails == [(0, (Dense(), RELU, Dense()))]


def test_numbers_of_a_convolution():
    (operation, _) = (
        lowered(Conv((3, 5), 1.5, 0.2, lr_multiplier=0.5, bias_ntk=0.7), Flatten())
        .stages[0]
        .operations
    )
    affine = operation.affine
    assert affine.scale == pytest.approx(1.5**2 / 15, rel=1e-15)
    assert (affine.bias, affine.rate, affine.bias_ntk) == (pytest.approx(0.04), 0.5, 0.7)
    (default, _) = lowered(Conv(1, 1.0, 2.0, lr_multiplier=0.25), Flatten()).stages[0].operations
    assert default.affine.bias_ntk == 1.0


def test_sums_add_up_in_a_register():
    program = lowered(
        conv(), Sum(Serial(RELU, conv(2)), Identity(), Serial(RELU, conv())), Flatten()
    )
    (stage,) = program.stages
    assert sinks(program) == [["REGISTER"] * 4 + ["HEAD"]]
    assert [o.accumulate for o in stage.operations] == [False, False, True, True, False]
    assert len({o.target for o in stage.operations[1:4]}) == 1


def test_the_tangent_kernel_of_shortcuts_is_kept():
    (shortcut,) = (
        o for o in lowered(conv(), skip(conv()), Flatten()).stages[0].operations
        if o.accumulate
    )  # fmt: skip
    assert (shortcut.affine.scale, shortcut.affine.rate, shortcut.activation) == (1.0, 0.0, None)


def test_shares_of_channels():
    program = lowered(conv(), RELU, Concat(conv(1), Identity(), shares=(3, 1)), conv(), Flatten())
    scales = {o.affine.scale for o in program.stages[0].operations if o.sink is Sink.REGISTER}
    assert {0.25, 0.75 * 2.0} <= {round(scale, 12) for scale in scales}


def test_branches_of_several_stages_meet_in_a_buffer():
    program = lowered(
        conv(), Sum(Serial(RELU, conv(strides=2)), AvgPool(2)), RELU, conv(), Flatten()
    )
    assert program.buffers == [(4, 3), (4, 3)]
    into = [
        (k, o.target) for k, s in enumerate(program.stages) for o in s.operations
        if o.sink is Sink.BUFFER
    ]  # fmt: skip
    assert sorted(into) == [(0, 0), (0, 1), (1, 1)]


def test_an_activation_before_branches_is_computed_once():
    program = lowered(conv(), RELU, Sum(conv(), conv(1)), Flatten())
    assert sum(o.activation is not None for o in program.stages[0].operations) == 1


def test_families_share_what_they_have_in_common():
    depths = [Serial(*[block()] * depth, GlobalAvgPool(), Dense()) for depth in range(1, 6)]
    program = lower(depths, SPATIAL)
    (stage,) = program.stages
    assert sum(o.sink is Sink.REGISTER for o in stage.operations) == 5
    assert [head for head, _ in program.tails] == sorted(range(5), key=program.tails.__getitem__)
    assert len(program.heads) == 5
    twice = lower(depths[:1] * 3, SPATIAL)
    assert len(twice.heads) == 1
    assert len(twice.tails) == 3


def test_one_axis_is_the_second():
    program = lowered(conv(3, strides=2), GlobalAvgPool(), spatial=(7,))
    assert program.stages[0].registers[1].sizes == (1, 4)


@pytest.mark.parametrize(
    "layers, spatial, words",
    [
        ([conv(), RELU], SPATIAL, "without a head"),
        ([], SPATIAL, "without a head"),
        ([conv(), Sum(Flatten(), Flatten())], SPATIAL, "a head inside a branch"),
        ([conv(), Flatten()], (2, 2, 2), "3 spatial axes"),
    ],
)
def test_refusals(layers, spatial, words):
    with pytest.raises(NotFusedError, match=words):
        lowered(*layers, spatial=spatial)


def test_unknown_layers_are_named():
    class Attention(Layer):
        """A layer that nobody knows."""

    with pytest.raises(NotFusedError, match="the layer Attention"):
        lowered(conv(), Attention(), Flatten())
