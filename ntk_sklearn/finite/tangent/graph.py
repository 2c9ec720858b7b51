"""Memory of the graphs that backward passes need."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

import torch
from torch import Tensor

R = TypeVar("R")


def kept_bytes(run: Callable[[], R], beside: Iterable[Tensor]) -> tuple[R, int]:
    """What a call returns, and the bytes of the tensors that its graph keeps.

    Views of one storage are counted once, and not at all those of the tensors `beside`.
    """
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    own = {tensor.untyped_storage().data_ptr() for tensor in beside}
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        found = run()
    return found, sum(size for where, size in kept.items() if where not in own)
