"""Kernels of several outputs: their forms, and sums of products of gradients.

While sums are formed a kernel is a stack of matrices (b, N, M): one with all outputs of all rows
("full"), one for each output ("diagonal"), or one that sums over the outputs ("trace", "mean").
"""

from __future__ import annotations

import torch
from torch import Tensor

FORMS = ("mean", "trace", "diagonal", "full")
# Rows of a Gram's blocks: those below the diagonal are not computed.
_LEAST, _MOST_BLOCKS = 128, 8


def kind(form: str) -> str:
    """The form whose sums are formed: a mean is a trace until the end."""
    return "trace" if form == "mean" else form


def stack_shape(form: str, n: int, m: int, k: int) -> tuple[int, int, int]:
    """(b, N, M) of rows with k outputs each."""
    return {"full": (1, n * k, m * k), "diagonal": (k, n, m), "trace": (1, n, m)}[kind(form)]


def stacked(form: str, gradients: Tensor) -> Tensor:
    """Gradients (n, k, p) as the factor (b, N, p') of a stack."""
    if form == "full":
        return gradients.flatten(0, 1)[None]
    return gradients.transpose(0, 1) if form == "diagonal" else gradients.flatten(1)[None]


def add_products(total: Tensor, form: str, left: Tensor, right: Tensor) -> None:
    """Add products of gradients (n, k, p) and (m, k, p); above the diagonal if they are one."""
    a = stacked(kind(form), left)
    if left is not right:
        total.baddbmm_(a, stacked(kind(form), right).mT)
        return
    step = max(_LEAST, -(-a.shape[1] // _MOST_BLOCKS))
    for start in range(0, a.shape[1], step):
        rows = slice(start, start + step)
        total[:, rows, start:].baddbmm_(a[:, rows], a[:, start:].mT)


def symmetric(total: Tensor, form: str, squares: Tensor) -> Tensor:
    """A Gram from what is above its diagonal, and the squares (n, k) of the gradients."""
    upper = total.triu_(1)
    lower = torch.empty_like(upper)
    for target, matrix in zip(lower, upper, strict=True):
        target.copy_(matrix.mT)  # by blocks; sums with a transposed matrix go by strides
    diagonal = {"full": squares.reshape(1, -1), "diagonal": squares.mT}.get(form)
    if diagonal is None:
        diagonal = squares.sum(1)[None]
    found = lower.add_(upper)
    found.diagonal(dim1=1, dim2=2).copy_(diagonal)
    return found


def shaped(total: Tensor, form: str, k: int) -> Tensor:
    """A stack as it is returned: (n, m), (n, m, k) or (n, k, m, k)."""
    if form == "full":
        return total[0].unflatten(1, (-1, k)).unflatten(0, (-1, k))
    if form == "diagonal":
        return total.permute(1, 2, 0).contiguous()
    return total[0] / k if form == "mean" else total[0]


def transposed(found: Tensor, form: str) -> Tensor:
    """K(z, x) from K(x, z), as `shaped` has it."""
    return found.permute(2, 3, 0, 1) if form == "full" else found.transpose(0, 1)


def diagonal(squares: Tensor, form: str) -> Tensor:
    """The diagonal of a Gram from the squares (n, k) of the gradients."""
    if form in ("full", "diagonal"):
        return squares
    total = squares.sum(1)
    return total / squares.shape[1] if form == "mean" else total


def by_stack(form: str, found: Tensor) -> Tensor:
    """Products (n, m), (k, n, m) or (n, k, m, k) as a stack."""
    if form == "full":
        return found.flatten(2).flatten(0, 1)[None]
    return found if form == "diagonal" else found[None]


def reduced(full: Tensor, form: str) -> Tensor:
    """The stack of another form from all products (n, k, m, k)."""
    if form == "full":
        return by_stack(form, full)
    blocks = torch.diagonal(full, dim1=1, dim2=3)
    return blocks.permute(2, 0, 1) if form == "diagonal" else blocks.sum(2)[None]
