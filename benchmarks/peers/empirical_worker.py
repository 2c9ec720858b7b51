"""neural-tangents' empirical kernels in a process of their own; run by `process.Peer`.

Reads one request per line as JSON, answers one line. Uses nothing of this project.
"""

from __future__ import annotations

import time
from typing import Any

import jax
import jax.numpy as jnp
import neural_tangents as nt
import numpy as np
from jax._src import source_info_util
from jax.interpreters import ad
from neural_tangents import stax
from worker import answer, versions

# neural-tangents' structured derivatives look for them here, where this jax has them no more.
ad.source_info_util, ad.config = source_info_util, jax.config

PADDING, STANDARD = "SAME", "standard"


def network(description: dict[str, Any]) -> Any:
    """`empirical_networks.module` in stax, in the standard parametrization."""
    layers: list[Any] = []
    for width in description["channels"]:
        conv = stax.Conv(width, (3, 3), padding=PADDING, b_std=0.0, parameterization=STANDARD)
        layers += [conv, stax.Relu()]
    if description["channels"]:
        layers.append(stax.GlobalAvgPool())
    for width in description["widths"]:
        layers += [stax.Dense(width, b_std=0.0, parameterization=STANDARD), stax.Relu()]
    layers.append(stax.Dense(description["outputs"], b_std=0.0, parameterization=STANDARD))
    return stax.serial(*layers)


class Session:
    """Kernels of one network with given weights at a time, by implementation."""

    def __init__(self) -> None:
        self._calls: dict[int, Any] = {}

    def prepare(
        self, network_of: dict[str, Any], implementation: int, form: str, arrays: str
    ) -> None:
        """Compile a Gram with all products of outputs, or their mean, and call once."""
        found = np.load(arrays)
        x = jnp.asarray(np.moveaxis(found["x"], 1, -1) if found["x"].ndim == 4 else found["x"])
        init, apply, _ = network(network_of)
        _, parameters = init(jax.random.PRNGKey(0), x.shape)
        leaves, tree = jax.tree_util.tree_flatten(parameters)
        given = [jnp.asarray(found[f"p{k}"]).reshape(leaf.shape) for k, leaf in enumerate(leaves)]
        parameters = jax.tree_util.tree_unflatten(tree, given)
        kernel = jax.jit(
            nt.empirical_ntk_fn(
                apply,
                trace_axes=(-1,) if form == "mean" else (),
                vmap_axes=0,
                implementation=implementation,
            )
        )
        self._calls[implementation] = lambda: kernel(x, None, parameters)
        jax.block_until_ready(self._calls[implementation]())

    def seconds(self, implementation: int) -> tuple[float, float]:
        """Wall time of one call, and time of the processor."""
        start, used = time.perf_counter(), time.process_time()
        jax.block_until_ready(self._calls[implementation]())
        return time.perf_counter() - start, time.process_time() - used

    def values(self, implementation: int, path: str) -> None:
        """Save the kernel as .npy, (n, n, k, k) or (n, n)."""
        np.save(path, np.asarray(self._calls[implementation]()))

    def versions(self) -> dict[str, str]:
        """What is installed here."""
        return versions()


if __name__ == "__main__":
    answer(Session())
