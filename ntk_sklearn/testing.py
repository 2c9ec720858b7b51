"""Contracts that parts defined outside the package can be tested against."""

from __future__ import annotations

import math
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np
import torch
from torch import Tensor

from .duals import DualActivation, GaussianPair

__all__ = ["check_activation"]

_CORRELATIONS = (-0.9, -0.4, 0.0, 0.5, 0.95)
# Integrals run over +-12 standard deviations, by 12 nodes in panels of 3/4 standard deviations.
_EDGES = torch.linspace(-12.0, 12.0, 33, dtype=torch.float64)
_NODES, _WEIGHTS = map(torch.as_tensor, np.polynomial.legendre.leggauss(12))


def check_activation(
    activation: DualActivation,
    *,
    kinks: Sequence[float] = (0.0,),
    variances: Sequence[float] = (0.3, 1.0, 2.5),
    rtol: float = 1e-8,
) -> None:
    r"""Check that a dual activation is what the recursions take it for.

    Compared with quadrature of ``phi`` are ``variance`` and ``covariance``; with the derivative of
    the covariance, the second value of ``covariance`` (Price's theorem, :math:`\dot T = \partial T
    / \partial \mathrm{cov}`; not for classes that set ``absolutely_continuous = False``). Further:
    dtype and shape of the values; symmetry in x and z; ``variance`` equal to the covariance at
    angle 0; finite values and gradients at angles 0 and pi and at zero variance; ``sine2``, if
    given, equal to ``1 - T^2 / (T_xx T_zz)``; equal copies from pickle, with equal hashes.

    Parameters
    ----------
    activation : DualActivation
    kinks : sequence of float
        Where phi or its derivative jumps: the quadrature is split there. Kinks that are not
        declared look like wrong covariances.
    variances : sequence of float
        Variances of the Gaussian pairs; choose smaller ones for an activation whose expectations
        are infinite at large ones.
    rtol : float
        Tolerance, relative to ``sqrt(T_xx T_zz)``.

    Raises
    ------
    AssertionError
        With the name of what failed and the values on both sides.

    Examples
    --------
    >>> from ntk_sklearn.duals import ReLU
    >>> from ntk_sklearn.testing import check_activation
    >>> check_activation(ReLU())
    """
    contract = _Contract(activation, tuple(kinks), rtol)
    v = torch.tensor(variances, dtype=torch.float64)
    grid = [
        (x, z, r) for x, z in combinations_with_replacement(variances, 2) for r in _CORRELATIONS
    ]
    x, z, rho = torch.tensor(grid, dtype=torch.float64).T
    pair = GaussianPair(rho * (x * z).sqrt(), x, z)
    contract.is_data()
    contract.keeps_form(variances[0])
    contract.has_moments(pair)
    contract.is_symmetric(pair)
    contract.has_derivative(pair)
    contract.has_sine2(pair)
    contract.survives_boundary(v)


