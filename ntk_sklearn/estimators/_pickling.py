"""Pickles that know the version of the package they were made with."""

from __future__ import annotations

import warnings
from typing import Any

from sklearn.base import BaseEstimator

from .._version import __version__
from ..kernels._evaluate import resolve_device

# Raised when a fitted attribute changes its meaning, so that an older pickle cannot be used.
STATE_FORMAT = 1
_VERSION, _FORMAT = "_ntk_sklearn_version", "_ntk_sklearn_format"


class VersionedState(BaseEstimator):
    """Base of what is pickled: the state records the package's version and its own format.

    Copies, clones and files of the same version load without a word, another version loads with a
    warning, and another format not at all. Both entries exist in the pickled state only, never on
    the object.
    """

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        return state | {_VERSION: __version__, _FORMAT: STATE_FORMAT}

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        version, found = state.pop(_VERSION, "unknown"), state.pop(_FORMAT, None)
        _check_format(type(self).__name__, str(version), found)
        super().__setstate__(state)
        _come_to_this_machine(vars(self).get("kernel_"))


def _check_format(name: str, version: str, found: Any) -> None:
    """Warn of another version, and refuse a state that this one cannot read."""
    if found not in (None, STATE_FORMAT):
        raise ValueError(
            f"this {name} was saved by ntk_sklearn {version} in format {found}; ntk_sklearn "
            f"{__version__} reads format {STATE_FORMAT}: load it with that version, or fit it anew"
        )
    if version != __version__:
        warnings.warn(
            f"this {name} was saved by ntk_sklearn {version} and is loaded by {__version__}: its "
            "predictions may differ, or fail; fit it anew to be safe",
            UserWarning,
            stacklevel=4,
        )


def _come_to_this_machine(kernel: Any) -> None:
    """Let the kernel of a fitted estimator predict on the CPU where its device does not exist."""
    if not hasattr(kernel, "device"):
        return
    try:
        resolve_device(kernel.device)
    except ValueError:
        warnings.warn(
            f"device {kernel.device!r} of the saved estimator does not exist on this machine; it "
            "predicts on the CPU",
            UserWarning,
            stacklevel=4,
        )
        kernel.device = "cpu"
