"""Gradients that recompute the recursion tile by tile, against the recursion kept whole."""

from __future__ import annotations

import pytest
import torch
from gpytorch_kernels import CASES, make, relative, rows

from ntk_sklearn.kernels import NTKKernel, _differentiable, _evaluate
from ntk_sklearn.kernels._differentiable import DifferentiableKernel
from ntk_sklearn.networks import FullyConnected

each = pytest.mark.parametrize("case", CASES)
CALLS = {
    "gram": lambda kernel, x, z: kernel(x).to_dense(),
    "cross": lambda kernel, x, z: kernel(x, z).to_dense(),
    "diagonal": lambda kernel, x, z: kernel(x, diag=True),
    "pairs": lambda kernel, x, z: kernel(x[..., :4, :], z[..., :4, :], diag=True),
}
calls = pytest.mark.parametrize("call", CALLS)
GENERIC = rows(7), rows(5, seed=1)
BATCH = rows(21).reshape(3, 7, 6), rows(10, seed=1).reshape(2, 1, 5, 6)
# zero, equal and antiparallel rows, in both arguments
SPECIAL = rows(7), torch.cat([rows(7)[:2], 0.0 * rows(1), -rows(7)[2:4]])
SPECIAL[0][5], SPECIAL[0][6] = 0.0, SPECIAL[0][1]


@pytest.fixture
def tiled(monkeypatch):
    """However small a matrix is, it goes by tiles of two rows."""
    monkeypatch.setattr(_differentiable, "_SMALL", 0.0)
    monkeypatch.setattr(_evaluate, "gradient_side", lambda *_: 2)


@pytest.fixture
def pieces(monkeypatch):
    """The shapes of the tiles of which the recursion is computed."""
    shapes, entries = [], DifferentiableKernel.entries

    def counted(self, x, z, scales):
        shapes.append((len(x), x.shape[1], 1 if z is None else z.shape[1]))
        return entries(self, x, z, scales)

    monkeypatch.setattr(DifferentiableKernel, "entries", counted)
    return shapes


def gradients(kernel, call, inputs):
    """A matrix, and derivatives in all parameters and rows for weights that are not symmetric."""
    x, z = (t.clone().requires_grad_() for t in inputs)
    value = CALLS[call](kernel, x, z)
    weights = torch.randn(value.shape, generator=torch.manual_seed(2), dtype=value.dtype)
    leaves = [*kernel.parameters(), x, *([z] if call in ("cross", "pairs") else [])]
    return [value.detach(), *torch.autograd.grad(value, leaves, weights)]


def assert_same(found, expected, tolerance=1e-12):
    for value, right in zip(found, expected, strict=True):
        assert value.isfinite().all()
        assert relative(value, right) < tolerance


@each
@calls
@pytest.mark.parametrize("inputs", [GENERIC, SPECIAL, BATCH], ids=["generic", "special", "batch"])
def test_gradients_are_those_of_the_recursion_kept_whole(case, call, inputs, request):
    kernel = make(case, ard_num_dims=6)
    expected = gradients(kernel, call, inputs)
    request.getfixturevalue("tiled")
    assert_same(gradients(kernel, call, inputs), expected)


@each
@calls
def test_batch_of_kernels_in_pieces(case, call, request, monkeypatch):
    kernel = make(case, batch_shape=torch.Size([2]))
    inputs = BATCH[0].unsqueeze(1), BATCH[1][:, 0]
    kernel.set_scale(next(iter(kernel.scales)), torch.tensor([0.8, 1.4]).reshape(2, 1, 1))
    expected = gradients(kernel, call, inputs)
    request.getfixturevalue("tiled")
    assert_same(gradients(kernel, call, inputs), expected)
    monkeypatch.setattr(_differentiable, "_SMALL", 1.0)
    monkeypatch.setattr(_evaluate, "gradient_side", lambda *_: 10)  # two matrices in a piece
    assert_same(gradients(kernel, call, inputs), expected)


@pytest.mark.usefixtures("tiled")
@pytest.mark.filterwarnings("ignore:Please use `torch.vmap`:FutureWarning")  # torch's own call
@pytest.mark.parametrize("case", ["dense ntk", pytest.param("pooled", marks=pytest.mark.slow)])
@calls
def test_first_and_second_derivatives_agree_with_differences(case, call):
    kernel = make(case, ard_num_dims=6)
    inputs = [t[:3].clone().requires_grad_() for t in GENERIC]

    def value(x, z, *_):
        return CALLS[call](kernel, x, z)

    leaves = (*inputs, *kernel.parameters())
    assert torch.autograd.gradcheck(value, leaves, check_batched_grad=True, fast_mode=True)
    assert torch.autograd.gradgradcheck(value, leaves, fast_mode=True)


