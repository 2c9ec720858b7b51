"""What every evaluator of tiles must do, as checks of an evaluator and a problem that it can run.

Entries are compared relative to the largest one of the matrix, in units of `EXACT`: rounding that
products of matrices of other shapes differ by.
"""

from __future__ import annotations

import ctypes
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from ntk_sklearn.backends import Evaluator, Problem, least_side, prepared_bytes

EXACT = {torch.float64: 1e-12, torch.float32: 2e-6}
# Around vectors of 16 lanes, and away from them.
N = 37
SLICES = [slice(0, 1), slice(0, 15), slice(1, 17), slice(3, 20), slice(5, 37), slice(36, 37)]
PATIENCE = 60.0


def n_features(problem: Problem) -> int:
    shape = problem.input_shape
    return int((shape.channels or 1) * np.prod(shape.spatial, dtype=int))


def rows(problem: Problem, n: int = N, seed: int = 0) -> torch.Tensor:
    generator = torch.manual_seed(seed)
    return torch.randn(n, n_features(problem), dtype=torch.float64, generator=generator)


def empty(problem: Problem, *sizes: int) -> np.ndarray:
    dtype = str(problem.dtype).removeprefix("torch.")
    return np.full((len(problem.outputs), *sizes), np.nan, dtype=dtype)


def tile(evaluator, problem, x, r, z, c, on_diagonal=False, n=N, m=N, **options):
    out = empty(problem, len(range(n)[r]), len(range(m)[c]))
    evaluator.tile(problem, x, r, z, c, on_diagonal, out, **options)
    return out


def whole(evaluator, problem, X):
    x, every = evaluator.prepare(problem, X), slice(0, len(X))
    return tile(evaluator, problem, x, every, x, every, True, len(X), len(X))


def assert_close(found, expected, problem, unit=1.0):
    assert found.shape == expected.shape
    if expected.size:
        error = np.abs(found - expected).max() / np.abs(expected).max()
        assert error <= unit * EXACT[problem.dtype], error


def says_what_drivers_ask(evaluator: Evaluator, problem: Problem) -> None:
    """Name, concurrency, sides and bytes are of the right kind."""
    assert evaluator.name.isidentifier()
    assert evaluator.concurrent in (True, False)
    assert evaluator.why_not(problem) == []
    per_pair, per_input = evaluator.workspace(problem)
    assert per_pair >= 0
    assert per_input >= 0
    assert prepared_bytes(evaluator, problem) >= 0
    assert 1 <= least_side(evaluator, problem) <= evaluator.tile_side(problem)


def tiles_are_blocks_of_the_whole(evaluator: Evaluator, problem: Problem) -> None:
    """Wherever a tile lies, it holds the numbers of the Gram."""
    X = rows(problem)
    x, gram = evaluator.prepare(problem, X), whole(evaluator, problem, X)
    assert np.isfinite(gram).all()
    for r in SLICES:
        assert_close(tile(evaluator, problem, x, r, x, r, True), gram[:, r, r], problem)
        for c in SLICES:
            if not set(range(N)[r]) & set(range(N)[c]):
                assert_close(tile(evaluator, problem, x, r, x, c), gram[:, r, c], problem)


def other_rows_are_prepared_apart(evaluator: Evaluator, problem: Problem) -> None:
    """Rows and columns prepared for themselves give what they give together."""
    X, first, rest = rows(problem), slice(0, 20), slice(20, N)
    gram = whole(evaluator, problem, X)
    x, z = evaluator.prepare(problem, X[first]), evaluator.prepare(problem, X[rest])
    every = slice(0, 20), slice(0, 17)
    found = tile(evaluator, problem, x, every[0], z, every[1], n=20, m=17)
    assert_close(found, gram[:, first, rest], problem)


def transposes_are_equal(evaluator: Evaluator, problem: Problem) -> None:
    """k(x, z) is k(z, x)."""
    X, Z = rows(problem), rows(problem, 18, seed=1)
    x, z = evaluator.prepare(problem, X), evaluator.prepare(problem, Z)
    found = tile(evaluator, problem, x, slice(2, 35), z, slice(0, 18), m=18)
    mirrored = tile(evaluator, problem, z, slice(0, 18), x, slice(2, 35), n=18)
    assert_close(mirrored.swapaxes(1, 2), found, problem)


