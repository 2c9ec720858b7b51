"""Layers that rescale or drop units: layer normalization and dropout."""

from __future__ import annotations

from dataclasses import dataclass, replace
from numbers import Real

from ._paths import at
from ._values import check_scale
from .checks import NetworkError, Signal, signal_rule
from .layers import Layer
from .shapes import Shape, shape_rule

NORMALIZED_AXES = ("channels", "all")


@dataclass(frozen=True, repr=False)
class LayerNorm(Layer):
    r"""Layer normalization without learned scales and shifts.

    ``(z - mean) / sqrt(var + eps)`` with mean and variance of one input over its channels. In a
    network of infinite width the mean over channels of a centred Gaussian is 0, and the variance is
    the NNGP variance v: covariances are multiplied by ``1 / sqrt((v_x + eps) (v_z + eps))``, and
    the NTK likewise, since v does not change during training.

    The signal in front must be Gaussian, and weights have to follow: what is normalized over the
    finitely many outputs of a network has no Gaussian limit. It stays as Gaussian, and as dependent
    on other branches, as it was.

    Parameters
    ----------
    axes : {"channels", "all"}
        "channels": every position is divided by its own standard deviation. "all": mean and
        variance are taken over channels and positions together, one pair per image. The same
        where there are no positions.
    eps : float
        Added to the variance, so that an input of zeros stays 0.

    Raises
    ------
    TypeError, ValueError
        For other axes, or an `eps` that is not a finite number >= 0.

    References
    ----------
    Ba, Kiros and Hinton, "Layer normalization", 2016; Novak et al., "Neural tangents", 2020.
    """

    axes: str = "channels"
    eps: float = 1e-12

    def __post_init__(self) -> None:
        if self.axes not in NORMALIZED_AXES:
            raise ValueError(f"LayerNorm.axes must be one of {NORMALIZED_AXES}, got {self.axes!r}")
        check_scale(self.eps, "LayerNorm.eps")


@dataclass(frozen=True, repr=False)
class Dropout(Layer):
    r"""Dropout while training: every unit is 0 with probability p, else multiplied by 1 / (1 - p).

    Masks are independent for every unit, position and input, as in ``torch.nn.Dropout``. In a
    network of infinite width they average out, but for the products of an input's position with
    itself, where ``E[mask^2] / (1 - p)^2 = 1 / (1 - p)`` multiplies NNGP and NTK. All variances
    grow, and so angles between different inputs do, too. What is behind is no Gaussian: a dense or
    convolutional layer has to follow.

    The extra variance belongs to an input with itself alone. The diagonal of a Gram has it; a cross
    block has it nowhere, and treats equal rows as two inputs with independent masks:
    ``k(X, X.copy())`` differs from ``k(X)`` on the diagonal. In predictions it therefore acts as
    noise of the training rows, with a variance of its own for each, and the variance predicted for
    a new row is that of an output with a mask of its own. Estimators do not merge equal rows.

    Parameters
    ----------
    p : float
        Probability of dropping a unit, in [0, 1). (neural-tangents and JAX call 1 - p the rate.)

    Raises
    ------
    TypeError, ValueError
        If p is not a number in [0, 1).

    References
    ----------
    Srivastava et al., "Dropout", 2014; Schoenholz et al., "Deep information propagation", 2017,
    section 5; Novak et al., "Neural tangents", 2020.
    """

    p: float

    def __post_init__(self) -> None:
        if isinstance(self.p, bool) or not isinstance(self.p, Real):
            raise TypeError(f"Dropout.p must be a number, got {self.p!r}")
        if not 0 <= float(self.p) < 1:
            raise ValueError(f"Dropout.p must be a probability in [0, 1), got {self.p!r}")


@shape_rule.register(LayerNorm)
@shape_rule.register(Dropout)
def _(layer: LayerNorm | Dropout, shape: Shape, path: str) -> Shape:
    return shape


@signal_rule.register
def _(layer: LayerNorm, signal: Signal, path: str) -> Signal:
    if not signal.wide:
        raise NetworkError(
            f"{at(path)}: {layer!r} on the network's input would need the mean over its channels, "
            "which kernels of the input do not know; normalize the rows of X themselves, or put "
            "Dense() or Conv() before it"
        )
    if not signal.gaussian:
        raise NetworkError(
            f"{at(path)}: {layer!r} needs Gaussian input, but {signal.why_not}; put Dense() or "
            "Conv() before it"
        )
    return replace(signal, normalized=True)


@signal_rule.register
def _(layer: Dropout, signal: Signal, path: str) -> Signal:
    if not signal.wide:
        raise NetworkError(
            f"{at(path)}: {layer!r} on the network's input, whose channels are finitely many, has "
            "no Gaussian limit: the masks do not average out. Put Dense() or Conv() before it"
        )
    why = f"the output of {layer!r} is not Gaussian"
    return replace(signal, gaussian=False, why_not=why)
