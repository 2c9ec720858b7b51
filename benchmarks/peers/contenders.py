"""Who computes what, and how long a call takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ntk_sklearn.kernels import NNGP, NTK

from .description import describe
from .entries import entry_layers
from .process import Peer
from .work import Work, inputs

OURS, PRODUCT = "ntk_sklearn", "X @ X.T"
# From 0.4.32 on jaxlib has a new runtime for the CPU (github.com/jax-ml/jax/issues/26145). There
# the convolutions of one channel that neural-tangents makes of covariances take 5 to 8 times as
# long in float32, and longer than in float64; a flag restores the older one. Both are timed.
PEERS = {
    "neural-tangents": "",
    "neural-tangents, older XLA runtime": "--xla_cpu_use_thunk_runtime=false",
}
LARGEST_SIDE = 512
COOL = 0.3  # seconds between measurements: idle threads of the one before stop spinning


@dataclass
class Contender:
    """A library in one precision with one piece of work.

    `call` computes once and returns its seconds; `pairs` of inputs are computed by a call, and
    `entries` of kernels are counted for it over the layers.
    """

    library: str
    dtype: str
    call: Callable[[], float]
    pairs: int
    entries: int | None
    seconds: list[float] = field(default_factory=list)

    def measure(self) -> None:
        """One more measurement."""
        time.sleep(COOL)
        self.seconds.append(self.call())

    def record(self) -> dict[str, Any]:
        """Numbers for the JSON."""
        median = float(np.median(self.seconds))
        return {
            "library": self.library,
            "dtype": self.dtype,
            "pairs": self.pairs,
            "seconds": self.seconds,
            "median": median,
            "per_pair": median / self.pairs,
            "ns_per_entry_layer": None if self.entries is None else 1e9 * median / self.entries,
        }


@dataclass(frozen=True)
class Plan:
    """How work is run.

    Parameters
    ----------
    get : {"ntk", "nngp", "both"}
    repeats : int
    images : Path or None
        File of images; None is smoothed noise.
    dense_rows : int
        n of the Grams of dense networks.
    limit : float
        Seconds that a call of ours on images should not exceed.
    peer_side : int or None
        Replaces the size of neural-tangents' blocks.
    """

    get: str = "ntk"
    repeats: int = 5
    images: Path | None = None
    dense_rows: int = 4000
    limit: float = 12.0
    peer_side: int | None = None

    def settings(self) -> dict[str, Any]:
        """For the JSON."""
        return {**asdict(self), "images": None if self.images is None else self.images.name}


def quick(get: str, repeats: int, images: Path | None) -> Plan:
    """Says whether everything runs."""
    return Plan(get, repeats, images, dense_rows=500, limit=0.3, peer_side=1)


def kernel(work: Work, get: str, dtype: str) -> Callable[..., np.ndarray]:
    """Our kernel, (quantities, n, m) or (n, m)."""
    parameters = {"image_shape": work.image_shape, "dtype": dtype}
    if get == "both":
        return NTK(work.preset, **parameters).of_network("nngp", "ntk").matrix
    return {"ntk": NTK, "nngp": NNGP}[get](work.preset, **parameters)


def blocks(work: Work, n: int, dtype: str, plan: Plan) -> tuple[np.ndarray, np.ndarray | None]:
    """Rows X and Z, n of each; Z is None for dense work."""
    if work.size is None:
        return inputs(work, n).astype(dtype), None
    found = inputs(work, 2 * n, plan.images).astype(dtype)
    return found[:n].copy(), found[n:].copy()


def timed(function: Callable[..., Any], *arguments: Any) -> float:
    """Seconds of a call."""
    start = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - start


def ours(work: Work, dtype: str, plan: Plan) -> Contender:
    """The largest square block within the limit of time, or the whole Gram of dense work."""
    function = kernel(work, plan.get, dtype)
    side = plan.dense_rows if work.size is None else 2
    X, Z = flat(blocks(work, side, dtype, plan))
    function(X, Z)  # compiles
    while work.size is not None and side < LARGEST_SIDE:
        if 4 * timed(function, X, Z) > plan.limit:
            break
        side *= 2
        X, Z = flat(blocks(work, side, dtype, plan))
    return Contender(OURS, dtype, lambda: timed(function, X, Z), *size(work, side))


def flat(pair: tuple[np.ndarray, np.ndarray | None]) -> tuple[np.ndarray, np.ndarray | None]:
    """Rows as the kernels take them."""
    X, Z = pair
    return X.reshape(len(X), -1), None if Z is None else Z.reshape(len(Z), -1)


def size(work: Work, n: int) -> tuple[int, int]:
    """Pairs of inputs, and entries summed over activations; a Gram needs its triangle."""
    if work.size is None:
        pairs = n * (n + 1) // 2
        return pairs, pairs * entry_layers(work.network)
    return n * n, n * n * entry_layers(work.network, (work.size, work.size))


def theirs(work: Work, peer: Peer, plan: Plan) -> Contender:
    """A block of the size that suits neural-tangents."""
    side = plan.dense_rows if work.size is None else plan.peer_side or work.peer_side
    peer.prepare(describe(work.network), plan.get, *blocks(work, side, peer.dtype, plan))
    return Contender(peer.library, peer.dtype, peer.seconds, *size(work, side))


def product(work: Work, dtype: str, plan: Plan) -> Contender:
    """The bare product, all entries of it: `X @ X.T` itself computes a triangle in numpy."""
    X = inputs(work, plan.dense_rows).astype(dtype)
    Z = X.copy()
    np.matmul(X, Z.T)
    return Contender(PRODUCT, dtype, lambda: timed(np.matmul, X, Z.T), len(X) ** 2, None)
