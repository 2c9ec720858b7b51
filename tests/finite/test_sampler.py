"""The sampler: what it shows when, alone and in a data loader."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from ntk_sklearn.finite import LearnabilitySampler

SCORES = np.random.default_rng(0).permutation(20) / 20.0
EASY = np.argsort(SCORES)


@pytest.mark.parametrize("hardest_first", [False, True])
def test_epochs_show_more_and_more(hardest_first):
    sampler = LearnabilitySampler(
        SCORES, epochs=3, first_share=0.1, hardest_first=hardest_first, random_state=1
    )
    order = EASY[::-1] if hardest_first else EASY
    for expected in (2, 8, 14, 20, 20):  # 0.1 + 0.3 e of 20
        assert len(sampler) == expected
        found = list(sampler)
        assert sorted(found) == sorted(order[:expected])
        assert all(type(index) is int for index in found)
    assert sampler.epoch == 5


def test_order_depends_on_the_seed_and_the_epoch_only():
    def epochs(seed, first=0):
        sampler = LearnabilitySampler(SCORES, epochs=2, random_state=seed)
        sampler.set_epoch(first)
        return [list(sampler) for _ in range(first, 5)]

    assert epochs(0) == epochs(0)
    assert epochs(0, first=3) == epochs(0)[3:]
    assert epochs(0) != epochs(1)
    assert epochs(0)[3] != epochs(0)[4]
    assert epochs(0)[4] != sorted(epochs(0)[4])


def test_an_epoch_that_breaks_off_does_not_count():
    sampler = LearnabilitySampler(SCORES, epochs=2)
    first = list(sampler)
    sampler.set_epoch(0)
    assert next(iter(sampler)) == first[0]
    assert sampler.epoch == 0
    assert list(sampler) == first


@pytest.mark.parametrize("options", [{}, {"num_workers": 2}, {"drop_last": True}], ids=str)
def test_in_a_data_loader(options):
    data = TensorDataset(torch.arange(20))
    sampler = LearnabilitySampler(SCORES, epochs=2, first_share=0.5)
    alone = LearnabilitySampler(SCORES, epochs=2, first_share=0.5)
    loader = DataLoader(data, batch_size=4, sampler=sampler, **options)
    for epoch in range(4):
        expected, n_batches = list(alone), len(loader)
        batches = [batch for (batch,) in loader]
        assert len(batches) == n_batches
        assert torch.cat(batches).tolist() == expected[: sum(map(len, batches))]
        assert len(expected) - sum(map(len, batches)) < (4 if "drop_last" in options else 1)
        assert sampler.epoch == epoch + 1


def test_no_curriculum_is_a_random_sampler():
    sampler = LearnabilitySampler(SCORES, epochs=0)
    assert sorted(sampler) == list(range(20))
    assert sorted(LearnabilitySampler(SCORES, epochs=3, first_share=1.0)) == list(range(20))


def test_scores_as_tensors_ties_and_infinities():
    given = torch.tensor([1.0, float("inf"), 0.0, 0.0], requires_grad=True)
    sampler = LearnabilitySampler(given, epochs=3, first_share=0.25)
    assert list(sampler) == [2]
    assert sampler.order.tolist() == [2, 3, 0, 1]


def test_pickles_resume():
    sampler = LearnabilitySampler(SCORES, epochs=5)
    list(sampler)
    assert list(pickle.loads(pickle.dumps(sampler))) == list(sampler)


BAD = {
    "scores must be one number": {"scores": np.ones((3, 1))},
    "scores must be": {"scores": []},
    "with nan": {"scores": [1.0, np.nan]},
    "epochs must be": {"epochs": -1},
    "epochs must be an integer": {"epochs": 1.5},
    "first_share must be": {"first_share": 0.0},
    r"first_share must be a number in \(0, 1\]": {"first_share": "few"},
    "random_state must be": {"random_state": None},
    "random_state must not be": {"random_state": -1},
}


@pytest.mark.parametrize("message", BAD)
def test_bad_input(message):
    with pytest.raises((ValueError, TypeError), match=message):
        LearnabilitySampler(**{"scores": SCORES, "epochs": 2} | BAD[message])


def test_bad_epochs():
    with pytest.raises(ValueError, match="epoch must be an integer"):
        LearnabilitySampler(SCORES, epochs=2).set_epoch(-1)