def grams_are_symmetric_with_the_diagonal(evaluator: Evaluator, problem: Problem) -> None:
    """Tiles on the diagonal are symmetric to the last bit and hold what `diagonal` gives."""
    X = rows(problem)
    x, gram = evaluator.prepare(problem, X), whole(evaluator, problem, X)
    np.testing.assert_array_equal(gram, gram.swapaxes(1, 2))
    expected = np.diagonal(gram, axis1=1, axis2=2)
    for r in [slice(0, N), *SLICES]:
        found = empty(problem, len(range(N)[r]))
        evaluator.diagonal(problem, x, r, found)
        assert_close(found, expected[:, r], problem, unit=0.1)


def equal_rows_are_equal(evaluator: Evaluator, problem: Problem) -> None:
    """A row and its copy have the kernel of the row with itself, in tiles of all kinds."""
    X = rows(problem)
    X[30] = X[3]
    x, gram = evaluator.prepare(problem, X), whole(evaluator, problem, X)
    own = gram[:, 3, 3]
    cross = tile(evaluator, problem, x, slice(0, 16), x, slice(16, N))[:, 3, 14]
    for found in (gram[:, 30, 30], gram[:, 3, 30], cross):
        assert_close(found, own, problem)


def outputs_come_in_the_order_asked_for(evaluator: Evaluator, problem: Problem) -> None:
    """Each output is what it is alone, also when asked for twice."""
    X = rows(problem, 18)
    asked = (*problem.outputs[::-1], problem.outputs[0])
    found = whole(evaluator, replace(problem, outputs=asked), X)
    for value, output in zip(found, asked, strict=True):
        alone = whole(evaluator, replace(problem, outputs=(output,)), X)
        assert_close(value, alone[0], problem)


def views_are_filled_and_nothing_else(evaluator: Evaluator, problem: Problem) -> None:
    """`out` may be a view of a larger array, in any order of its axes."""
    x = evaluator.prepare(problem, rows(problem))
    r, c, k = slice(2, 19), slice(19, 35), len(problem.outputs)
    expected = tile(evaluator, problem, x, r, x, c)
    frame = empty(problem, 40, 50)
    evaluator.tile(problem, x, r, x, c, False, frame[:, 7:24, 3:35:2])
    np.testing.assert_array_equal(frame[:, 7:24, 3:35:2], expected)
    frame[:, 7:24, 3:35:2] = np.nan
    assert np.isnan(frame).all()
    other = np.empty((16, k, 17), dtype=frame.dtype).transpose(1, 2, 0)
    evaluator.tile(problem, x, r, x, c, False, other)
    np.testing.assert_array_equal(other, expected)
    line = empty(problem, 50)
    evaluator.diagonal(problem, x, r, line[:, 1:18])
    diagonal = empty(problem, 17)
    evaluator.diagonal(problem, x, r, diagonal)
    np.testing.assert_array_equal(line[:, 1:18], diagonal)
    assert np.isnan(line[:, 0]).all()
    assert np.isnan(line[:, 18:]).all()


def empty_tiles_are_nothing_to_do(evaluator: Evaluator, problem: Problem) -> None:
    """No rows or no columns."""
    x, none = evaluator.prepare(problem, rows(problem)), slice(5, 5)
    for r, c, on_diagonal in (
        (none, slice(0, 3), False),
        (slice(0, 3), none, False),
        (none, none, True),
    ):
        tile(evaluator, problem, x, r, x, c, on_diagonal)
    evaluator.diagonal(problem, x, none, empty(problem, 0))


def tensors_are_filled(evaluator: Evaluator, problem: Problem) -> None:
    """A view of a tensor holds the numbers that an array would, and records nothing."""
    x = evaluator.prepare(problem, rows(problem))
    for c, on_diagonal in ((slice(19, 35), False), (slice(2, 19), True)):
        expected = tile(evaluator, problem, x, slice(2, 19), x, c, on_diagonal)
        out = torch.full((len(expected), 40, 50), torch.nan, dtype=problem.dtype)
        view = out[:, 7:24, 3 : 3 + 2 * expected.shape[2] : 2]
        evaluator.tile(problem, x, slice(2, 19), x, c, on_diagonal, view)
        np.testing.assert_array_equal(view.numpy(), expected)
        view.fill_(torch.nan)
        assert out.isnan().all()
        assert not out.requires_grad


