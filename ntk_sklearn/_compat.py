"""What only some of the supported scikit-learn versions have."""

from __future__ import annotations

try:  # scikit-learn >= 1.9, where it is experimental
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:
    from collections.abc import Callable
    from typing import TypeVar

    _Method = TypeVar("_Method", bound=Callable[..., object])

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Nothing: this scikit-learn has no callbacks."""

    def with_callbacks(method: _Method) -> _Method:
        """The method itself: this scikit-learn has no callbacks."""
        return method


__all__ = ["CallbackSupportMixin", "with_callbacks"]
