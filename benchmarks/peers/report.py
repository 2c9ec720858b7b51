"""The table, and the machine it comes from."""

from __future__ import annotations

import json
import os
import platform
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from .contenders import OURS, PEERS, PRODUCT

PACKAGES = ("ntk-sklearn", "numpy", "torch", "numba", "scikit-learn")
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
COLUMNS = (
    "work",
    "precision",
    *PEERS,
    OURS,
    "ratios",
    "ns per entry and layer",
    "against the bare product",
    "float64 / float32",
    "kernels differ by",
)


def tell(text: str) -> None:
    """Print at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def environment() -> dict[str, Any]:
    """Processor, versions, threads, load of the machine and date."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "processor": processor(),
        "cores": os.cpu_count(),
        "load_before": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "platform": platform.platform(),
        "python": platform.python_version(),
        **{name: version(name) for name in PACKAGES},
        **{name: os.environ[name] for name in THREADS if name in os.environ},
    }


def version(name: str) -> str | None:
    """The installed version, None without one."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def processor() -> str:
    """The model's name."""
    path = Path("/proc/cpuinfo")
    if path.is_file():
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def duration(seconds: float) -> str:
    """Three digits, with a unit."""
    for unit, scale in (("s", 1.0), ("ms", 1e3), ("µs", 1e6)):
        if seconds * scale >= 1 or unit == "µs":
            value = seconds * scale
            digits = max(0, 2 - int(np.floor(np.log10(value)))) if value > 0 else 0
            return f"{value:.{digits}f} {unit}"
    raise AssertionError


def rows(record: dict[str, Any]) -> list[list[str]]:
    """Rows of the table for one piece of work: one per precision."""
    by = {(m["library"], m["dtype"]): m for m in record["measured"]}
    return [
        [record["title"], dtype, *_cells(by, dtype), _differ(record, dtype)]
        for dtype in ("float32", "float64")
        if (OURS, dtype) in by
    ]


def _cells(by: dict[tuple[str, str], dict[str, Any]], dtype: str) -> list[str]:
    mine, bare, single = by[OURS, dtype], by.get((PRODUCT, dtype)), by.get((OURS, "float32"))
    # A Gram is timed as a whole, a block of images per pair.
    unit = "median" if bare else "per_pair"
    theirs = [by[name, dtype][unit] for name in PEERS if (name, dtype) in by]
    return [
        *(map(duration, theirs) if theirs else [""] * len(PEERS)),
        duration(mine[unit]),
        " / ".join(f"{seconds / mine[unit]:.3g}" for seconds in theirs),
        f"{mine['ns_per_entry_layer']:.3g}",
        "" if bare is None else f"{mine['median'] / bare['median']:.2f}",
        "" if dtype == "float32" or single is None else f"{mine[unit] / single[unit]:.2f}",
    ]


def _differ(record: dict[str, Any], dtype: str) -> str:
    found = record["differ"].get(dtype)
    return "" if found is None else f"{found:.0e}"


def line(cells: Any) -> str:
    """A line of the table."""
    return f"| {' | '.join(cells)} |"


def markdown(records: list[dict[str, Any]]) -> str:
    """The whole table: seconds per call for dense work, per pair of images for the others."""
    lines = [line(COLUMNS), "|" + "---|" * len(COLUMNS)]
    return "\n".join([*lines, *(line(cells) for r in records for cells in rows(r))]) + "\n"


def write(path: Path, found: dict[str, Any]) -> None:
    """Environment, settings and every measurement."""
    path.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


def read(path: Path) -> dict[str, Any]:
    """What `write` wrote."""
    return dict(json.loads(path.read_text(encoding="utf-8")))
