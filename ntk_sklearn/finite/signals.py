"""What contraction needs of every affine layer: its inputs and the derivatives behind it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from .affine import Affine
from .modules import FiniteNetwork
from .network import affine_layers

# Bytes of the graph of one forward and backward pass; more rows go through in pieces.
GRAPH_BYTES = 2**25
# Arrays of the size of a layer's input and output that the graph holds (padding, phi, products).
_GRAPH_COPIES = 4


@dataclass(frozen=True)
class Signals:
    """Signals of one network for a set of rows.

    Attributes
    ----------
    inputs : dict
        By layer, what it reads, (n, *in_shape).
    tangents : dict
        By trained layer, derivatives of all outputs by its pre-activations, the outputs side by
        side with the channels: (n, n_outputs * channels, *positions). Empty unless asked for.
    readout : dict
        The same over paths without further weights, which are linear: one derivative
        (k, *positions) for all rows, of the channels in which it is not zero.
    n_outputs : int
        Outputs that the kernels are the mean over: positions behind a final Flatten, else one.
    """

    inputs: dict[Affine, Tensor]
    tangents: dict[Affine, Tensor]
    readout: dict[Affine, Tensor]
    n_outputs: int


class _Recorder:
    """A tape of the inputs and pre-activations of every affine layer."""

    def __init__(self, cut: bool = False) -> None:
        self.cut = cut
        self.seen: dict[Affine, tuple[Tensor, Tensor]] = {}

    def through(self, layer: Affine, x: Tensor) -> Tensor:
        """The layer's output, the start of a graph where there is none yet."""
        z = layer.affine(x.detach() if self.cut else x)
        if not z.requires_grad:
            z.requires_grad_()
        self.seen[layer] = (x.detach(), z)
        return z


def record(module: FiniteNetwork, rows: Tensor, ntk: bool) -> Signals:
    """Run the rows (n, channels, *spatial) through the network, a piece at a time.

    Parameters
    ----------
    module : FiniteNetwork
        With one output channel.
    rows : Tensor
    ntk : bool
        Whether `tangents` are wanted; without them there is no backward pass.
    """
    with torch.inference_mode(False), torch.enable_grad(), _full_precision(rows):
        rows = rows.clone() if rows.is_inference() else rows
        readout, n_outputs = _readout(module, rows)
        tangents = {}
        if ntk:
            trained = [a for a in affine_layers(module) if a.weight_ntk or a.bias_ntk]
            tangents = {a: _empty(rows, n_outputs, a.out_shape) for a in trained}
        weights = [a for a in affine_layers(module) if a in readout or a in tangents]
        inputs = {a: _empty(rows, 1, a.in_shape) for a in weights}
        for piece in _pieces(module, rows):
            recorder = _Recorder()
            with torch.set_grad_enabled(ntk):
                outputs = module(rows[piece], recorder).flatten(1)
            for layer, target in inputs.items():
                target[piece] = recorder.seen[layer][0]
            for layer, found in _derivatives(outputs, recorder, list(tangents)):
                tangents[layer][piece] = found
    return Signals(inputs, tangents, readout, n_outputs)


def _full_precision(rows: Tensor) -> AbstractContextManager[None]:
    """CUDA's convolutions in float32 round to ten bits by default."""
    if rows.device.type != "cuda":
        return nullcontext()
    return torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False)


def graph_bytes_per_row(module: FiniteNetwork, itemsize: int) -> int:
    """Bytes that one row takes during its forward and backward pass."""
    shapes = [shape for a in affine_layers(module) for shape in (a.in_shape, a.out_shape)]
    return _GRAPH_COPIES * itemsize * sum(torch.Size(shape).numel() for shape in shapes)


def _readout(module: FiniteNetwork, rows: Tensor) -> tuple[dict[Affine, Tensor], int]:
    """Derivatives along the paths without weights, and the number of outputs."""
    recorder = _Recorder(cut=True)
    outputs = module(torch.zeros_like(rows[:1]), recorder).flatten(1)
    found = {}
    for layer, derivative in _derivatives(outputs, recorder, list(recorder.seen)):
        nonzero = derivative[0].reshape(derivative.shape[1], -1).any(1)
        if nonzero.any():
            found[layer] = derivative[0][nonzero]
    return found, outputs.shape[1]


def _derivatives(
    outputs: Tensor, recorder: _Recorder, layers: list[Affine]
) -> Iterator[tuple[Affine, Tensor]]:
    """Derivatives (n, n_outputs * channels, *positions) of outputs (n, n_outputs) by layer."""
    if not layers:
        return
    ends = [recorder.seen[layer][1] for layer in layers]
    found = [
        torch.autograd.grad(output.sum(), ends, retain_graph=True, materialize_grads=True)
        for output in outputs.unbind(1)
    ]
    for k, layer in enumerate(layers):
        yield layer, torch.cat([by_layer[k] for by_layer in found], dim=1)


def _empty(rows: Tensor, n_outputs: int, shape: tuple[int, ...]) -> Tensor:
    channels, *positions = shape
    return rows.new_empty(len(rows), n_outputs * channels, *positions)


def _pieces(module: FiniteNetwork, rows: Tensor) -> Iterator[slice]:
    step = max(1, GRAPH_BYTES // graph_bytes_per_row(module, rows.itemsize))
    for start in range(0, len(rows), step):
        yield slice(start, start + step)
