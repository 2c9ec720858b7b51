"""Classification with probabilities by the Bayesian infinitely wide network."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin

from ..inference import (
    class_probabilities,
    condition,
    dirichlet_labels,
    posterior_variance,
)
from ..kernels import NNGP
from ..solvers import Factorization
from ._base import KernelEstimator, check_weights, encode_labels
from ._docs import estimator_docs


@estimator_docs
class NNGPClassifier(ClassifierMixin, KernelEstimator):
    r"""Class probabilities of a Bayesian network of infinite width.

    One Gaussian process per class with the network's covariance K as prior, conditioned on labels
    that are turned into targets with noise of known variance (Dirichlet-based classification,
    Milios et al. 2018). The probabilities are the mean softmax of the latent functions.

    Parameters
    ----------
    {network}
    class_weight : dict, "balanced" or None, default=None
        Multiplies the sample weights, as in scikit-learn.
    {evaluation}

    Attributes
    ----------
    classes_ : ndarray, (n_classes,)
    dual_coef_ : ndarray, (n, n_classes)
    L_ : ndarray, (n_classes, n, n)
        Cholesky factors, one per class.
    latent_mean_ : ndarray, (n_classes,)
        Prior mean of each class's latent function.
    latent_scale_ : ndarray, (n_classes,)
        Factor of the prior covariance of each class.
    jitter_ : float
        The largest amount that had to be added to a diagonal, usually 0.
    {fitted}

    See Also
    --------
    NTKClassifier : Squared loss, faster, without probabilities.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from ntk_sklearn import NNGPClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> NNGPClassifier().fit(X, y).predict_proba(X[:1]).round(1)
    array([[1., 0., 0.]])
    """

    _kernel_type = NNGP

    def __init__(
        self,
        network: Any = None,
        *,
        image_shape: tuple[int, ...] | None = None,
        class_weight: Any = None,
        backend: str = "auto",
        device: str = "auto",
        dtype: str = "float64",
        memory_budget: int | str | None = None,
    ) -> None:
        self.network = network
        self.image_shape = image_shape
        self.class_weight = class_weight
        self.backend = backend
        self.device = device
        self.dtype = dtype
        self.memory_budget = memory_budget

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> NNGPClassifier:
        """Condition the prior on labels.

        Parameters
        ----------
        X : array-like, (n, n_features) or images (n, channels, height, width)
        y : array-like, (n,)
            Labels of at least two classes.
        sample_weight : array-like, (n,), default=None
            Divides the noise of a label; 0 leaves the row out.

        Returns
        -------
        NNGPClassifier
            Itself.
        """
        rows, y, kernel = self._fit_rows(X, y)
        weight = check_weights(sample_weight, rows)
        rows = rows[weight > 0]
        classes, codes, weight = encode_labels(y, weight, self.class_weight)
        targets, noise = dirichlet_labels(codes, len(classes))
        noise = noise / weight[:, np.newaxis]
        K = np.asarray(kernel(rows), dtype=np.float64)
        mean, scale = latent_prior(K, targets, weight)
        posteriors = [
            condition(scale[k] * K, targets[:, k : k + 1] - mean[k], noise[:, k])
            for k in range(len(classes))
        ]
        self.kernel_, self.X_fit_, self.classes_ = kernel, rows, classes
        self.latent_mean_, self.latent_scale_ = mean, scale
        self.L_ = np.stack([p.factorization.lower for p in posteriors])
        self.jitter_ = max(p.factorization.jitter for p in posteriors)
        self.dual_coef_ = np.concatenate([p.coefficients for p in posteriors], axis=1)
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities of the classes.

        Parameters
        ----------
        X : array-like, (m, n_features) or images

        Returns
        -------
        ndarray, (m, n_classes)
            Rows sum to 1, columns in the order of `classes_`.
        """
        rows = self._new_rows(X)
        K_cross, prior = self.kernel_(rows, self.X_fit_), self.kernel_.diag(rows)
        mean = K_cross @ self.dual_coef_ * self.latent_scale_ + self.latent_mean_
        variance = [
            posterior_variance(Factorization(lower, 0.0), scale * K_cross, scale * prior)
            for lower, scale in zip(self.L_, self.latent_scale_, strict=True)
        ]
        return class_probabilities(mean, np.stack(variance, axis=1))

    def predict(self, X: Any) -> np.ndarray:
        """The most probable class.

        Parameters
        ----------
        X : array-like, (m, n_features) or images

        Returns
        -------
        ndarray, (m,)
        """
        codes = self.predict_proba(X).argmax(axis=1)
        labels: np.ndarray = self.classes_[codes]
        return labels


def latent_prior(
    K: np.ndarray, targets: np.ndarray, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Prior mean and covariance factor of every class, matched to the moments of its targets.

    The factor makes the expected variance over the training rows of a draw from the prior equal
    the weighted variance of the targets.
    """
    share = weight / weight.sum()
    mean = share @ targets
    spread = share @ (targets - mean) ** 2
    within = share @ np.diag(K) - share @ K @ share
    floor = np.finfo(np.float64).eps * float(np.trace(K))
    return mean, spread / max(within, floor)
