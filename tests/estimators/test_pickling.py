"""What pickled states hold, and what happens to those of other versions."""

from __future__ import annotations

import copy
import pickle
import warnings

import numpy as np
import pytest
from sklearn.base import clone

from ntk_sklearn import __version__
from ntk_sklearn.estimators import _pickling
from ntk_sklearn.estimators._pickling import STATE_FORMAT, VersionedState
from ntk_sklearn.kernels import NTK


class Saved(VersionedState):
    """An estimator that remembers one number."""

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = alpha

    def fit(self):
        self.kernel_, self.coef_ = NTK(), np.arange(3.0)
        return self


COPIES = {
    "pickle": lambda model: pickle.loads(pickle.dumps(model)),
    "deepcopy": copy.deepcopy,
    "copy": copy.copy,
}


def test_states_hold_the_version_and_the_format():
    state = Saved().fit().__getstate__()
    assert state["_ntk_sklearn_version"] == __version__
    assert state["_ntk_sklearn_format"] == STATE_FORMAT


@pytest.mark.parametrize("name", COPIES)
def test_copies_within_a_version_are_silent_and_alike(name):
    model = Saved(2.0).fit()
    with warnings.catch_warnings(action="error"):
        found = COPIES[name](model)
    assert vars(found).keys() == vars(model).keys() == {"alpha", "kernel_", "coef_"}
    np.testing.assert_array_equal(found.coef_, model.coef_)
    assert clone(found).get_params() == {"alpha": 2.0}


def load(state):
    found = Saved.__new__(Saved)
    found.__setstate__(state)
    return found


@pytest.mark.parametrize("version", ["0.0.1", "99.0", None])
def test_states_of_other_versions_are_loaded_with_a_warning(version):
    state = Saved(3.0).fit().__getstate__()
    if version is None:  # from before versions were recorded
        del state["_ntk_sklearn_version"], state["_ntk_sklearn_format"]
    else:
        state["_ntk_sklearn_version"] = version
    given = dict(state)
    with pytest.warns(UserWarning, match=f"Saved was saved by ntk_sklearn {version or 'unknown'} "):
        assert load(state).alpha == 3.0
    assert state == given


def test_states_of_other_formats_are_refused():
    state = Saved().fit().__getstate__() | {"_ntk_sklearn_format": STATE_FORMAT + 1}
    with pytest.raises(ValueError, match=f"in format {STATE_FORMAT + 1}; .* or fit it anew"):
        load(state)


@pytest.mark.parametrize("device", ["cuda:99", "xpu"])
def test_kernels_of_missing_devices_come_to_the_cpu(device):
    state = Saved().fit().__getstate__()
    state["kernel_"].device = device
    with pytest.warns(UserWarning, match=f"device '{device}' .* predicts on the CPU"):
        assert load(state).kernel_.device == "cpu"


def test_the_recorded_version_is_that_of_the_package():
    assert _pickling.__version__ == __version__
