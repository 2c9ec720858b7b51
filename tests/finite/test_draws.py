"""The same integer gives the same networks, everywhere."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from finite_cases import CASES

from ntk_sklearn.architecture import Dense
from ntk_sklearn.finite import Networks, draws, to_module
from ntk_sklearn.finite.seeds import generator_from, spawn

DENSE = CASES["dense"][0]


def flat(module: torch.nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().flatten().double() for p in module.parameters()])


def test_an_integer_determines_the_network() -> None:
    first, again, other = (flat(to_module(DENSE, (5,), 6, random_state=s)) for s in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_none_draws_anew_and_generators_advance() -> None:
    assert not torch.equal(flat(to_module(DENSE, (5,), 6)), flat(to_module(DENSE, (5,), 6)))
    generator = generator_from(0)
    first, second = (flat(to_module(DENSE, (5,), 6, random_state=generator)) for _ in range(2))
    assert torch.equal(first, flat(to_module(DENSE, (5,), 6, random_state=0)))
    assert not torch.equal(first, second)


def test_precision_only_rounds_the_parameters() -> None:
    double = flat(to_module(DENSE, (5,), 6, random_state=0))
    single = flat(to_module(DENSE, (5,), 6, random_state=0, dtype=torch.float32))
    assert torch.equal(double.float().double(), single)


@pytest.mark.slow  # starts an interpreter and imports torch
def test_another_process_draws_the_same_networks() -> None:
    code = (
        "from ntk_sklearn.architecture import Dense; from ntk_sklearn.finite import Networks;"
        "nets = Networks(Dense(), (3,), 1, n_networks=2, random_state=5);"
        "print([n.body.weight.tolist() for n in nets])"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    here = [n.body.weight.tolist() for n in Networks(Dense(), (3,), 1, 2, 5)]
    assert answer.strip() == str(here)


def test_networks_are_independent_and_repeat(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Networks(DENSE, (5,), 6, n_networks=3)
    monkeypatch.setattr(draws, "KEPT_BYTES", 0)
    anew = Networks(DENSE, (5,), 6, n_networks=3)
    assert len(anew) == 3
    for _ in range(2):
        for a, b in zip(kept, anew, strict=True):
            assert torch.equal(flat(a), flat(b))
    found = [flat(n) for n in kept]
    assert not any(torch.equal(a, b) for a, b in zip(found, found[1:] + found[:1], strict=True))


def test_more_networks_begin_with_the_same_ones() -> None:
    few, many = spawn(7, 2), spawn(7, 5)
    assert [g.initial_seed() for g in many[:2]] == [g.initial_seed() for g in few]


@pytest.mark.parametrize("bad", [None, 1.0, -1, True, torch.Generator()])
def test_several_networks_need_an_integer(bad: object) -> None:
    with pytest.raises((TypeError, ValueError), match="random_state"):
        Networks(Dense(), (3,), 2, random_state=bad)  # type: ignore[arg-type]