@dataclass(frozen=True)
class _Contract:
    """The parts of `check_activation`."""

    activation: DualActivation
    kinks: tuple[float, ...]
    rtol: float

    def require(self, condition: object, message: str) -> None:
        if not condition:
            raise AssertionError(f"{self.activation!r}: {message}")

    def compare(self, name: str, value: Tensor, expected: Tensor, tolerance: Tensor) -> None:
        wrong = ~((value - expected).abs() <= tolerance)  # NaN is wrong, too
        if wrong.any():
            got, right = value[wrong][0].item(), expected[wrong][0].item()
            self.require(False, f"{name}: is {got:.12g}, expected {right:.12g}")

    def scale(self, pair: GaussianPair) -> Tensor:
        own = self.activation.variance(pair.var_x) * self.activation.variance(pair.var_z)
        return self.rtol * own.sqrt()

    def is_data(self) -> None:
        twin = pickle.loads(pickle.dumps(self.activation))
        same = twin == self.activation and hash(twin) == hash(self.activation)
        self.require(same, "pickle: the copy differs in == or hash (use a frozen dataclass)")

    def keeps_form(self, v: float) -> None:
        for dtype in (torch.float32, torch.float64):
            cov, x, z = (torch.full(s, v, dtype=dtype) for s in ((2, 3), (2, 1), (1, 3)))
            value, slope = self.activation.covariance(GaussianPair(0.5 * cov, x, z))
            of = (("covariance", value, cov), ("derivative", slope, cov))
            for name, found, like in (*of, ("variance", self.activation.variance(x), x)):
                form, wanted = (found.dtype, *found.shape), (like.dtype, *like.shape)
                self.require(form == wanted, f"form of the {name}: is {form}, expected {wanted}")

    def has_moments(self, pair: GaussianPair) -> None:
        own = self.moments(pair.var_x, pair.var_x, pair.var_x)
        self.compare("variance", self.activation.variance(pair.var_x), own, self.rtol * own)
        expected = self.moments(pair.cov, pair.var_x, pair.var_z)
        value, _ = self.activation.covariance(pair)
        self.compare("covariance", value, expected, self.scale(pair))

    def is_symmetric(self, pair: GaussianPair) -> None:
        value, slope = self.activation.covariance(pair)
        swapped = self.activation.covariance(GaussianPair(pair.cov, pair.var_z, pair.var_x))
        self.compare("symmetry of the covariance", value, swapped[0], self.scale(pair))
        self.compare("symmetry of the derivative", slope, swapped[1], self.rtol * slope.abs())

    def has_derivative(self, pair: GaussianPair) -> None:
        if not self.activation.absolutely_continuous:
            return
        cov = pair.cov.clone().requires_grad_()
        value, slope = self.activation.covariance(GaussianPair(cov, pair.var_x, pair.var_z))
        expected = _gradients(value, (cov,))[0]
        self.compare("derivative (Price)", slope, expected, self.rtol * slope.abs().max())

    def has_sine2(self, pair: GaussianPair) -> None:
        sine2 = self.activation.sine2(pair)
        if sine2 is not None:
            value, _ = self.activation.covariance(pair)
            cosine = value * self.rtol / self.scale(pair)
            self.compare("sine2", sine2, 1.0 - cosine**2, torch.full_like(value, self.rtol))

    def survives_boundary(self, v: Tensor) -> None:
        own, zero = self.activation.variance(v), torch.zeros_like(v)
        value, _ = self.activation.covariance(GaussianPair(v, v, v))
        self.compare("variance against the covariance at angle 0", own, value, 1e-13 * own)
        self.survives("angle 0", v, v, v)
        self.survives("angle pi", -v, v, v)
        self.survives("zero variance of x", zero, zero, v)
        self.survives("zero variance of z", zero, v, zero)
        self.survives("zero variances", zero, zero, zero)

    def survives(self, name: str, *pair: Tensor) -> None:
        leaves = tuple(value.clone().requires_grad_() for value in pair)
        found = dict(
            zip(
                ("covariance", "derivative"),
                self.activation.covariance(GaussianPair(*leaves)),
                strict=True,
            )
        )
        for what, value in found.items():
            self.require(value.isfinite().all(), f"{what} at {name}: is {value.tolist()}")
            for of, g in zip(("cov", "var_x", "var_z"), _gradients(value, leaves), strict=True):
                message = f"{what} at {name}: its gradient in {of} is {g.tolist()}"
                self.require(g.isfinite().all(), message)
        tolerance = self.rtol * self.activation.variance(pair[1] + pair[2])
        value = found["covariance"].detach()
        self.compare(f"covariance at {name}", value, self.moments(*pair), tolerance)

    def moments(self, cov: Tensor, var_x: Tensor, var_z: Tensor) -> Tensor:
        triples = zip(cov.tolist(), var_x.tolist(), var_z.tolist(), strict=True)
        return torch.stack([self.moment(*triple) for triple in triples])

    def moment(self, cov: float, var_x: float, var_z: float) -> Tensor:
        """E[phi(u) phi(v)] for u = sd_x s and v = sd_z (rho s + rest t), both s and t standard."""
        phi, sd_x, sd_z = self.activation.phi, math.sqrt(var_x), math.sqrt(var_z)
        rho = cov / (sd_x * sd_z) if sd_x and sd_z else 0.0
        rest = math.sqrt(max(1.0 - rho * rho, 0.0))
        outer = [k / sd for k in self.kinks for sd in (sd_x, rho * sd_z) if sd]
        s, weight = _gauss(torch.tensor(outer, dtype=torch.float64))
        t, inner = torch.zeros(len(s), 1, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
        if rest and sd_z:
            cuts = torch.tensor(self.kinks, dtype=torch.float64) / sd_z
            t, inner = _gauss((cuts - rho * s[:, None]) / rest)
        conditional = (inner * phi(sd_z * (rho * s[:, None] + rest * t))).sum(-1)
        return (weight * phi(sd_x * s) * conditional).sum()


def _gauss(cuts: Tensor) -> tuple[Tensor, Tensor]:
    """Nodes and weights of a standard Gaussian by panels, split at `cuts` (along the last axis)."""
    regular = _EDGES.expand(*cuts.shape[:-1], -1)
    edges = torch.cat([regular, cuts.clamp(_EDGES[0], _EDGES[-1])], dim=-1).sort(-1).values
    half, left = edges.diff(dim=-1).unsqueeze(-1) / 2.0, edges[..., :-1].unsqueeze(-1)
    nodes = (left + half * (1.0 + _NODES)).flatten(-2)
    density = torch.exp(-0.5 * nodes * nodes) / math.sqrt(2.0 * math.pi)
    return nodes, (half * _WEIGHTS).flatten(-2) * density


def _gradients(value: Tensor, leaves: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    if not value.requires_grad:
        return tuple(map(torch.zeros_like, leaves))
    found = torch.autograd.grad(value.sum(), leaves, retain_graph=True, allow_unused=True)
    return tuple(
        torch.zeros_like(leaf) if g is None else g for leaf, g in zip(leaves, found, strict=True)
    )
