"""Paths in a tree of layers, ``"layers.1.branches.0"``: for error messages."""

from __future__ import annotations


def join(path: str, name: str) -> str:
    """The path of a child."""
    return f"{path}.{name}" if path else name


def at(path: str) -> str:
    """The path as it is told; the root is called the network."""
    return path or "network"
