"""Self attention over all positions, and the embeddings that tell positions apart."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import product
from numbers import Real
from typing import Any, ClassVar

from ._paths import at
from ._values import check_scale
from .checks import NetworkError, Signal, signal_rule
from .layers import Layer, scale_field
from .layout import Positions, positions_rule
from .matrices import Matrix, as_matrix
from .shapes import Shape, need_image, shape_rule

ATTENTION_WEIGHTS = ("softmax", "identity", "relu", "abs")
SCALINGS = ("linear", "sqrt")
_STDS = ("w_query_std", "w_key_std", "w_value_std", "w_out_std", "w_position_std", "b_std")
# What turns distances of positions into covariances of their embeddings.
Decay = Callable[[float], float]


@dataclass(frozen=True)
class ExponentialDecay:
    """``exp(-d / length)`` of the distance d, for `SelfAttention.position_decay`."""

    length: float = 1.0

    def __post_init__(self) -> None:
        check_scale(self.length, "ExponentialDecay.length")
        if self.length == 0:
            raise ValueError("ExponentialDecay.length must be positive: None is the limit 0")

    def __call__(self, distance: float) -> float:
        """The covariance of embeddings at a distance."""
        return math.exp(-distance / self.length)


@dataclass(frozen=True, repr=False)
class SelfAttention(Layer):
    r"""Global self attention with infinitely many heads, all positions attending to all.

    The network: with signals x(i) of n channels at P positions, every head h of D channels has

    .. math:: Q_h = \frac{w_q}{\sqrt n} W_{Q,h} x, \quad K_h = \frac{w_k}{\sqrt n} W_{K,h} x, \quad
              V_h = \frac{w_v}{\sqrt n} W_{V,h} x, \qquad G_h = \zeta(Q_h^T K_h / D^s),

    where zeta acts on each row of the P x P matrix (softmax) or on its entries, and the output is
    ``z(i) = w_out / sqrt(H D) sum_h W_O,h sum_j G_h(i, j) V_h(j) + b_std b``, all weights N(0, 1).

    `scaling` "linear" is s = 1 with tied weights, W_Q = W_K: with D to infinity, G_h becomes
    :math:`G = \zeta(w_q w_k \tilde K)` of the covariance within the input, the same in every head,
    so that the number of heads does not matter. Each input has a G of its own:

    .. math:: K' = w^2 G_x K G_z^T + b^2, \qquad
              \Theta' = w^2 G_x (\Theta + 2 m K) G_z^T + b_\Theta, \qquad w = w_v w_{out}

    (values and outputs contribute once each, m being `lr_multiplier`; queries and keys do not).
    "sqrt" is s = 1/2 with independent weights and infinitely many heads, for identity weights:

    .. math:: K'_{ij} = w^2 \tilde K_{ij} S + b^2, \quad
              S = \sum_{kl} \tilde K_{kl} K_{kl}, \quad w = w_q w_k w_v w_{out}, \\
              \Theta'_{ij} = w^2 \bigl[(\tilde\Theta_{ij} + 4 m \tilde K_{ij}) S + \tilde K_{ij}
              \sum_{kl} (\tilde\Theta_{kl} K_{kl} + \tilde K_{kl} \Theta_{kl})\bigr] + b_\Theta.

    Without embeddings ~K is K. With them, x of queries and keys is
    ``x(i) + w_position_std e(i)``, or both side by side, e being one Gaussian embedding of all
    positions, with independent channels of covariance R, common to all inputs and trained:
    :math:`\tilde K = (1 - s) K + s\, w_p^2 R` side by side (s is `position_share`), or
    :math:`K + w_p^2 R` added, and the same of the NTK with m R.

    Parameters
    ----------
    w_query_std, w_key_std, w_value_std, w_out_std : float
        Scales of weights; only the products of the first two, and of the last two, matter.
    b_std : float
        Scale of the output's bias.
    weights : {"softmax", "identity", "relu", "abs"}
        zeta.
    scaling : {"linear", "sqrt"}
    w_position_std : float
        Scale of the positional embeddings; 0 is without them.
    position_share : float or None
        None adds embeddings to the input; a number in (0, 1) puts them beside it, with this share
        of the channels.
    position_decay : callable or None
        R of two positions i and j is ``position_decay(sum_a |i_a - j_a| ** position_norm)``, a
        positive semidefinite matrix; `ExponentialDecay`, or any function that can be hashed. None
        gives every position an embedding independent of the others.
    position_norm : float
        The exponent above.
    embedded_values : bool
        Whether values are computed from the embedded input, too: ~K and ~Theta in place of K and
        Theta throughout.
    lr_multiplier, bias_ntk
        As in `Dense`, for all weights of the layer, embeddings included.

    Raises
    ------
    TypeError, ValueError
        For scales that are no numbers >= 0, embeddings of scale 0, unknown names, weights other
        than "identity" with "sqrt" scaling (there is no closed form), or a share outside (0, 1).

    Notes
    -----
    The network of finite width has one head of `width` channels with linear scaling, and `width`
    heads of one channel with sqrt scaling, whose covariance is exact for any D.

    References
    ----------
    Hron, Bahri, Sohl-Dickstein and Novak, "Infinite attention: NNGP and NTK for deep attention
    networks", 2020, sections 3 and 4; Novak et al., "Neural tangents", 2020
    (``GlobalSelfAttention``).
    """

    has_weights: ClassVar[bool] = True
    w_query_std: float = scale_field(1.0)
    w_key_std: float = scale_field(1.0)
    w_value_std: float = scale_field(1.0)
    w_out_std: float = scale_field(1.0)
    b_std: float = scale_field(0.0)
    weights: str = "softmax"
    scaling: str = "linear"
    w_position_std: float = scale_field(0.0)
    position_share: float | None = None
    position_decay: Decay | None = None
    position_norm: float = 2.0
    embedded_values: bool = False
    lr_multiplier: float = field(default=1.0, kw_only=True)
    bias_ntk: float | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        for name in (*_STDS, "lr_multiplier"):
            check_scale(getattr(self, name), f"SelfAttention.{name}")
        if self.bias_ntk is not None:
            check_scale(self.bias_ntk, "SelfAttention.bias_ntk")
        for name, known in (("weights", ATTENTION_WEIGHTS), ("scaling", SCALINGS)):
            if getattr(self, name) not in known:
                given = getattr(self, name)
                raise ValueError(f"SelfAttention.{name} must be one of {known}, got {given!r}")
        if self.scaling == "sqrt" and self.weights != "identity":
            raise ValueError(
                f"SelfAttention.scaling='sqrt' with weights={self.weights!r} has no closed form: "
                "take weights='identity' or scaling='linear'"
            )
        _check_embedding(self)

    @property
    def embeds(self) -> bool:
        """Whether there are positional embeddings."""
        return not (isinstance(self.w_position_std, Real) and self.w_position_std == 0)


def _check_embedding(layer: SelfAttention) -> None:
    share, decay = layer.position_share, layer.position_decay
    if not layer.embeds and (share is not None or decay is not None or layer.embedded_values):
        raise ValueError(
            "SelfAttention.w_position_std is 0, which is without positional embeddings: make it "
            "positive, or leave position_share, position_decay and embedded_values out"
        )
    if share is not None and not (_is_number(share) and 0 < share < 1):
        raise ValueError(f"SelfAttention.position_share must be None or in (0, 1), got {share!r}")
    if decay is not None and not callable(decay):
        raise TypeError(f"SelfAttention.position_decay must be None or callable, got {decay!r}")
    if not (_is_number(layer.position_norm) and 0 < layer.position_norm < math.inf):
        given = layer.position_norm
        raise ValueError(f"SelfAttention.position_norm must be positive, got {given!r}")


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


@lru_cache(maxsize=32)
def position_covariance(decay: Decay | None, norm: float, spatial: tuple[int, ...]) -> Matrix:
    """Covariance R (P, P) of the embeddings of all positions, the last axis fastest."""
    positions = list(product(*map(range, spatial)))
    known: dict[float, float] = {}

    def covariance(i: tuple[int, ...], j: tuple[int, ...]) -> float:
        distance = float(sum(abs(a - b) ** norm for a, b in zip(i, j, strict=True)))
        if distance not in known:
            known[distance] = float(distance == 0) if decay is None else float(decay(distance))
        return known[distance]

    rows = [[covariance(i, j) for j in positions] for i in positions]
    return as_matrix(rows, "the covariance of SelfAttention.position_decay")


@shape_rule.register
def _(layer: SelfAttention, shape: Shape, path: str) -> Shape:
    need_image(shape)
    return Shape(None, shape.spatial)


@positions_rule.register
def _(layer: SelfAttention, after: Positions) -> Positions:
    return Positions.ALL


@signal_rule.register
def _(layer: SelfAttention, signal: Signal, path: str) -> Signal:
    if layer.embeds and not signal.wide:
        raise NetworkError(
            f"{at(path)}: positional embeddings of {layer!r} do not average out over the "
            "network's input, whose channels are finitely many: put Conv(1) before it"
        )
    weighted = replace(signal, gaussian=True, why_not="", fresh=True, wide=True)
    return replace(weighted, spatial=True, mixed=False, normalized=False)
