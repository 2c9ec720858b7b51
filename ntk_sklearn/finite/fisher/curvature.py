"""What Gauss-Newton, Fisher and empirical Fisher matrices of any torch module have in common."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from numbers import Real
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..tangent import Inputs, Jacobian, ModuleFunction, as_function
from ..tangent.pieces import Pieces
from . import eigenpairs
from .eigenpairs import Eigenpairs
from .factor import Factor
from .losses import Loss, output_gradient
from .natural import Inverse
from .operators import Dual, Normal, to_numpy
from .roots import Root
from .targets import checked_targets, row_shares


class Curvature(Normal):
    """A^T A of a factor with a few rows ``sqrt(c_i) R_i^T J_i`` for each row i of the inputs.

    Parameters and attributes are those of `GaussNewton`; subclasses say what R is.
    """

    def __init__(
        self,
        module: nn.Module | ModuleFunction,
        X: Inputs,
        loss: Loss,
        y: Any = None,
        *,
        sample_weight: Any = None,
        parameters: Sequence[str] | None = None,
        dtype: torch.dtype | None = None,
        memory_budget: int | str | None = None,
    ) -> None:
        self.loss, self.function = loss, as_function(module, parameters, dtype)
        jacobian = Jacobian(self.function, self.function.values, self.function.prepare(X))
        pieces = Pieces(jacobian, memory_budget)
        self.outputs = _finite(pieces.outputs())
        self.targets = None if y is None else checked_targets(loss, y, self.outputs)
        self._shares = row_shares(sample_weight, self.outputs)
        super().__init__(Factor(pieces, self._root(), self._shares.sqrt()))

    def _root(self) -> Root:
        raise NotImplementedError

    @cached_property
    def dual(self) -> Dual:
        """A A^T, on the side of the rows."""
        return Dual(self.factor)

    def top_eigenpairs(self, k: int, *, random_state: int = 0) -> Eigenpairs:
        """The k largest eigenvalues, and the eigenvectors of both sides, by Lanczos.

        Parameters
        ----------
        k : int
        random_state : int, default=0
            Of the vectors that Lanczos starts from.

        Returns
        -------
        Eigenpairs
            In the operators' precision.

        Raises
        ------
        ValueError
            If fewer than k eigenvalues are not zero.
        ArithmeticError
            If the residuals exceed the square root of the precision.
        """
        return eigenpairs.top_eigenpairs(self, self.dual, k, random_state)

    def to_parameters(self, u: np.ndarray, values: Any) -> np.ndarray:
        """Eigenvectors v = A^T u / sqrt(value) of F for eigenvectors u of the dual.

        Parameters
        ----------
        u : ndarray, (n * rank,) or (n * rank, q)
        values : float or ndarray, (q,)
            Their eigenvalues.

        Returns
        -------
        ndarray, (n_parameters,) or (n_parameters, q)
            Of unit length; `to_dual` takes them back to u over its length, in sign, too.

        Raises
        ------
        ValueError
            If an eigenvalue is zero up to rounding, or not that of the vector.
        """
        return eigenpairs.to_parameters(self.dual, u, values)

    def to_dual(self, v: np.ndarray, values: Any) -> np.ndarray:
        """Eigenvectors u = A v / sqrt(value) of the dual for eigenvectors v of F.

        The counterpart of `to_parameters`, with the same errors.
        """
        return eigenpairs.to_dual(self, v, values)

    def gradient(self) -> np.ndarray:
        """The gradient (n_parameters,) of the mean loss."""
        return self._pull(self._output_gradient)

    def solve(self, g: np.ndarray, damping: float = 0.0, *, pinv: bool = False) -> np.ndarray:
        """(F + damping I)^-1 g of any g (n_parameters,), through the smaller side.

        Parameters
        ----------
        g : ndarray, (n_parameters,)
        damping : float, default=0
        pinv : bool, default=False
            Apply the pseudo-inverse F^+ where there is no damping.

        Raises
        ------
        ValueError
            If F is singular up to rounding, and neither damped nor to be pseudo-inverted; if g has
            another shape.
        """
        inverse = self._inverse(damping, pinv)
        if damping == 0 and not pinv and self.dual.shape[0] < self.shape[0]:
            raise ValueError(
                f"F has rank {self.dual.shape[0]} at most of {self.shape[0]}: give damping > 0, or "
                "pinv=True"
            )
        g = np.asarray(g, dtype=self.dtype)
        if g.shape != (self.shape[0],):
            raise ValueError(f"g must have shape ({self.shape[0]},), got {g.shape}")
        return inverse.of(g)

    def natural_gradient(self, damping: float = 0.0, *, pinv: bool = False) -> np.ndarray:
        r"""(F + damping I)^-1 of the mean loss's gradient g; a step goes against it.

        g lies in the row space of A where each row's gradient in the outputs is in the range of its
        Hessian, as it is for the likelihoods: g = A^T s, and

        .. math:: (A^\top A + \delta I)^{-1} A^\top s = A^\top (A A^\top + \delta I)^{-1} s.

        Parameters
        ----------
        damping : float, default=0
            Without damping the smaller of the two matrices must be regular. If that is A A^T (full
            row rank of A), the step changes the outputs so that ``S_i J_i delta`` is the loss's
            gradient in the outputs: J delta = f - y for the squared loss, whatever n and sigma.
        pinv : bool, default=False
            Without damping and full rank, take the shortest least-squares step F^+ g.

        Returns
        -------
        ndarray, (n_parameters,)

        Raises
        ------
        ValueError
            Without y; without damping where the rank is not full, or the loss's gradient is not in
            the range of its Hessian.
        """
        inverse, gradient = self._inverse(damping, pinv), self._output_gradient
        s = self.factor.root.solve(gradient)
        rest = gradient - self.factor.root.apply(s)
        # the roots of an ill-conditioned Hessian leave more than rounding, and still no direction
        if damping == 0 and not pinv and _exceeds(rest, gradient, 0.5):
            raise ValueError(
                "the loss has gradients in directions of the outputs where its Hessian is zero: "
                "give damping > 0, or pinv=True"
            )
        found = inverse.of_row_space(to_numpy((s * self.factor.amplitude[:, None]).flatten()))
        if not _exceeds(rest, gradient, 0.75) or (damping == 0 and not pinv):
            return found
        return found + inverse.of(self._pull(rest))

    @property
    def _output_gradient(self) -> Tensor:
        if self.targets is None:
            raise ValueError("y is missing: gradients need the targets")
        return output_gradient(self.loss, self.outputs, self.targets)

    def _pull(self, cotangent: Tensor) -> np.ndarray:
        weighted = cotangent * self._shares[:, None]
        return to_numpy(self.factor.pieces.vjp(weighted))

    def _inverse(self, damping: float, pinv: bool) -> Inverse:
        if not isinstance(damping, Real) or not 0 <= damping < np.inf:
            raise ValueError(f"damping must be a number that is not negative, got {damping!r}")
        return Inverse(self, self.dual, float(damping), pinv)


def _exceeds(rest: Tensor, whole: Tensor, power: float) -> bool:
    """Whether a part is more than a power of the precision of the whole."""
    return float(rest.norm()) > torch.finfo(whole.dtype).eps ** power * float(whole.norm())


def _finite(outputs: Tensor) -> Tensor:
    if not bool(torch.isfinite(outputs).all()):
        raise ValueError("the module has infinite or undefined outputs for X")
    return outputs
