"""The other process, as an object."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

WORKER = Path(__file__).with_name("worker.py")


class Peer:
    """neural-tangents in one precision, in a process of another environment's Python.

    Parameters
    ----------
    python : Path
    dtype : {"float32", "float64"}
    library : str
        How it is called in the results.
    flags : str
        Of XLA.
    worker : Path
        What runs there.
    """

    def __init__(
        self, python: Path, dtype: str, library: str, flags: str = "", worker: Path = WORKER
    ) -> None:
        self.library = library
        self.dtype = dtype
        self._folder = tempfile.TemporaryDirectory()
        self._log = (Path(self._folder.name) / "log").open("w+", encoding="utf-8")
        environment = {**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags}
        environment.pop("PYTHONPATH", None)  # of this environment's packages
        self._process = subprocess.Popen(
            [str(python), str(worker), dtype],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env=environment,
        )

    def __enter__(self) -> Peer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        if kind is not None:
            self._process.kill()
        self._process.communicate()
        self._log.close()
        self._folder.cleanup()

    def _ask(self, call: str, **arguments: Any) -> Any:
        try:
            self._process.stdin.write(json.dumps({"call": call, "arguments": arguments}) + "\n")
            self._process.stdin.flush()
            reply = json.loads(self._process.stdout.readline())
        except (BrokenPipeError, json.JSONDecodeError):
            self._log.seek(0)
            raise RuntimeError(f"the other process ended:\n{self._log.read()}") from None
        if "error" in reply:
            raise RuntimeError(f"in the other process:\n{reply['error']}")
        return reply["result"]

    def prepare(self, network: list[Any], get: str, X: np.ndarray, Z: np.ndarray | None) -> None:
        """Send the inputs, compile, and call once."""
        paths = [self._save(name, array) for name, array in (("x", X), ("z", Z))]
        self._ask("prepare", network=network, get=get, x=paths[0], z=paths[1])

    def _save(self, name: str, array: np.ndarray | None) -> str | None:
        if array is None:
            return None
        path = Path(self._folder.name) / f"{name}.npy"
        np.save(path, array.astype(self.dtype))
        return str(path)

    def prepare_empirical(
        self, network: dict[str, Any], implementation: int, form: str, arrays: dict[str, np.ndarray]
    ) -> None:
        """Send inputs and parameters, compile an empirical kernel, and call once."""
        path = Path(self._folder.name) / "arrays.npz"
        np.savez(path, **arrays)
        how = {"network_of": network, "implementation": implementation, "form": form}
        self._ask("prepare", **how, arrays=str(path))

    def seconds(self, **which: Any) -> float:
        """Wall time of one call of what was prepared, measured over there."""
        return float(self._ask("seconds", **which))

    def both_seconds(self, **which: Any) -> tuple[float, float]:
        """The same of an empirical kernel, and the time of the processor."""
        clock, used = self._ask("seconds", **which)
        return clock, used

    def values(self, **which: Any) -> np.ndarray:
        """(quantities, n, m), or an empirical kernel (n, n, k, k) or (n, n)."""
        path = Path(self._folder.name) / "values.npy"
        self._ask("values", path=str(path), **which)
        return np.load(path)

    def versions(self) -> dict[str, str]:
        """What is installed over there."""
        return dict(self._ask("versions"))