@pytest.mark.slow
@pytest.mark.usefixtures("tiled")
def test_all_second_derivatives_of_a_small_gram(monkeypatch):
    monkeypatch.setattr(_evaluate, "gradient_side", lambda *_: 1)
    kernel, x = make("dense nngp"), rows(2).requires_grad_()
    leaves = (x, *kernel.parameters())
    assert torch.autograd.gradgradcheck(lambda *_: kernel(x).to_dense(), leaves)


@pytest.mark.usefixtures("tiled")
@pytest.mark.parametrize(
    "transform",
    [
        lambda f: torch.func.grad(f)(GENERIC[0]),
        lambda f: torch.func.jacrev(torch.func.jacrev(f))(GENERIC[0]),
        lambda f: torch.func.hessian(f)(GENERIC[0]),
        lambda f: torch.func.jvp(f, (GENERIC[0],), (GENERIC[0],))[1],
        lambda f: torch.autograd.functional.jacobian(f, GENERIC[0], vectorize=True),
    ],
    ids=["grad", "jacrev twice", "hessian", "jvp", "vectorized jacobian"],
)
def test_transforms_of_torch_func(transform, monkeypatch):
    kernel = make("dense ntk")

    def value(x):
        return kernel(x).to_dense().square().sum()

    found = transform(value)
    monkeypatch.setattr(_differentiable, "_SMALL", 1.0)
    monkeypatch.setattr(_evaluate, "gradient_side", lambda *_: 99)
    assert relative(found, transform(value)) < 1e-12


@pytest.mark.usefixtures("tiled")
def test_only_upper_tiles_are_computed_again_and_values_are_the_evaluators(pieces, monkeypatch):
    evaluated, matrix = [], _evaluate.matrix
    monkeypatch.setattr(_evaluate, "matrix", lambda *a, **o: evaluated.append(a) or matrix(*a, **o))
    value = make("dense ntk")(rows(8)).to_dense()
    assert (len(evaluated), pieces) == (1, [])
    value.sum().backward()
    assert (len(evaluated), pieces) == (1, [(1, 2, 2)] * 10)


@pytest.mark.usefixtures("tiled")
def test_a_narrow_block_goes_by_tiles_of_as_many_pairs(pieces):
    make("dense ntk")(rows(8), rows(1)).to_dense().sum().backward()
    assert pieces == [(1, 4, 1)] * 2


def test_small_matrices_of_a_batch_go_together(pieces):
    with torch.no_grad():
        make("dense ntk")(rows(60).reshape(20, 3, 6)).to_dense()
    assert pieces == [(20, 3, 3)]


@pytest.mark.usefixtures("tiled")
def test_rows_without_gradients_get_none():
    kernel, x, z = make("dense ntk"), GENERIC[0].clone(), GENERIC[1].clone().requires_grad_()
    for parameter in kernel.parameters():
        parameter.requires_grad_(False)
    kernel(x, z).to_dense().sum().backward()
    assert x.grad is None
    assert z.grad.abs().min() > 0
    assert all(parameter.grad is None for parameter in kernel.parameters())


@pytest.mark.usefixtures("tiled")
def test_empty_matrices():
    x = rows(0).requires_grad_()
    make("dense ntk")(x, rows(3)).to_dense().sum().backward()
    assert x.grad.shape == (0, 6)


def test_backward_passes_that_cannot_fit_are_refused_before_the_forward_pass():
    kernel = NTKKernel(FullyConnected(60), memory_budget="50KB").double()
    with torch.no_grad():
        assert kernel(rows(7)).to_dense().shape == (7, 7)
    with pytest.raises(MemoryError, match="one pair of inputs takes"):
        kernel(rows(7)).to_dense()


def test_finite_widths_have_no_gradients_in_rows():
    kernel = NTKKernel(FullyConnected(1, width=8, n_networks=2))
    assert kernel(rows(2).reshape(2, 1, 6)).to_dense().shape == (2, 1, 1)
    with pytest.raises(RuntimeError, match="no gradients in their inputs"):
        kernel(rows(3).requires_grad_()).to_dense()
