"""neural-tangents in a process of its own; run by `process.Peer` in an environment that has it.

Reads one request per line as JSON, answers one line. Uses nothing of this project.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
import traceback
from collections.abc import Callable
from importlib import metadata
from typing import Any

# Before the imports: TensorFlow, which neural-tangents imports, fills the logs.
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import jax
import jax.numpy as jnp
import numpy as np
from neural_tangents import stax

PARTS: dict[str, Callable[..., Any]] = {
    "serial": stax.serial,
    "sum": lambda *branches: stax.serial(
        stax.FanOut(len(branches)), stax.parallel(*branches), stax.FanInSum()
    ),
}
LAYERS: dict[str, Callable[..., Any]] = {
    "dense": lambda **parameters: stax.Dense(1, **parameters),
    "conv": lambda **parameters: stax.Conv(1, **parameters),
    "avg_pool": stax.AvgPool,
    "relu": stax.Relu,
    "flatten": stax.Flatten,
    "global_avg_pool": stax.GlobalAvgPool,
    "identity": stax.Identity,
}


def build(description: list[Any]) -> Any:
    """The network of `description.describe`."""
    name, *rest = description
    if name in PARTS:
        return PARTS[name](*map(build, rest))
    given = rest[0] if rest else {}
    # JSON has no tuples, neural-tangents takes nothing else.
    return LAYERS[name](**{k: tuple(v) if isinstance(v, list) else v for k, v in given.items()})


class Session:
    """One kernel of one pair of inputs at a time."""

    def prepare(self, network: list[Any], get: str, x: str, z: str | None) -> None:
        """Compile the kernel of inputs saved as .npy; images become channels-last."""
        kernel = jax.jit(build(network)[2], static_argnums=2)
        quantities = ("nngp", "ntk") if get == "both" else get
        self._x, self._z = self._load(x), None if z is None else self._load(z)
        self._call = lambda: kernel(self._x, self._z, quantities)
        jax.block_until_ready(self._call())

    def _load(self, path: str) -> jax.Array:
        found = np.load(path)
        return jnp.asarray(np.moveaxis(found, 1, -1) if found.ndim == 4 else found)

    def seconds(self) -> float:
        """Wall time of one call."""
        start = time.perf_counter()
        jax.block_until_ready(self._call())
        return time.perf_counter() - start

    def values(self, path: str) -> None:
        """Save the kernel as .npy, (quantities, n, m)."""
        found = self._call()
        np.save(path, np.stack(found) if isinstance(found, tuple) else np.asarray(found)[None])

    def versions(self) -> dict[str, str]:
        """What is installed here."""
        return versions()


def versions() -> dict[str, str]:
    """Of Python and of what is measured."""
    names = ("neural-tangents", "jax", "jaxlib", "numpy")
    return {"python": platform.python_version(), **{n: metadata.version(n) for n in names}}


def answer(session: Any) -> None:
    """Answer until the other side closes the pipe."""
    replies, sys.stdout = sys.stdout, sys.stderr
    jax.config.update("jax_enable_x64", sys.argv[1] == "float64")
    for line in sys.stdin:
        request = json.loads(line)
        try:
            reply = {"result": getattr(session, request["call"])(**request["arguments"])}
        except Exception:
            reply = {"error": traceback.format_exc()}
        replies.write(json.dumps(reply) + "\n")
        replies.flush()


if __name__ == "__main__":
    answer(Session())
