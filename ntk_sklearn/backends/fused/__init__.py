"""The fused engine: whole networks on pieces of a tile that stay in the cache, on the CPU."""

from .evaluator import FusedEvaluator

__all__ = ["FusedEvaluator"]
