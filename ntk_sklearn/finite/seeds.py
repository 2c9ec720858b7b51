"""Random networks that are the same in every call, process, precision and device."""

from __future__ import annotations

from numbers import Integral

import numpy as np
import torch


def generator_from(random_state: int | torch.Generator | None) -> torch.Generator:
    """A CPU generator: fresh for None, the given one, or one that the integer determines.

    Raises
    ------
    TypeError, ValueError
        For anything else, a negative integer, or a generator that is not on the CPU.
    """
    if isinstance(random_state, torch.Generator):
        if random_state.device.type != "cpu":
            raise ValueError("random_state must be a generator on the CPU: weights are drawn there")
        return random_state
    if random_state is None:
        fresh = torch.Generator()
        fresh.seed()
        return fresh
    return _seeded(np.random.SeedSequence(check_seed(random_state)))


def spawn(random_state: int, n_networks: int) -> list[torch.Generator]:
    """One independent generator per network, determined by the integer alone."""
    root = np.random.SeedSequence(check_seed(random_state))
    return [_seeded(child) for child in root.spawn(n_networks)]


def check_seed(random_state: object) -> int:
    """The integer, or the error that says why it must be one."""
    if isinstance(random_state, bool) or not isinstance(random_state, Integral):
        raise TypeError(f"random_state must be an integer, got {random_state!r}")
    if random_state < 0:
        raise ValueError(f"random_state must not be negative, got {random_state}")
    return int(random_state)


def _seeded(sequence: np.random.SeedSequence) -> torch.Generator:
    return torch.Generator().manual_seed(int(sequence.generate_state(1, np.uint64)[0]))
