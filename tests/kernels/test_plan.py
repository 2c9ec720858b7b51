"""What is planned and explained, with evaluators that say what a test wants to hear."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from fake_evaluators import Fake
from sklearn import config_context

from ntk_sklearn.kernels import NNGP, NTK, _evaluate
from ntk_sklearn.networks import FullyConnected

ABLE, OTHER = Fake("able"), Fake("other", concurrent=False)
UNABLE = Fake("unable", reasons=["no GPU", "no float64"])
X = np.random.default_rng(0).normal(size=(100, 3))


@pytest.fixture
def evaluators(monkeypatch):
    def replace(*found):
        monkeypatch.setattr(_evaluate, "EVALUATORS", found)

    return replace


def told(backend="auto", **options):
    return NTK(FullyConnected(1), backend=backend, **options).explain(X)


def test_every_evaluator_is_told_with_its_reasons(evaluators):
    evaluators(UNABLE, ABLE, OTHER)
    lines = told().splitlines()
    assert lines[0] == "Gram of 100 x 100, torch.float64 on cpu"
    assert lines[1:4] == ["unable: no GPU; no float64", "able: can run", "other: can run"]
    assert lines[4].startswith("chosen: able, tiles of 16 x 16 (28 in all), ")


@pytest.mark.parametrize(
    "backend, chosen", [("auto", "able"), ("able", "able"), ("other", "other")]
)
def test_the_chosen_one_computes(evaluators, backend, chosen):
    asked = []
    able = Fake("able", on_tile=lambda *_: asked.append("able"))
    other = Fake("other", concurrent=False, on_tile=lambda *_: asked.append("other"))
    evaluators(UNABLE, able, other)
    assert f"chosen: {chosen}, " in told(backend)
    NNGP(FullyConnected(1), backend=backend)(X)
    assert set(asked) == {chosen}


def test_a_named_evaluator_that_cannot_is_told_of_and_refused(evaluators):
    evaluators(UNABLE, ABLE)
    assert told("unable").endswith("\nchosen: none, backend='unable' would be refused")
    with pytest.raises(ValueError, match=r"unable: no GPU, no float64$"):
        NTK(backend="unable")(X)


def test_nobody_can(evaluators):
    evaluators(UNABLE)
    assert told().endswith("\nchosen: none, backend='auto' would be refused")


def test_unknown_evaluators_are_refused(evaluators):
    evaluators(ABLE)
    with pytest.raises(ValueError, match=r"'auto' or one of \['able'\], got 'fast'"):
        told("fast")


@pytest.mark.parametrize("n", [1, 2, 5])
def test_threads_are_told(evaluators, n):
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(n)
        evaluators(ABLE)
        threads = "1 thread" if n == 1 else f"{n} threads"
        assert f"(28 in all), {n} at once on {threads}, each on one\n" in told()
        evaluators(OTHER)
        assert f"(28 in all), one after another, each on {threads}\n" in told()
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("concurrent", [True, False])
@pytest.mark.parametrize("side", [pytest.param(1, marks=pytest.mark.slow), 7, 48, 1000])
def test_tiles_are_as_many_as_are_told(evaluators, side, concurrent):
    seen = []
    fake = Fake(side=side, least=side, concurrent=concurrent)
    fake.on_tile = lambda rows, cols, halt: seen.append((rows, cols))
    evaluators(fake)
    count = int(re.search(r"\((\d+) in all\)", told())[1])
    NTK(FullyConnected(1)).matrix(X, progress=lambda done, total: seen.append(total))
    assert set(seen[:1]) == {count}
    assert sum(isinstance(s, tuple) for s in seen) == count


def test_small_matrices_are_cut_for_threads_down_to_the_least_side(evaluators):
    for least, side in ((16, 16), (32, 32), (100, 128)):
        evaluators(Fake(side=512, least=least))
        assert f"tiles of {min(side, 100)} x" in told()


def test_memory_is_told(evaluators):
    evaluators(Fake(bytes_of=(2**12, 2**14), kept=2**15))
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        last = told(dtype="float32").splitlines()[-1]
    finally:
        torch.set_num_threads(before)
    matrix, rows, work = (float(number) for number in re.findall(r"([\d.]+) MB", last))
    assert matrix == pytest.approx(4e4 / 2**20, rel=1e-3)
    assert rows == 100 * 2**15 / 2**20
    assert work == 2 * (16**2 * 2**12 + 16 * 2**14) / 2**20


def test_a_refusal_is_told(evaluators):
    evaluators(Fake(kept=2**20))
    refused = told(memory_budget="100MB").splitlines()[-1]
    assert refused.startswith("refused: a kernel matrix of 1 x 100 x 100 entries in float64 takes")
    assert "what is kept of the rows 0.09766 GB" in refused
    with pytest.raises(MemoryError, match=re.escape(refused.removeprefix("refused: "))):
        NTK(FullyConnected(1), memory_budget="100MB")(X)
    assert "chosen: fake, tiles" in told(memory_budget="101MB")


def test_what_is_kept_counts_for_rows_and_columns(evaluators):
    evaluators(Fake(kept=2**20))
    kernel = NTK(FullyConnected(1), memory_budget="101MB")
    assert kernel(X).shape == (100, 100)
    with pytest.raises(MemoryError, match=r"kept of the rows 0\.1172 GB"):
        kernel(X, X[:20].copy())


def test_tiles_follow_the_working_memory(evaluators):
    evaluators(Fake(side=256, least=256, bytes_of=(2**10, 0)))
    with config_context(working_memory=64):
        assert "tiles of 64 x 64 (3 in all)" in told()
