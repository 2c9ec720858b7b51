"""What a bug report should say about the installation."""

from __future__ import annotations

import platform
import sys
from importlib import metadata

import torch
from threadpoolctl import threadpool_info

from ._version import __version__

_PACKAGES = (
    "numpy",
    "scipy",
    "scikit-learn",
    "torch",
    "gpytorch",
    "linear-operator",
    "numba",
    "llvmlite",
    "joblib",
    "threadpoolctl",
    "matplotlib",
    "tqdm",
)


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


def _devices() -> dict[str, str]:
    """Name every CUDA device, or say that there is none."""
    if not torch.cuda.is_available():
        return {"CUDA": f"not available (torch built for {torch.version.cuda or 'the CPU only'})"}
    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {"CUDA": str(torch.version.cuda), "devices": ", ".join(names)}


def _threads() -> dict[str, str]:
    pools = {
        f"{pool['prefix']} ({pool['internal_api']})": str(pool["num_threads"])
        for pool in threadpool_info()
    }
    return {"torch (intra-op)": str(torch.get_num_threads()), **pools}


def show_versions() -> None:
    """Print the versions, devices and thread counts that a bug report needs.

    Optional packages that are absent are listed as such. This is the one function of the package
    that writes to standard output.

    Examples
    --------
    >>> import ntk_sklearn
    >>> ntk_sklearn.show_versions()  # doctest: +SKIP
    """
    sections = {
        "System": {"python": sys.version.split()[0], "platform": platform.platform()},
        "Packages": {"ntk_sklearn": __version__, **{name: _version(name) for name in _PACKAGES}},
        "Devices": _devices(),
        "Threads": _threads(),
    }
    for title, rows in sections.items():
        print(f"{title}:")
        for name, value in rows.items():
            print(f"{name:>30}: {value}")
