"""The examples in docstrings give what they say."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import ntk_sklearn

MODULES = [m.name for m in pkgutil.walk_packages(ntk_sklearn.__path__, "ntk_sklearn.")]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


@pytest.mark.parametrize("name", ["NTKRegressor", "NTKClassifier", "NNGPRegressor"])
def test_estimators_have_examples(name):
    assert doctest.DocTestFinder().find(getattr(ntk_sklearn, name))[0].examples
