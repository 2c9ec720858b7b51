"""Small modules, losses and their curvature matrices from explicit Jacobians."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from ntk_sklearn.finite.fisher import (
    BinaryCrossEntropy,
    ConvexLoss,
    SoftmaxCrossEntropy,
    SquaredLoss,
)

N, K = 6, 3


class TwoInputs(nn.Module):
    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Linear(4, K), nn.Linear(2, K, bias=False)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x, z):
        self.calls += 1
        return torch.tanh(self.left(x)) * self.right(z)


class Recurrent(nn.Module):
    """torch.func cannot map it over rows."""

    def __init__(self):
        super().__init__()
        self.cells, self.head = nn.LSTM(2, 2, batch_first=True), nn.Linear(2, K)

    def forward(self, x):
        return self.head(self.cells(x)[0][:, -1])


MODULES = {
    "dense": (lambda: nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, K)), [(4,)]),
    "few parameters": (lambda: nn.Sequential(nn.Linear(4, 1), nn.Tanh(), nn.Linear(1, K)), [(4,)]),
    "linear": (lambda: nn.Linear(4, K), [(4,)]),
    "normalized": (
        lambda: nn.Sequential(
            nn.Conv1d(1, 2, 2), nn.BatchNorm1d(2), nn.ReLU(inplace=True), nn.Flatten(),
            nn.LayerNorm(6), nn.Linear(6, K)
        ),
        [(1, 4)],
    ),
    "two inputs": (TwoInputs, [(4,), (2,)]),
    "recurrent": (Recurrent, [(3, 2)]),
}  # fmt: skip


def module_and_inputs(kind, n=N):
    torch.manual_seed(0)
    make, shapes = MODULES[kind]
    inputs = tuple(torch.randn(n, *shape, dtype=torch.float64) for shape in shapes)
    return make().double().eval(), inputs if len(inputs) > 1 else inputs[0]


def _huberish(outputs, target):
    return torch.sqrt(1 + (outputs - target) ** 2).sum() - len(target)


def _huberish_hessian(outputs, targets):
    return torch.diag_embed((1 + (outputs - targets) ** 2) ** -1.5)


def softmax_hessian(outputs):
    p = torch.softmax(outputs, 1)
    return torch.diag_embed(p) - p[:, :, None] * p[:, None, :]


def logistic_hessian(outputs):
    p = torch.sigmoid(outputs)
    return torch.diag_embed(p * (1 - p))


# the loss, targets, the rows' losses by torch and their Hessians in the outputs by hand
REAL = torch.linspace(-1, 1, N * K, dtype=torch.float64).reshape(N, K).sin()
CLASSES = torch.tensor([0, 2, 1, 1, 0, 2])
LOSSES = {
    "squared": (
        SquaredLoss(0.7), REAL, lambda f: ((f - REAL) ** 2).sum(1) / (2 * 0.7**2),
        lambda f: torch.eye(K).double().expand(N, K, K) / 0.7**2,
    ),
    "softmax": (
        SoftmaxCrossEntropy(), CLASSES, lambda f: F.cross_entropy(f, CLASSES, reduction="none"),
        softmax_hessian,
    ),
    "logistic": (
        BinaryCrossEntropy(), (REAL > 0).double(),
        lambda f: F.binary_cross_entropy_with_logits(
            f, (REAL > 0).double(), reduction="none").sum(1),
        logistic_hessian,
    ),
    "convex": (
        ConvexLoss(_huberish), REAL, lambda f: torch.stack(list(map(_huberish, f, REAL))),
        lambda f: _huberish_hessian(f, REAL),
    ),
    "convex by hessian": (
        ConvexLoss(_huberish, _huberish_hessian), REAL,
        lambda f: torch.stack(list(map(_huberish, f, REAL))), lambda f: _huberish_hessian(f, REAL),
    ),
}  # fmt: skip
LIKELIHOODS = ["squared", "softmax", "logistic"]


def outputs_of(module, inputs):
    return module(*inputs) if isinstance(inputs, tuple) else module(inputs)


def by_loop(scalars, module):
    """Gradients (n, n_parameters) of scalars in the parameters, one backward pass each."""
    parameters = list(module.parameters())
    rows = [torch.autograd.grad(s, parameters, retain_graph=True) for s in scalars.flatten()]
    return torch.stack([torch.cat([g.flatten() for g in row]) for row in rows]).numpy()


def jacobian(module, inputs):
    """(n, k, n_parameters)."""
    outputs = outputs_of(module, inputs)
    return by_loop(outputs, module).reshape(*outputs.shape, -1)


def gauss_newton(module, inputs, hessians, shares):
    """sum_i c_i J_i^T S_i J_i from its definition."""
    J, S = jacobian(module, inputs), hessians(outputs_of(module, inputs).detach()).numpy()
    return np.einsum("i,ikp,ikl,ilq->pq", shares, J, S, J)
