"""How many channels the layers get: shares, residual sums, readouts."""

from __future__ import annotations

import pytest

from ntk_sklearn.architecture import (
    Activation,
    Concat,
    Conv,
    Dense,
    Flatten,
    Identity,
    Serial,
    Sum,
    residual,
)
from ntk_sklearn.finite import to_module

ACT = Activation("erf")
CHANNELS = {
    "readouts_in_a_sum": (Serial(Dense(), ACT, Sum(Dense(), Serial(Dense(), ACT, Dense()))),
                          [12, 2, 12, 2]),
    "shares": (Serial(Dense(), ACT, Concat(Dense(), Serial(Dense(), ACT, Dense()), shares=(1, 3)),
                      Dense()), [12, 3, 12, 9, 2]),
    "nested_shares": (Serial(Concat(Dense(), Concat(Dense(), Dense())), Dense()), [6, 3, 3, 2]),
    "share_of_the_input": (Serial(Dense(), ACT, Concat(Identity(), Dense(), shares=(2, 1)), Dense(),
                                  ACT, Dense()), [12, 6, 12, 2]),
    "after_a_wider_input": (
        Serial(Dense(), Concat(Identity(), Serial(ACT, Dense())), Dense(), residual(Dense()), ACT,
               Dense()), [12, 12, 12, 12, 2],
    ),
    "hidden_readout": (Serial(Dense(), ACT, Dense(), residual(Serial(ACT, Dense()))), [12, 12, 12]),
    "share_is_hidden": (
        Serial(Concat(Serial(Dense(), residual(Serial(ACT, Dense()))), Dense()), Dense()),
        [6, 6, 6, 2],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANNELS)
def test_channels_of_every_layer(name: str) -> None:
    network, channels = CHANNELS[name]
    module = to_module(network, (5,), 12, n_outputs=2)
    assert [len(p) for p in module.parameters()] == channels


def test_branches_with_merged_positions_have_their_shares() -> None:
    coarse, fine = (Serial(Conv(1, strides=s), Flatten()) for s in (2, 1))
    network = Serial(Conv(1), Concat(coarse, fine), Dense())
    parameters = list(to_module(network, (2, 8), 12).parameters())
    assert [len(p) for p in parameters] == [12, 12, 6, 1]
    assert parameters[-1].shape == (1, 12 * 4 + 6 * 8)


def test_one_unit_wide() -> None:
    network = Serial(Dense(), ACT, Concat(Dense(), Dense(), Dense()), Dense())
    assert [len(p) for p in to_module(network, (5,), 1).parameters()] == [1, 1, 1, 1, 1]


IMPOSSIBLE = {
    "no total": Serial(Dense(), Concat(Identity(), Identity(), shares=(1, 3)), Dense()),
    "end in \\[39, 40\\] channels": Sum(
        Serial(Conv(1, strides=2), Flatten()), Serial(Conv(1, strides=3), Flatten())
    ),
    "outputs are channels": Serial(Dense(), ACT, Dense(), residual(Serial(ACT, Dense()))),
}  # fmt: skip


@pytest.mark.parametrize("message", IMPOSSIBLE)
def test_widths_that_do_not_exist(message: str) -> None:
    with pytest.raises(ValueError, match=message):
        to_module(IMPOSSIBLE[message], (5, 5) if "end" in message else (5,), 12, n_outputs=13)
