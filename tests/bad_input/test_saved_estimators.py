"""Estimators on disk: other machines, other versions, mapped files, skops."""

from __future__ import annotations

import pickle
import warnings

import joblib
import numpy as np
import pytest
from bad_input_cases import DENSE, POOLED, X, Z, estimators, fitted, outputs, targets

from ntk_sklearn import __version__
from ntk_sklearn.estimators import _pickling
from ntk_sklearn.networks import Activation, Dense, Serial


@estimators
def test_an_estimator_from_a_missing_device_predicts_on_the_cpu(kind):
    model = fitted(kind)
    expected = outputs(model, Z)
    model.device = model.kernel_.device = "cuda:99"  # as on a machine with a hundred of them
    saved = pickle.dumps(model)
    with pytest.warns(UserWarning, match="'cuda:99' .* does not exist on this machine"):
        loaded = pickle.loads(saved)
    np.testing.assert_array_equal(outputs(loaded, Z), expected)
    assert loaded.device == "cuda:99"
    with pytest.raises(ValueError, match="device must be"):
        loaded.fit(X, targets(kind))


@estimators
@pytest.mark.parametrize("mode", ["r", "c"])
def test_an_estimator_mapped_from_a_file_predicts_without_a_warning(kind, mode, tmp_path):
    model = fitted(kind)
    joblib.dump(model, tmp_path / "model")
    with warnings.catch_warnings(action="error"):
        mapped = joblib.load(tmp_path / "model", mmap_mode=mode)
        assert isinstance(mapped.X_fit_, np.memmap)
        np.testing.assert_array_equal(outputs(mapped, Z), outputs(model, Z))


@estimators
def test_an_estimator_of_another_version_loads_with_a_warning_of_both(kind, monkeypatch):
    model = fitted(kind)
    monkeypatch.setattr(_pickling, "__version__", "0.0.7")
    saved = pickle.dumps(model)
    monkeypatch.undo()
    with pytest.warns(UserWarning, match=rf"saved by ntk_sklearn 0\.0\.7 .* {__version__}"):
        loaded = pickle.loads(saved)
    np.testing.assert_array_equal(outputs(loaded, Z), outputs(model, Z))
    assert vars(loaded).keys() == vars(model).keys()


@estimators
def test_an_estimator_of_another_format_is_refused(kind, monkeypatch):
    model = fitted(kind)
    monkeypatch.setattr(_pickling, "STATE_FORMAT", 99)
    saved = pickle.dumps(model)
    monkeypatch.undo()
    with pytest.raises(ValueError, match="in format 99"):
        pickle.loads(saved)


NETWORKS = {
    "default": (None, None),
    "dense": (DENSE, None),
    "images": (POOLED, (1, 3, 4)),
    "tree": (Serial(Dense(), Activation("erf"), Dense()), None),
}


@estimators
@pytest.mark.parametrize("name", NETWORKS)
def test_skops_round_trips_and_distrusts_only_our_types(kind, name):
    skops = pytest.importorskip("skops.io")
    network, image_shape = NETWORKS[name]
    model = kind(network, image_shape=image_shape).fit(X, targets(kind))
    data = skops.dumps(model)
    untrusted = skops.get_untrusted_types(data=data)
    assert untrusted
    assert all(name.startswith("ntk_sklearn.") for name in untrusted)
    loaded = skops.loads(data, trusted=untrusted)
    np.testing.assert_array_equal(outputs(loaded, Z), outputs(model, Z))
    with pytest.raises(Exception, match=r"[Uu]ntrusted"):
        skops.loads(data, trusted=[])
