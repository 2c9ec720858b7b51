"""What networks of finite width do beside their limit: functions that return arrays."""

from .frozen import FrozenPreconditioner, frozen_preconditioner

__all__ = ["FrozenPreconditioner", "frozen_preconditioner"]
