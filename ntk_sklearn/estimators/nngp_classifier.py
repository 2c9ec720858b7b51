"""Classification with probabilities by the Bayesian infinitely wide network."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin

from .._validation import all_or_nothing
from ..inference import (
    best_amplitude,
    class_probabilities,
    condition,
    dirichlet_labels,
    laplace_covariance,
    mean_diagonal,
    posterior_variance,
)
from ..kernels import NNGP
from ..kernels.precomputed import is_precomputed
from ..solvers import Factorization
from ._base import KernelEstimator, check_weights, encode_labels
from ._docs import estimator_docs
from ._progress import reports_progress
from ._rows import training_rows

METHODS = ("dirichlet", "laplace")
OF_LAPLACE = (
    "curvature_",
    "L_shared_",
    "log_marginal_likelihood_value_",
    "left_out_log_probability_",
)


@estimator_docs
class NNGPClassifier(ClassifierMixin, KernelEstimator):
    r"""Class probabilities of a Bayesian network of infinite width.

    One latent Gaussian process per class, with a multiple of the network's covariance K as prior,
    conditioned on the labels in one of two approximate ways. The probabilities are the mean softmax
    of the latent functions.

    Parameters
    ----------
    {network}
    method : {"dirichlet", "laplace"}, default="dirichlet"
        "dirichlet" turns labels into targets with noise of known variance (Milios et al. 2018): one
        linear system per class, with a factor of K that matches the moments of its targets.
        "laplace" puts a normal distribution at the mode of the posterior under the softmax
        likelihood (Rasmussen and Williams 2006, section 3.5), with the one factor of K under which
        training labels that are left out are most probable: some 30 times the work.
    class_weight : dict, "balanced" or None, default=None
        Multiplies the sample weights, as in scikit-learn.
    {evaluation}
    {verbose}

    Attributes
    ----------
    classes_ : ndarray, (n_classes,)
    dual_coef_ : ndarray, (n, n_classes)
    L_ : ndarray, (n_classes, n, n)
        Cholesky factors, one per class: of the covariance of the targets ("dirichlet"), of
        I + D^1/2 K D^1/2 with D the diagonal matrix of a column of `curvature_` ("laplace").
    latent_mean_ : ndarray, (n_classes,)
        Prior mean of each class's latent function, zero for "laplace".
    latent_scale_ : ndarray, (n_classes,)
        Factor of the prior covariance of each class, the same for all with "laplace".
    jitter_ : float
        The largest amount that had to be added to a diagonal, usually 0; always for "laplace".
    curvature_ : ndarray, (n, n_classes)
        Weights times class probabilities at the mode; of "laplace" only.
    L_shared_ : ndarray, (n, n)
        Cholesky factor that joins the classes; of "laplace" only.
    log_marginal_likelihood_value_ : float
        The approximate evidence at this factor; of "laplace" only.
    left_out_log_probability_ : float
        Approximate mean log probability of a training label whose row is left out, which compares
        networks without further fits; of "laplace" only.
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
        method: str = "dirichlet",
        class_weight: Any = None,
        backend: str = "auto",
        device: str = "auto",
        dtype: str = "float64",
        memory_budget: int | str | None = None,
        verbose: int = 0,
    ) -> None:
        self.network = network
        self.image_shape = image_shape
        self.method = method
        self.class_weight = class_weight
        self.backend = backend
        self.device = device
        self.dtype = dtype
        self.memory_budget = memory_budget
        self.verbose = verbose

    @reports_progress(2)
    @all_or_nothing
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> NNGPClassifier:
        """Condition the prior on labels.

        Parameters
        ----------
        X : array-like, (n, n_features) or images (n, channels, height, width)
        y : array-like, (n,)
            Labels of at least two classes.
        sample_weight : array-like, (n,), default=None
            Divides the noise of a label, or multiplies its log likelihood; 0 leaves the row out.

        Returns
        -------
        NNGPClassifier
            Itself.
        """
        if self.method not in METHODS:
            raise ValueError(f"method must be one of {', '.join(METHODS)}, got {self.method!r}")
        refuse_precomputed(self.network)
        rows, y, kernel = self._fit_rows(X, y)
        weight = check_weights(sample_weight, rows)
        data = training_rows(kernel, rows, weight > 0)
        classes, codes, weight = encode_labels(y, weight, self.class_weight)
        infer = fit_laplace if self.method == "laplace" else fit_dirichlet
        K = self._gram(data, "nngp")[0]
        with self._progress("solve"):
            posterior = infer(K, codes, len(classes), weight)
        self.kernel_, self.X_fit_, self.classes_ = kernel, data.reference, classes
        for name in OF_LAPLACE:  # left behind by an earlier fit
            self.__dict__.pop(name, None)
        self.__dict__.update(posterior)
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
        kernel = self.kernel_.of_network("nngp")
        K_cross, prior = kernel.matrix(rows, self.X_fit_)[0], kernel.diagonal(rows)[0]
        mean = K_cross @ self.dual_coef_ * self.latent_scale_ + self.latent_mean_
        return class_probabilities(mean, self._latent_variance(K_cross, prior))

    def _latent_variance(self, K_cross: np.ndarray, prior: np.ndarray) -> np.ndarray:
        """Posterior variances (m, n_classes), or covariances (m, n_classes, n_classes)."""
        if hasattr(self, "curvature_"):
            scale = self.latent_scale_[0]
            return laplace_covariance(
                self.curvature_, self.L_, self.L_shared_, scale * K_cross, scale * prior
            )
        variance = [
            posterior_variance(Factorization(lower, 0.0), scale * K_cross, scale * prior)
            for lower, scale in zip(self.L_, self.latent_scale_, strict=True)
        ]
        return np.stack(variance, axis=1)

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


