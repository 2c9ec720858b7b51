"""A fit tells its phases to scikit-learn's callbacks and to `verbose`, and nothing to nobody."""

from __future__ import annotations

import inspect
import pickle
import re
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from tight_budgets import tight_budget

from ntk_sklearn.estimators import _phases
from ntk_sklearn.estimators._progress import ReportsProgress, check_verbose, reports_progress
from ntk_sklearn.kernels import NetworkKernel
from ntk_sklearn.networks import FullyConnected

N, SIDE = 8, 2
TILES = 10  # 4 x 4 tiles, upper triangle
PAIRS = N * (N + 1) // 2
NETWORK = FullyConnected(depth=1)
X = np.random.default_rng(0).standard_normal((N, 3))
y = X[:, 0]


class Ridge(ReportsProgress, RegressorMixin, BaseEstimator):
    """Kernel ridge regression as small as can be, with as many steps afterwards as wanted."""

    def __init__(self, alpha=0.1, verbose=0, n_steps=None):
        self.alpha, self.verbose, self.n_steps = alpha, verbose, n_steps

    @reports_progress(n_phases=3)
    def fit(self, X, y, sample_weight=None):
        self.n_stopped_ = 0
        K = self._gram(X)
        with self._progress("solve"):
            coefficients = np.linalg.solve(K + self.alpha * np.eye(len(X)), y)
        if self.n_steps is not None:
            with self._progress("search", "step") as report:
                for done in range(self.n_steps + 1):
                    self.n_stopped_ += report(done, None)
        self.X_fit_, self.coefficients_ = np.array(X), coefficients
        return self

    def _gram(self, X):
        budget = tight_budget(NETWORK, None, (1, len(X), len(X)), SIDE)
        kernel = NetworkKernel(NETWORK, backend="reference", memory_budget=budget)
        with self._progress("kernel", "tile", len(X) * (len(X) + 1) // 2) as report:
            return kernel.matrix(X, progress=report)[0]

    def predict(self, X):
        self._gram(self.X_fit_)  # phases outside of a fit are silent
        return NetworkKernel(NETWORK).matrix(np.asarray(X), self.X_fit_)[0] @ self.coefficients_


class Twice(Ridge):
    """A fit that calls its parent's."""

    @reports_progress(n_phases=2)
    def fit(self, X, y):
        return super().fit(X, y)


class Greedy(Ridge):
    """More phases than announced."""

    @reports_progress(n_phases=1)
    def fit(self, X, y):
        return super().fit(X, y)


class Recorder:
    """Writes down what it hears; may raise at, or want to stop after, tasks of one name."""

    def __init__(self, raises=None, stops=None):
        self.heard, self.raises, self.stops = [], raises, stops

    def setup(self, estimator, context):
        self.heard.append(("setup", context.task_name))

    def teardown(self, estimator, context):
        self.heard.append(("teardown", context.task_name))

    def on_fit_task_begin(self, estimator, context, *, X=None, y=None, metadata=None):
        self.heard.append(("begin", context.task_name, context.max_subtasks))
        if context.parent is None:
            self.metadata = metadata
        if context.task_name == self.raises:
            raise InterruptedError

    def on_fit_task_end(self, estimator, context, *, X=None, fitted_estimator=None):
        self.heard.append(("end", context.task_name))
        if fitted_estimator is not None:
            self.predicted = fitted_estimator.predict(X)
        return context.task_name == self.stops


class Propagated(Recorder):
    max_propagation_depth = None


def leaf(name):
    return [("begin", name, 0), ("end", name)]


KERNEL = [("begin", "kernel", TILES)] + TILES * leaf("tile") + [("end", "kernel")]
FIT = [("setup", "fit"), ("begin", "fit", 3)] + KERNEL + leaf("solve")
FIT += [("end", "fit"), ("teardown", "fit")]
callbacks = pytest.mark.skipif(
    not hasattr(Ridge, "set_callbacks"), reason="this scikit-learn has no callbacks"
)


# Callbacks


@callbacks
@pytest.mark.parametrize("stops", [None, "tile", "fit"])
def test_callbacks_hear_every_phase_and_tile(stops):
    recorder = Recorder(stops=stops)
    model = Ridge().set_callbacks(recorder).fit(X, y)
    assert recorder.heard == FIT
    np.testing.assert_array_equal(recorder.predicted, model.predict(X))
    assert recorder.heard == FIT  # predictions tell nothing


@callbacks
def test_estimator_keeps_nothing_of_the_fit():
    model, silent = Ridge().set_callbacks(Recorder()).fit(X, y), Ridge().fit(X, y)
    assert set(vars(model)) - set(vars(silent)) == {"_skl_callbacks"}


@callbacks
def test_sample_weight_is_told():
    recorder = Recorder()
    Ridge().set_callbacks(recorder).fit(X, y, sample_weight=y)
    assert recorder.metadata == {"sample_weight": y}
    Ridge().set_callbacks(recorder).fit(X, y)
    assert recorder.metadata is None


@callbacks
@pytest.mark.parametrize("stops, stopped", [("step", 3), (None, 0)])
def test_steps_of_unknown_number_hear_a_wish_to_stop(stops, stopped):
    recorder = Recorder(stops=stops)
    model = Ridge(n_steps=3).set_callbacks(recorder).fit(X, y)
    steps = [("begin", "search", None)] + 4 * leaf("step") + [("end", "search")]
    assert recorder.heard == FIT[:-2] + steps + FIT[-2:]
    assert model.n_stopped_ == stopped


@callbacks
@pytest.mark.parametrize("raises, until", [("fit", 2), ("kernel", 3), ("tile", 4)])
def test_callback_that_raises_ends_the_fit(raises, until):
    recorder = Recorder(raises=raises)
    model = Ridge().set_callbacks(recorder)
    with pytest.raises(InterruptedError):
        model.fit(X, y)
    assert recorder.heard == FIT[:until] + [("teardown", "fit")]
    assert not hasattr(model, "X_fit_")
    recorder.raises = None
    recorder.heard.clear()
    model.fit(X, y)  # the next fit starts afresh
    assert recorder.heard == FIT


@callbacks
def test_parents_fit_is_the_same_fit():
    recorder = Recorder()
    Twice().set_callbacks(recorder).fit(X, y)
    assert recorder.heard == [FIT[0], ("begin", "fit", 2), *FIT[2:]]


@callbacks
@pytest.mark.parametrize("copy", [clone, lambda model: pickle.loads(pickle.dumps(model))])
@pytest.mark.parametrize("fitted", [False, True])
def test_copies_keep_callbacks(copy, fitted):
    model = Ridge().set_callbacks(Recorder())
    copied = copy(model.fit(X, y) if fitted else model)
    (recorder,) = copied._skl_callbacks
    recorder.heard.clear()
    copied.fit(X, y)
    assert recorder.heard == FIT


@callbacks
def test_search_passes_its_callbacks_on():
    recorder = Propagated()
    search = GridSearchCV(Ridge(), {"alpha": [0.1, 1.0]}, cv=2).set_callbacks(recorder)
    search.fit(X, y)
    names = [entry[1] for entry in recorder.heard if entry[0] == "end"]
    assert names.count("kernel") == names.count("solve") == 2 * 2 + 1
    assert names.count("tile") == 2 * 2 * 3 + TILES  # folds of 4 rows
    assert [entry[0] for entry in recorder.heard].count("setup") == 1


@callbacks
def test_search_leaves_callbacks_of_the_estimator_where_they_are():
    recorder = Recorder()
    GridSearchCV(Ridge().set_callbacks(recorder), {"alpha": [0.1]}, cv=2).fit(X, y)
    assert [entry[0] for entry in recorder.heard].count("setup") == 3


@callbacks
def test_pipeline_passes_its_callbacks_on():
    recorder = Propagated()
    make_pipeline(Ridge()).set_callbacks(recorder).fit(X, y)
    assert [entry for entry in recorder.heard if entry[1] == "tile"] == TILES * leaf("tile")


@callbacks
def test_threads_do_not_hear_each_other():
    recorders = [Recorder() for _ in range(4)]
    models = [Ridge().set_callbacks(recorder) for recorder in recorders]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda model: model.fit(X, y), models))
    assert all(recorder.heard == FIT for recorder in recorders)


