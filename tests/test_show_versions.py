from __future__ import annotations

from importlib import metadata

import pytest
import torch

from ntk_sklearn import _show_versions
from ntk_sklearn._version import __version__


@pytest.fixture
def report(capsys):
    """Return what show_versions prints, as a mapping from name to value."""

    def read():
        _show_versions.show_versions()
        lines = capsys.readouterr().out.splitlines()
        return {name.strip(): value.strip() for name, value in (s.split(":", 1) for s in lines)}

    return read


@pytest.mark.smoke
@pytest.mark.parametrize("name", ["numpy", "scipy", "scikit-learn", "torch", "gpytorch"])
def test_versions_of_the_required_packages(report, name):
    assert report()[name] == metadata.version(name)


@pytest.mark.smoke
def test_own_version(report):
    assert report()["ntk_sklearn"] == __version__


def test_absent_packages_are_named_as_absent(report, monkeypatch):
    monkeypatch.setattr(_show_versions, "_PACKAGES", ("no-such-distribution",))
    assert report()["no-such-distribution"] == "not installed"


@pytest.mark.parametrize("available", [False, True])
def test_devices(report, monkeypatch, available):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", "device {}".format)
    found = report()
    assert found["CUDA"].startswith("not available") != available
    assert found.get("devices") == ("device 0, device 1" if available else None)


def test_thread_count_is_the_current_one(report, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 7)
    assert report()["torch (intra-op)"] == "7"
