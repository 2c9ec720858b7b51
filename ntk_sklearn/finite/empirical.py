r"""Kernels of given networks of finite width: empirical NNGP and empirical NTK.

.. math:: \hat K(x, z) = \operatorname{cov}[f(x), f(z) \mid \text{hidden layers}], \qquad
          \hat\Theta(x, z) = \sum_{\theta} \partial_\theta f(x) \, \partial_\theta f(z)

The first is the covariance of the output over the weights and biases of the readouts (affine
layers that reach the output past all others), given what they read: with a dense readout
:math:`w^2 / n \; h h^T + b^2` of the last hidden layer h. The second runs over all trained
parameters (Jacot et al. 2018), summed layer by layer: no array holds the gradients of all rows.
Behind a final Flatten both are the mean over its outputs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from torch import Tensor

from .affine import Affine
from .contract import bias_gradients, weight_products, weight_squares
from .modules import FiniteNetwork
from .signals import Signals, record


def empirical_nngp(module: FiniteNetwork, x: Tensor, z: Tensor | None = None) -> Tensor:
    """Covariance (n, m) of the output over the readout's parameters, all others given.

    Parameters
    ----------
    module : FiniteNetwork
        A network with one output channel; several are copies of one in this covariance.
    x, z : Tensor, (n, n_features) or (n, channels, *spatial)
        Rows and columns; None for z gives the Gram, exactly symmetric.
    """
    return _of_rows(module, x, z, "nngp")


def empirical_ntk(module: FiniteNetwork, x: Tensor, z: Tensor | None = None) -> Tensor:
    """Product (n, m) of the gradients by all trained parameters.

    Parameters
    ----------
    module : FiniteNetwork
        A network with one output channel; of several the mean of their kernels is taken.
    x, z : Tensor, (n, n_features) or (n, channels, *spatial)
        Rows and columns; None for z gives the Gram, exactly symmetric.
    """
    return _of_rows(module, x, z, "ntk")


def _of_rows(module: FiniteNetwork, x: Tensor, z: Tensor | None, quantity: str) -> Tensor:
    a = record(module, x, ntk=quantity == "ntk")
    if z is None:
        return gram(a, quantity)
    return products(a, record(module, z, ntk=quantity == "ntk"), quantity)


class _Term(NamedTuple):
    """The contribution of one layer: its coefficients and the derivatives behind it."""

    layer: Affine
    weight: float
    bias: float
    tangents: Tensor


def products(a: Signals, b: Signals, quantity: str) -> Tensor:
    """The kernel (n, m) of the rows of `a` with the rows of `b`."""
    total = next(iter(a.inputs.values())).new_zeros(_length(a), _length(b))
    for (layer, weight, bias, d), (_, _, _, d2) in zip(
        _terms(a, quantity), _terms(b, quantity), strict=True
    ):
        if weight:
            found = weight_products(layer, a.inputs[layer], d, b.inputs[layer], d2)
            total.add_(found, alpha=weight)
        if bias:
            left, right = bias_gradients(layer, d), bias_gradients(layer, d2)
            total.addmm_(left, right.mT, alpha=bias)
    return total


def squares(a: Signals, quantity: str) -> Tensor:
    """The kernel (n,) of every row with itself."""
    total = next(iter(a.inputs.values())).new_zeros(_length(a))
    for layer, weight, bias, d in _terms(a, quantity):
        if weight:
            total.add_(weight_squares(layer, a.inputs[layer], d), alpha=weight)
        if bias:
            total.add_(bias_gradients(layer, d).square().sum(1), alpha=bias)
    return total


def gram(a: Signals, quantity: str) -> Tensor:
    """The kernel (n, n) of the rows of `a`: exactly symmetric, its diagonal that of `squares`."""
    upper = products(a, a, quantity).triu_(1)
    return (upper + upper.mT).diagonal_scatter(squares(a, quantity))


def _terms(a: Signals, quantity: str) -> Iterator[_Term]:
    if quantity == "ntk":
        for layer, d in a.tangents.items():
            yield _Term(layer, layer.weight_ntk / a.n_outputs, layer.bias_ntk / a.n_outputs, d)
        return
    for layer, d in a.readout.items():
        weight, bias = layer.weight_variance / a.n_outputs, layer.bias_variance / a.n_outputs
        yield _Term(layer, weight, bias, d.expand(_length(a), *d.shape))


def _length(a: Signals) -> int:
    return len(next(iter(a.inputs.values())))