@callbacks
def test_scoring_monitor_scores_the_fitted_estimator():
    monitor = pytest.importorskip("sklearn.callback").ScoringMonitor(scoring="r2")
    model = Ridge().set_callbacks(monitor).fit(X, y)
    (row,) = monitor.get_logs().data
    assert row["r2"] == model.score(X, y)


@callbacks
@pytest.mark.parametrize("search", [False, True])
def test_progress_bar_reaches_the_end(search, capsys):
    pytest.importorskip("rich")
    bar = pytest.importorskip("sklearn.callback").ProgressBar(max_propagation_depth=None)
    model = GridSearchCV(Ridge(), {"alpha": [0.1, 1.0]}, cv=2) if search else Ridge()
    model.set_callbacks(bar).fit(X, y)
    lines = re.findall(r"(\w+) (?:#\d )?[^\w\n]*(\d+)%", capsys.readouterr().out)
    assert lines.count(("kernel", "100")) == (5 if search else 1)
    assert ("fit", "100") in lines
    assert {percentage for _, percentage in lines} == {"100"}


# Lines


@pytest.fixture
def clock(monkeypatch):
    """One second passes at every look at the clock."""
    clock = SimpleNamespace(now=0.0, tick=1.0)

    def look():
        clock.now += clock.tick
        return clock.now

    monkeypatch.setattr(_phases, "perf_counter", look)
    return clock