def numbers_are_the_same_twice(evaluator: Evaluator, problem: Problem) -> None:
    """To the last bit, from rows prepared anew, which are not changed."""
    X = rows(problem)
    first, again = whole(evaluator, problem, X), whole(evaluator, problem, X)
    np.testing.assert_array_equal(first, again)
    assert torch.equal(X, rows(problem))


def halted_tiles_return(evaluator: Evaluator, problem: Problem) -> None:
    """A flag that is 0 changes nothing; one that is not ends the tile, which may hold anything."""
    x, r, c = evaluator.prepare(problem, rows(problem)), slice(0, 16), slice(16, N)
    halt = np.zeros(1, dtype=np.uint8)
    expected = tile(evaluator, problem, x, r, x, c)
    np.testing.assert_array_equal(tile(evaluator, problem, x, r, x, c, halt=halt), expected)
    halt[0] = 1
    tile(evaluator, problem, x, r, x, c, halt=halt)
    np.testing.assert_array_equal(tile(evaluator, problem, x, r, x, c), expected)


def tiles_run_in_threads(evaluator: Evaluator, problem: Problem) -> None:
    """Tiles at once hold the numbers of tiles alone, if that is what the evaluator says."""
    if not evaluator.concurrent:
        return
    x = evaluator.prepare(problem, rows(problem))
    places = [(r, c) for r in SLICES for c in SLICES]
    expected = [tile(evaluator, problem, x, r, x, c, r == c) for r, c in places]
    for _ in range(3):
        found, together = {}, threading.Barrier(len(places))

        def fill(k, found=found, together=together):
            r, c = places[k]
            together.wait(PATIENCE)
            found[k] = tile(evaluator, problem, x, r, x, c, r == c)

        threads = [threading.Thread(target=fill, args=(k,)) for k in range(len(places))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        for k, values in enumerate(expected):
            np.testing.assert_array_equal(found[k], values)


def preparing_does_not_depend_on_threads(evaluator: Evaluator, problem: Problem) -> None:
    """Rows prepared by several threads of torch's give the same bits."""
    if not evaluator.concurrent:
        return
    X, before, found = rows(problem, 300), torch.get_num_threads(), []
    r, c = slice(0, 16), slice(200, 300)
    try:
        for n in (1, 2, 5):
            torch.set_num_threads(n)
            x = evaluator.prepare(problem, X)
            torch.set_num_threads(1)
            found.append(tile(evaluator, problem, x, r, x, c, n=300, m=300))
    finally:
        torch.set_num_threads(before)
    for other in found[1:]:
        np.testing.assert_array_equal(other, found[0])


# Beside arrays: code that is read for the first time, stacks, what the allocator keeps.
SLACK = 4 * 2**20
LARGEST = 2**28


def work_fits_into_the_workspace(evaluator: Evaluator, problem: Problem) -> None:
    """A tile takes no more memory than the model says, as far as the system shows it."""
    per_pair, per_input = evaluator.workspace(problem)
    n = evaluator.tile_side(problem)
    while n > 1 and n * (n * per_pair + per_input) > LARGEST:
        n //= 2
    x, every = evaluator.prepare(problem, rows(problem, 2 * n)), (slice(0, n), slice(n, 2 * n))
    out = empty(problem, n, n)
    out[...] = 0.0
    few = slice(0, 1), slice(1, 2)
    evaluator.tile(problem, x, few[0], x, few[1], False, out[:, :1, :1])
    ctypes.CDLL(None).malloc_trim(0)  # or what was freed before would be taken unseen
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins again
    before = kilobytes("VmRSS")
    evaluator.tile(problem, x, every[0], x, every[1], False, out)
    used = 1024 * (kilobytes("VmHWM") - before)
    assert used <= n * n * per_pair + n * per_input + SLACK


def kilobytes(name: str) -> int:
    return int(Path("/proc/self/status").read_text().split(name + ":")[1].split()[0])


CHECKS = [
    says_what_drivers_ask,
    tiles_are_blocks_of_the_whole,
    other_rows_are_prepared_apart,
    transposes_are_equal,
    grams_are_symmetric_with_the_diagonal,
    equal_rows_are_equal,
    outputs_come_in_the_order_asked_for,
    views_are_filled_and_nothing_else,
    empty_tiles_are_nothing_to_do,
    tensors_are_filled,
    numbers_are_the_same_twice,
    halted_tiles_return,
    tiles_run_in_threads,
    preparing_does_not_depend_on_threads,
]
