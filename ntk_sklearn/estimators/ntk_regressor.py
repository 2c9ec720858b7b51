"""Regression by a trained network of infinite width."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from sklearn.base import MultiOutputMixin, RegressorMixin

from ..inference import target_scale
from ._base import check_weights
from ._docs import estimator_docs
from ._trained import TrainedNetwork


@estimator_docs
class NTKRegressor(MultiOutputMixin, RegressorMixin, TrainedNetwork):
    r"""The mean prediction of an infinitely wide network, trained to convergence or for a time.

    Gradient descent on squared loss moves an infinitely wide network as a linear model in its
    tangent features; trained from a zero initial function it ends in
    :math:`f(x) = \Theta(x, X)\,\Theta(X, X)^{-1} y`, which is also the mean over initializations
    (Jacot et al. 2018; Lee et al. 2019, eq. 14). `alpha` penalizes the distance that the parameters
    travel: :math:`\Theta + \alpha\, m\, \mathrm{diag}(1 / w)` with m the weighted mean of the
    diagonal of :math:`\Theta` and w the sample weights. After a time t of gradient flow every
    eigenmode of :math:`\Theta` with eigenvalue v has been learned up to exp(-v t).

    Parameters
    ----------
    {network}
    {alpha}
    {time}
    normalize_y : bool, default=True
        Centre and scale y by its weighted mean and standard deviation before training.
    {evaluation}

    Attributes
    ----------
    dual_coef_ : ndarray, (n, n_targets)
        Coefficients of the rows of `X_fit_`, in the units of y.
    ridge_ : float
        The ridge in the units of the kernel.
    jitter_ : float
        What had to be added to the diagonal besides, usually 0.
    y_mean_ : ndarray, (n_targets,)
        The constant added to the predictions.
    {trained}
    {fitted}

    See Also
    --------
    NNGPRegressor : Bayesian posterior with error bars.
    ntk_sklearn.kernels.NTK : The kernel, for other learners.

    Examples
    --------
    >>> import numpy as np
    >>> from ntk_sklearn import NTKRegressor
    >>> X = np.linspace(-2, 2, 20)[:, np.newaxis]
    >>> NTKRegressor().fit(X, np.sin(X[:, 0])).predict([[0.0]]).round(2) + 0.0
    array([0.])
    """

    def __init__(
        self,
        network: Any = None,
        *,
        image_shape: tuple[int, ...] | None = None,
        alpha: float = 1e-4,
        t: float = math.inf,
        loss_scale: str = "sum",
        normalize_y: bool = True,
        backend: str = "auto",
        device: str = "auto",
        dtype: str = "float64",
        memory_budget: int | str | None = None,
    ) -> None:
        self.network = network
        self.image_shape = image_shape
        self.alpha = alpha
        self.t = t
        self.loss_scale = loss_scale
        self.normalize_y = normalize_y
        self.backend = backend
        self.device = device
        self.dtype = dtype
        self.memory_budget = memory_budget

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> NTKRegressor:
        """Train the infinitely wide network.

        Parameters
        ----------
        X : array-like, (n, n_features) or images (n, channels, height, width)
        y : array-like, (n,) or (n, n_targets)
        sample_weight : array-like, (n,), default=None
            An integer weight counts like a repetition of the row, 0 like its absence.

        Returns
        -------
        NTKRegressor
            Itself.
        """
        rows, y, kernel = self._fit_rows(X, y, multi_output=True, y_numeric=True)
        weight = check_weights(sample_weight, rows)
        used = weight > 0
        rows, weight = rows[used], weight[used]
        targets = np.asarray(y, dtype=np.float64)[used].reshape(len(rows), -1)
        scale = target_scale(targets, weight, self.normalize_y)
        fitted = self._train(kernel, rows, scale.normalized(targets), weight)
        for name in ("dual_coef_", "targets_"):
            fitted[name] = fitted[name] * scale.std
        self._set(fitted | {"y_mean_": scale.mean, "_one_target": y.ndim == 1})
        return self

    def predict(self, X: Any, t: Any = None) -> np.ndarray:
        """Outputs of the trained network.

        Parameters
        ----------
        X : array-like, (m, n_features) or images
        t : float or array-like, optional
            Training times instead of the constructor's. Unless `fit` was for a finite time or
            without a ridge, the kernel of the training rows is decomposed anew at each call.

        Returns
        -------
        ndarray, (m,) or (m, n_targets)
            With a leading axis for an array of times.
        """
        found = self._outputs(self._new_rows(X), t) + self.y_mean_
        return found[..., 0] if self._one_target else found