def test_nothing_is_printed_by_default(capsys):
    Ridge(n_steps=2).fit(X, y).predict(X)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("verbose", [1, True, np.int64(1)])
def test_a_line_per_phase(verbose, clock, capsys):
    Ridge(verbose=verbose).fit(X, y)
    assert capsys.readouterr().out == "[Ridge] kernel: 11.0 s\n[Ridge] solve: 1.0 s\n"


def test_lines_on_the_way(clock, capsys):
    Ridge(verbose=2).fit(X, y)
    *lines, kernel, solve = capsys.readouterr().out.splitlines()
    assert kernel, solve == ("[Ridge] kernel: 11.0 s", "[Ridge] solve: 1.0 s")
    assert lines == [
        f"[Ridge] kernel: {10 * k}%, {PAIRS / TILES:.3g} pairs/s, {TILES - k}.0 s left"
        for k in range(1, TILES + 1)
    ]


@pytest.mark.parametrize("tick, lines", [(0.0, 10), (1.0, 10), (10.0, 100)])
def test_a_line_per_tenth_and_ten_seconds(tick, lines, clock, capsys):
    clock.tick = tick
    phase = _phases.Lines("title", 0, True)
    for done in range(1, 101):
        phase.step(done, 100)
    printed = capsys.readouterr().out.splitlines()
    assert printed[-1] == "title: 100%, 0.0 s left"
    assert len(printed) == lines


def test_steps_of_unknown_number_are_counted(clock, capsys):
    clock.tick = 6.0
    Ridge(verbose=2, n_steps=4).fit(X, y)
    *_, second, fourth, end = capsys.readouterr().out.splitlines()
    assert second == "[Ridge] search: 2 steps, 12.0 s"
    assert fourth == "[Ridge] search: 4 steps, 24.0 s"
    assert end == "[Ridge] search: 30.0 s"


@pytest.mark.parametrize(
    "verbose, error", [(-1, ValueError), (None, TypeError), ("yes", TypeError), (1.0, TypeError)]
)
def test_verbose_is_an_integer_not_negative(verbose, error):
    with pytest.raises(error, match="verbose must be"):
        Ridge(verbose=verbose).fit(X, y)
    with pytest.raises(error, match="verbose must be"):
        check_verbose(verbose)


# The decorator


def test_signature_and_result_are_the_methods():
    assert list(inspect.signature(Ridge.fit).parameters) == ["self", "X", "y", "sample_weight"]
    model = Ridge()
    assert model.fit(y=y, X=X) is model
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'y'"):
        model.fit(X)


def test_phases_are_announced():
    with pytest.raises(RuntimeError, match="phase 'solve' is one more than the 1 announced"):
        Greedy().fit(X, y)
