"""Classification by a trained network of infinite width."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
from sklearn.base import ClassifierMixin

from .._validation import all_or_nothing
from ..inference import LossGradient, centred_one_hot, cross_entropy
from ._base import check_weights, encode_labels
from ._docs import estimator_docs
from ._progress import reports_progress
from ._rows import count_targets, training_rows
from ._trained import TrainedNetwork


@estimator_docs
class NTKClassifier(ClassifierMixin, TrainedNetwork):
    r"""An infinitely wide network trained to convergence on centred one-hot labels.

    Squared loss on labels, +-1 in one output for two classes, else one-hot minus 1 / n_classes
    (Lee et al. 2018); the outputs of the trained network are
    :math:`f(x) = \Theta(x, X)\,(\Theta(X, X) + \mathrm{ridge})^{-1} Y` and the largest one decides.
    A torch module needs an output for each class, which are trained together on one-hot labels
    minus 1 / n_classes, or one output for two classes; with ``Linearized(module, outputs="mean")``
    it may have any number.

    Parameters
    ----------
    {network}
    {alpha}
    {time}
    {steps}
    loss : {"squared", "cross_entropy"} or callable, default="squared"
        "cross_entropy" is logistic for two classes and of the softmax for more, on labels 0 and 1;
        it is trained for a finite `t`, by an ODE solver, and outputs are logits. A function
        (outputs, targets) -> gradient of the summed loss sees the targets of squared loss.
    {curriculum}
    {initial}
    class_weight : dict, "balanced" or None, default=None
        Multiplies the sample weights, as in scikit-learn. Weights do not matter where all labels
        are interpolated: with ``alpha=0`` at ``t=inf``.
    {evaluation}
    {random}
    {verbose}

    Attributes
    ----------
    classes_ : ndarray, (n_classes,)
    dual_coef_ : ndarray, (n, n_outputs)
        One output for two classes, but for a module of two.
    ridge_ : float
        The ridge in the units of the kernel.
    jitter_ : float
        What had to be added to the diagonal besides, usually 0.
    {trained}
    {fitted}

    Notes
    -----
    The outputs are no probabilities: use `NNGPClassifier`, or
    `sklearn.calibration.CalibratedClassifierCV`.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from ntk_sklearn import NTKClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> NTKClassifier().fit(X, y).predict(X[:2])
    array([0, 0])
    """

    _losses: ClassVar[dict[str, LossGradient]] = {"cross_entropy": cross_entropy}

    def __init__(
        self,
        network: Any = None,
        *,
        image_shape: tuple[int, ...] | None = None,
        alpha: float = 1e-4,
        t: float = math.inf,
        learning_rate: float | None = None,
        momentum: float = 0.0,
        loss: Any = "squared",
        loss_scale: str = "sum",
        curriculum: Any = None,
        initial: str = "zero",
        class_weight: Any = None,
        backend: str = "auto",
        device: str = "auto",
        dtype: str = "float64",
        memory_budget: int | str | None = None,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.network = network
        self.image_shape = image_shape
        self.alpha = alpha
        self.t = t
        self.learning_rate = learning_rate
        self.momentum = momentum
        self.loss = loss
        self.loss_scale = loss_scale
        self.curriculum = curriculum
        self.initial = initial
        self.class_weight = class_weight
        self.backend = backend
        self.device = device
        self.dtype = dtype
        self.memory_budget = memory_budget
        self.random_state = random_state
        self.verbose = verbose

    @reports_progress(2)
    @all_or_nothing
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> NTKClassifier:
        """Train the infinitely wide network.

        Parameters
        ----------
        X : array-like, (n, n_features) or images (n, channels, height, width)
        y : array-like, (n,)
            Labels of at least two classes.
        sample_weight : array-like, (n,), default=None
            An integer weight counts like a repetition of the row, 0 like its absence.

        Returns
        -------
        NTKClassifier
            Itself.
        """
        rows, y, kernel = self._fit_rows(X, y)
        weight = check_weights(sample_weight, rows)
        data = training_rows(kernel, rows, weight > 0)
        classes, codes, weight = encode_labels(y, weight, self.class_weight)
        n_outputs = count_targets(kernel, data.rows, len(classes))
        targets = self._targets(codes, len(classes), n_outputs)
        self._set(self._train(data, targets, weight) | {"classes_": classes})
        return self

    def _targets(self, codes: np.ndarray, n_classes: int, n_outputs: int) -> np.ndarray:
        if self.loss != "cross_entropy":
            return centred_one_hot(codes, n_classes, n_outputs)
        one_hot = np.eye(n_classes)[codes]
        return one_hot[:, 1:] if n_outputs == 1 else one_hot

    def decision_function(self, X: Any, t: Any = None) -> np.ndarray:
        """Outputs of the trained network.

        Parameters
        ----------
        X : array-like, (m, n_features) or images
        t : float or array-like, optional
            Training times instead of the constructor's; see `NTKRegressor.predict`.

        Returns
        -------
        ndarray, (m,) for two classes, else (m, n_classes)
            With a leading axis for an array of times. For two outputs of a module, their
            difference.
        """
        rows = self._new_rows(X)
        found = self._outputs(rows, self.kernel_.of_network("ntk").matrix(rows, self.X_fit_)[0], t)
        if found.shape[-1] == 1:
            return found[..., 0]
        # a module with an output for each of two classes
        return found[..., 1] - found[..., 0] if len(self.classes_) == 2 else found

    def predict(self, X: Any, t: Any = None) -> np.ndarray:
        """The class of the largest output.

        Parameters
        ----------
        X : array-like, (m, n_features) or images
        t : float or array-like, optional
            Training times instead of the constructor's.

        Returns
        -------
        ndarray, (m,)
            With a leading axis for an array of times.
        """
        outputs = self.decision_function(X, t)
        binary = len(self.classes_) == 2
        codes = (outputs > 0).astype(int) if binary else outputs.argmax(axis=-1)
        labels: np.ndarray = self.classes_[codes]
        return labels
