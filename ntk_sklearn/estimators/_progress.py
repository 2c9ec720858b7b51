"""Progress of a fit: tasks for scikit-learn's callbacks, lines for `verbose`, else nothing."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from contextvars import ContextVar
from numbers import Integral
from typing import Any, TypeVar

import numpy as np

from .._compat import CallbackSupportMixin, with_callbacks
from ._phases import Lines, Listener, Phase, Tasks

Fit = TypeVar("Fit", bound=Callable[..., Any])


class ReportsProgress(CallbackSupportMixin):
    """Mixin of estimators whose `fit` is decorated with `reports_progress`.

    Such an estimator has a parameter `verbose`, and scikit-learn's `set_callbacks` from version
    1.9 on.
    """

    def _progress(self, name: str, step: str | None = None, n_pairs: int = 0) -> Phase:
        """A phase of the fit that is running, as a context manager; silent outside of a fit.

        ``with self._progress("kernel", "tile", n_pairs) as report:`` gives a function
        ``report(done, total)`` to be called with 0 before the first step and after each step.

        Parameters
        ----------
        name : str
            What the phase is called in lines and tasks.
        step : str, optional
            What a step is called, for a phase that reports steps.
        n_pairs : int, default=0
            Pairs of rows in all steps together, for the speed; 0 leaves the speed out.
        """
        fit = _running.get()
        if fit is None or fit.estimator is not self:
            return Phase((), False)
        return fit.phase(name, step, n_pairs)


def reports_progress(n_phases: int | None = None) -> Callable[[Fit], Fit]:
    """Decorate a `fit` that reports its phases by ``self._progress``.

    `verbose` is checked first. Callbacks see the fit as a task with one subtask per phase, whose
    subtasks are its steps; when the fit has succeeded they get the fitted estimator. A `fit` that
    calls its parent's is one fit. A callback's wish to stop is returned by ``report``, and ignored
    by kernel matrices, of which half is of no use; a callback that raises ends the fit.

    Parameters
    ----------
    n_phases : int or None
        The largest number of phases, which makes a progress bar of the whole fit possible.
    """

    def decorate(method: Fit) -> Fit:
        signature = inspect.signature(method)

        def run(estimator: Any, *args: Any, **kwargs: Any) -> Any:
            given = signature.bind_partial(estimator, *args, **kwargs).arguments
            running = RunningFit(estimator, n_phases, dict(list(given.items())[1:]))
            token = _running.set(running)
            try:
                running.begin()
                found = method(estimator, *args, **kwargs)
            finally:
                _running.reset(token)
            running.end()
            return found

        managed = with_callbacks(run)

        @functools.wraps(method)
        def fit(estimator: Any, *args: Any, **kwargs: Any) -> Any:
            running = _running.get()
            inner = running is not None and running.estimator is estimator
            return (method if inner else managed)(estimator, *args, **kwargs)

        return fit  # type: ignore[return-value]

    return decorate


class RunningFit:
    """A fit, given its arguments by name, from its begin to its end."""

    def __init__(self, estimator: Any, n_phases: int | None, given: dict[str, Any]) -> None:
        self.estimator = estimator
        self._verbose = check_verbose(estimator.verbose)
        self._n_phases, self._begun = n_phases, 0
        self._data = {name: given.pop(name, None) for name in ("X", "y")}
        self._data["metadata"] = {k: v for k, v in given.items() if v is not None} or None
        self._task: Any = None

    def begin(self) -> None:
        """The task of the fit, where scikit-learn has callbacks."""
        if hasattr(self.estimator, "_init_callback_context"):
            self._task = self.estimator._init_callback_context(max_subtasks=self._n_phases)
            self._task.call_on_fit_task_begin(estimator=self.estimator, **self._data)

    def end(self) -> None:
        """The estimator is fitted, so callbacks may predict with it."""
        if self._task is not None:
            self._task.call_on_fit_task_end(
                estimator=self.estimator, reconstruction_attributes={}, **self._data
            )

    def phase(self, name: str, step: str | None, n_pairs: int) -> Phase:
        """The next phase, told to those who listen."""
        self._begun += 1
        if self._n_phases is not None and self._begun > self._n_phases:
            raise RuntimeError(f"phase {name!r} is one more than the {self._n_phases} announced")
        listeners: list[Listener] = []
        if getattr(self.estimator, "_skl_callbacks", ()):
            listeners.append(Tasks(self.estimator, self._task, name, step or ""))
        if self._verbose:
            title = f"[{type(self.estimator).__name__}] {name}"
            listeners.append(Lines(title, n_pairs, self._verbose > 1))
        return Phase(listeners, step is not None)


_running: ContextVar[RunningFit | None] = ContextVar("running fit", default=None)


def check_verbose(verbose: Any) -> int:
    """`verbose` as an integer >= 0; a bool counts as 0 or 1.

    Raises
    ------
    TypeError
        If it is no integer.
    ValueError
        If it is negative.
    """
    if not isinstance(verbose, (Integral, np.bool_)):
        raise TypeError(f"verbose must be an integer >= 0, got {verbose!r}")
    if verbose < 0:
        raise ValueError(f"verbose must be >= 0, got {verbose!r}")
    return int(verbose)
