"""The fused evaluator: networks of images on the CPU, plane by plane."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...architecture import Activation, Layer, Positions
from ...recursion import KernelState, propagate
from ..problem import Problem
from .demand import demanded
from .lanes import LANES
from .lowering import NotFusedError, lower
from .own import aligned, own_tables
from .planes import run
from .program import Program
from .tables import Tables, build, table_offsets


@dataclass(frozen=True)
class Plan:
    """A lowered problem."""

    program: Program
    tables: Tables
    own: Tables


@lru_cache(maxsize=32)
def plan(networks: tuple[Layer, ...], spatial: tuple[int, ...], channels: int, dtype: str) -> Plan:
    program = lower(networks, spatial)
    heads = {h for h, tail in program.tails if _needs_variance(tail)}
    every = range(len(program.heads))
    make = lambda found: build(program, found, channels, np.dtype(dtype))
    return Plan(
        program,
        make(demanded(program, every, False)),
        make(demanded(program, heads, True)),
    )


def _needs_variance(tail: tuple[Layer, ...]) -> bool:
    return any("Activation" in repr(layer) for layer in tail)


class FusedEvaluator:
    """Networks of images on the CPU."""

    name = "fused"
    concurrent = True

    def why_not(self, problem: Problem) -> list[str]:
        if problem.finite is not None:
            return ["infinite width only"]
        if not problem.input_shape.spatial:
            return ["dense not yet"]
        try:
            self._plan(problem)
        except NotFusedError as error:
            return [str(error)]
        return []

    def _plan(self, problem: Problem) -> Plan:
        networks = tuple(dict.fromkeys(o.network for o in problem.outputs))
        shape = problem.input_shape
        return plan(networks, shape.spatial, shape.channels, str(problem.dtype)[6:])

    def prepare(self, problem: Problem, X: Tensor) -> np.ndarray:
        dtype = np.dtype(str(problem.dtype)[6:])
        return np.ascontiguousarray(X.detach().numpy(), dtype=dtype)

    def tile(self, problem, x, rows, z, cols, on_diagonal, out, halt=None):
        p = self._plan(problem)
        halt = np.zeros(1, np.uint8) if halt is None else halt
        left, right = x[rows], z[cols]
        n, m = len(left), len(right)
        n_heads = len(p.program.heads)
        xu, xw, own_x = _by_image(p, left)
        scaled = left / left.dtype.type(p.tables.n_channels)
        ws = aligned(p.tables.n_numbers, left.dtype)
        found = np.empty((n_heads, 2, n, m))
        own_z = np.empty((n_heads, m))
        for j in range(0, m, LANES):
            block = right[j : j + LANES]
            k = len(block)
            lanes = _lanes(block)
            zu, zw, own_block = own_tables(p.program, p.own, lanes)
            own_z[:, j : j + k] = own_block.reshape(n_heads, 2, LANES)[:, 0, :k]
            last = min(n, j + LANES) if on_diagonal else n
            sums = np.zeros((last, 2 * n_heads * LANES))
            images = (scaled[:last], xu[:last], xw[:last], lanes, zu, zw)
            run(p.tables, 0, len(p.program.stages), True, ws, *images, True, sums, halt)
            got = sums.reshape(last, n_heads, 2, LANES)[..., :k]
            found[:, :, :last, j : j + k] = np.moveaxis(got, 0, 2)
        self._tails(problem, p, found, own_x, own_z, on_diagonal, out)

    def _tails(self, problem, p, found, own_x, own_z, on_diagonal, out):
        networks = list(dict.fromkeys(o.network for o in problem.outputs))
        states = {}
        for network, (head, tail) in zip(networks, p.program.tails, strict=True):
            weight = p.program.heads[head].weight
            t = lambda a: torch.from_numpy(np.asarray(a * weight, dtype=str(problem.dtype)[6:]))
            q, ntk = t(found[head, 0]), t(found[head, 1])
            same = torch.eye(len(q), dtype=torch.bool) if on_diagonal and _needs_variance(tail) else None
            state = KernelState(q, ntk, t(own_x[head])[:, None], t(own_z[head])[None], 0, Positions.NONE, same)
            with torch.no_grad():
                for layer in tail:
                    state = propagate(layer, state)
            states[network] = state
        for k, output in enumerate(problem.outputs):
            value = getattr(states[output.network], output.quantity)
            if on_diagonal:
                value = value.triu() + value.triu(1).mT
            out[k] = value.numpy()

    def diagonal(self, problem, x, rows, out):
        raise NotImplementedError

    def workspace(self, problem):
        return 16, 1

    def tile_side(self, problem):
        return 64


def _lanes(block: np.ndarray) -> np.ndarray:
    """Images (k, n) side by side in lanes, (n * LANES,); the last one fills what is left."""
    index = np.minimum(np.arange(LANES), len(block) - 1)
    return np.ascontiguousarray(block[index].T).reshape(-1)


def _by_image(p: Plan, rows: np.ndarray) -> tuple[np.ndarray, ...]:
    n_heads = len(p.program.heads)
    size = table_offsets(p.program)[-1]
    u, w = np.empty((2, len(rows), size), rows.dtype)
    own = np.empty((n_heads, len(rows)))
    for i in range(0, len(rows), LANES):
        block = rows[i : i + LANES]
        k = len(block)
        bu, bw, sums = own_tables(p.program, p.own, _lanes(block))
        u[i : i + k] = bu.reshape(-1, LANES)[:, :k].T
        w[i : i + k] = bw.reshape(-1, LANES)[:, :k].T
        own[:, i : i + k] = sums.reshape(n_heads, 2, LANES)[:, 0, :k]
    return u, w, own
