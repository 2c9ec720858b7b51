"""Self attention of finite width: affine maps of every position, and the weights between them."""

from __future__ import annotations

from math import prod, sqrt
from typing import Any

import torch
from torch import Tensor

from ..architecture import Conv, SelfAttention, position_covariance, windows
from .affine import ConvModule
from .build import Wire, build
from .modules import Part, Tape
from .position_maps import as_tensor


class Attention(Part):
    """One head of `width` channels with linear scaling, `width` heads of one with sqrt scaling."""

    def __init__(self, layer: SelfAttention, wire: Wire, channels: int, width: int) -> None:
        super().__init__()
        self.tied = layer.scaling == "linear"
        self.zeta, self.embedded_values = layer.weights, layer.embedded_values
        scale = float(layer.w_query_std * layer.w_key_std)
        self.scale = scale / width if self.tied else scale

        def pointwise(fan_in: int, out: int, w_std: float, **bias: Any) -> ConvModule:
            conv = Conv(1, w_std, lr_multiplier=layer.lr_multiplier, **bias)
            sizes = windows(conv, wire.spatial)
            return ConvModule(conv, (fan_in, *wire.spatial), out, sizes)

        self.embedding = None
        embedded = wire.channels
        if layer.embeds:
            self.embedding = Embedding(layer, wire, pointwise)
            embedded = self.embedding.channels
        self.keys = pointwise(embedded, width, 1.0)
        self.queries = self.keys if self.tied else pointwise(embedded, width, 1.0)
        from_values = embedded if layer.embedded_values else wire.channels
        self.values = pointwise(from_values, width, float(layer.w_value_std))
        bias = {"b_std": float(layer.b_std), "bias_ntk": layer.bias_ntk}
        self.out = pointwise(width, channels, float(layer.w_out_std), **bias)

    def forward(self, x: Tensor, tape: Tape | None = None) -> Tensor:
        """(n, channels, *spatial)."""
        embedded = x if self.embedding is None else self.embedding(x, tape)
        keys = self.keys(embedded, tape).flatten(2)
        queries = keys if self.tied else self.queries(embedded, tape).flatten(2)
        values = self.values(embedded if self.embedded_values else x, tape).flatten(2)
        if self.tied:
            heads = values @ self.attention(self.scale * queries.mT @ keys).mT
        else:  # a head's sum over j of q(i) k(j) v(j)
            heads = self.scale * queries * (keys * values).sum(2, keepdim=True)
        return self.out(heads.reshape(*heads.shape[:2], *x.shape[2:]), tape)

    def attention(self, scores: Tensor) -> Tensor:
        """Weights (n, position, attended position) of scores."""
        if self.zeta == "softmax":
            return torch.softmax(scores, -1)
        return {"identity": lambda s: s, "relu": torch.relu, "abs": torch.abs}[self.zeta](scores)

    def extra_repr(self) -> str:
        """The kind of attention."""
        return f"{self.zeta}, {'one head' if self.tied else 'heads of one channel'}"


class Embedding(Part):
    """Adds trained random embeddings of positions to the channels, or puts them beside these."""

    def __init__(self, layer: SelfAttention, wire: Wire, pointwise: Any) -> None:
        super().__init__()
        share, n_positions = layer.position_share, prod(wire.spatial)
        self.added = share is None
        beside = 0 if share is None else max(1, round(wire.channels * share / (1.0 - share)))
        self.channels = wire.channels + beside
        matrix = position_covariance(layer.position_decay, layer.position_norm, wire.spatial)
        eigenvalues, vectors = torch.linalg.eigh(as_tensor(matrix, torch.float64))
        # codes of positions with products R: a random linear map of them is an embedding
        codes = vectors * eigenvalues.clamp(min=0.0).sqrt()
        self.codes = codes.mT.reshape(1, n_positions, *wire.spatial)
        w_std = float(layer.w_position_std) * sqrt(n_positions)
        self.weights = pointwise(n_positions, beside or wire.channels, w_std)

    def forward(self, x: Tensor, tape: Tape | None = None) -> Tensor:
        """(n, channels, *spatial)."""
        codes = self.codes.to(x).expand(len(x), *self.codes.shape[1:])
        embedding = self.weights(codes, tape)
        return x + embedding if self.added else torch.cat([x, embedding], 1)


@build.register
def _(layer: SelfAttention, wire: Wire, channels: int, width: int) -> tuple[Part, Wire]:
    return Attention(layer, wire, channels, width), Wire(channels, wire.spatial)