def fit_dirichlet(
    K: np.ndarray, codes: np.ndarray, n_classes: int, weight: np.ndarray
) -> dict[str, Any]:
    """Fitted attributes of the Dirichlet method."""
    targets, noise = dirichlet_labels(codes, n_classes)
    noise = noise / weight[:, np.newaxis]
    mean, scale = latent_prior(K, targets, weight)
    posteriors = [
        condition(scale[k] * K, targets[:, k : k + 1] - mean[k], noise[:, k])
        for k in range(n_classes)
    ]
    return {
        "latent_mean_": mean,
        "latent_scale_": scale,
        "dual_coef_": np.concatenate([p.coefficients for p in posteriors], axis=1),
        "L_": np.stack([p.factorization.lower for p in posteriors]),
        "jitter_": max(p.factorization.jitter for p in posteriors),
    }


def fit_laplace(
    K: np.ndarray, codes: np.ndarray, n_classes: int, weight: np.ndarray
) -> dict[str, Any]:
    """Fitted attributes of Laplace's method."""
    scale, posterior, left_out = best_amplitude(K, codes, n_classes, weight)
    return {
        "latent_mean_": np.zeros(n_classes),
        "latent_scale_": np.full(n_classes, scale),
        "dual_coef_": posterior.coefficients,
        "L_": posterior.lower,
        "jitter_": 0.0,
        "curvature_": posterior.curvature,
        "L_shared_": posterior.shared,
        "log_marginal_likelihood_value_": posterior.log_evidence,
        "left_out_log_probability_": left_out,
    }


def refuse_precomputed(network: Any) -> None:
    """Probabilities need the variance of new rows."""
    if is_precomputed(network):
        raise ValueError(
            "NNGPClassifier needs k(x, x) of new rows, which network='precomputed' does not give: "
            "give a network, or use NTKClassifier"
        )


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
    unit = mean_diagonal(K, weight)
    constant = within <= len(K) * np.finfo(np.float64).eps * unit  # draws that do not vary
    return mean, spread / (unit if constant else within)
