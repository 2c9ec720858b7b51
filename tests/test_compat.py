"""What only some scikit-learn versions have is scikit-learn's own, or does nothing."""

from __future__ import annotations

import runpy
import subprocess
import sys

import pytest

from ntk_sklearn import _compat


def test_names_are_scikit_learns():
    callback = pytest.importorskip("sklearn.callback")
    for name in _compat.__all__:
        assert getattr(_compat, name) is getattr(callback, name)


def test_without_callbacks_nothing_is_added(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.callback", None)
    names = runpy.run_path(_compat.__file__)
    mixin, decorator = (names[name] for name in _compat.__all__)
    assert not [name for name in vars(mixin) if not name.startswith("__")]
    assert decorator(dir) is dir


def test_import_warns_of_nothing():
    code = f"import runpy; runpy.run_path({_compat.__file__!r})"
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)
