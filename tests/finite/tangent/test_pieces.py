"""Pieces of rows within the memory budget."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

from ntk_sklearn.finite import FisherOperator, SoftmaxCrossEntropy
from ntk_sklearn.finite.tangent import Jacobian, ModuleFunction
from ntk_sklearn.finite.tangent.pieces import Pieces

HIDDEN = 400
# what backward needs of a row: the output of tanh, and the outputs
ROW = 8 * (HIDDEN + 4)


class Recording(nn.Module):
    """Remembers the numbers of rows that it saw."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(8, HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, 4))
        self.seen = []

    def forward(self, x):
        self.seen.append(len(x))
        return self.layers(x)


def pieces(n, budget):
    torch.manual_seed(0)
    function = ModuleFunction(Recording().double())
    inputs = function.prepare(torch.randn(n, 8).double())
    return Pieces(Jacobian(function, function.values, inputs), budget)


def test_the_graph_of_a_row_is_measured():
    assert pieces(5, 1).row_bytes == ROW


def test_all_rows_are_in_one_piece():
    for budget in (1, 10_000, 100_000, 2**30):
        found = pieces(50, budget).rows(2)
        assert np.concatenate([np.arange(50)[rows] for rows in found]).tolist() == [*range(50)]
    assert len(found) == 1
    assert len(pieces(50, 1).rows(2)) == 50


@pytest.mark.parametrize("budget", [2**20, 2**21])
def test_no_piece_has_more_rows_than_fit(budget):
    torch.manual_seed(0)
    module, X = Recording().double(), torch.randn(800, 8).double()
    F = FisherOperator(module, X, SoftmaxCrossEntropy(), memory_budget=budget)
    for columns in (1, 5):
        module.seen.clear()
        F.matmat(np.ones((F.shape[0], columns)))
        # values and tangents or gradients
        assert max(module.seen) * ROW * (1 + columns) <= budget
        assert max(module.seen) < 800


@pytest.mark.parametrize("product", ["matvec", "dual", "diagonal"])
def test_the_memory_in_use_stays_within_the_budget(product):
    n, budget = (50 if product == "diagonal" else 2000), 2**19
    torch.manual_seed(0)
    module, X = Recording().double(), torch.randn(n, 8).double()
    F = FisherOperator(module, X, SoftmaxCrossEntropy(), memory_budget=budget)
    v = np.ones((F.dual if product == "dual" else F).shape[0])
    run = {"diagonal": F.diagonal, "matvec": lambda: F @ v, "dual": lambda: F.dual @ v}[product]
    # vectors on either side, and parameters: a few copies
    beside = 6 * 8 * (F.dual.shape[0] + F.shape[0])
    at_once = n * (3 * 8 * F.shape[0] if product == "diagonal" else ROW)
    assert at_once > 3 * (budget + beside)
    assert peak(run) < budget + beside


def peak(run):
    """Largest sum of torch's living allocations during a call."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as found:
        run()
    sizes = [event.nbytes() for event in _events(found) if event.name() == "[memory]"]
    assert sizes
    return int(np.cumsum(sizes).max())


def _events(found):
    events = found.profiler.kineto_results.events()
    return sorted(events, key=lambda event: event.start_ns())
