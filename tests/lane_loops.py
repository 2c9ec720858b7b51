"""Functions of lanes applied to arrays, for the tests of the fused engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
from numba import njit

from ntk_sklearn.backends.fused import lanes


@cache
def _loop(function: Callable, n_inputs: int, n_outputs: int) -> Callable:
    """Compiled ``loop(*inputs, *outputs, *numbers)`` over flat arrays of whole vectors."""
    inputs, outputs = (
        [f"{s}{i}" for i in range(n)] for s, n in (("x", n_inputs), ("y", n_outputs))
    )
    loaded = ", ".join(f"load({name}, i)" for name in inputs)
    stored = "\n".join(f"        store({y}, i, found[{k}])" for k, y in enumerate(outputs))
    found = f"function({loaded}, *numbers)"
    code = (
        f"def loop({', '.join(inputs + outputs)}, numbers):\n"
        f"    for i in range(0, x0.size, LANES):\n"
        f"        found = {found if n_outputs > 1 else f'({found},)'}\n{stored}\n"
    )
    scope = {"function": function, **vars(lanes)}
    exec(code, scope)
    return njit(scope["loop"])


def apply(
    function: Callable,
    inputs: Sequence[np.ndarray],
    numbers: tuple[float, ...] = (),
    n_outputs: int = 1,
) -> list[np.ndarray]:
    """The outputs for flat arrays of any equal length, in their precision."""
    n = inputs[0].size
    padded = [np.resize(x, -(-n // lanes.LANES) * lanes.LANES) for x in inputs]
    outputs = [np.empty_like(padded[0]) for _ in range(n_outputs)]
    _loop(function, len(inputs), n_outputs)(*padded, *outputs, numbers)
    return [y[:n] for y in outputs]
