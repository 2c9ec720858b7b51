"""A phase of a fit, told to those who listen: scikit-learn's callbacks, printed lines."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter
from typing import Any, Protocol

LINES_OF_A_PHASE = 10
SECONDS_WITHOUT_A_LINE = 10.0


class Listener(Protocol):
    """Who hears of a phase."""

    def begin(self, total: int | None) -> None:
        """The phase begins; `total` steps, 0 for none, None if not known."""

    def step(self, done: int, total: int | None) -> bool:
        """A step has ended; whether to stop."""

    def end(self) -> None:
        """The phase has succeeded."""


class Phase:
    """A phase of a fit, and the function that reports its steps.

    The number of steps is known from the first report on, so a phase with steps begins there.
    """

    def __init__(self, listeners: Sequence[Listener], stepped: bool) -> None:
        self._listeners, self._stepped, self._begun = listeners, stepped, False

    def __enter__(self) -> Phase:
        if not self._stepped:
            self._begin(0)
        return self

    def __call__(self, done: int, total: int | None) -> bool:
        """Report `done` of `total` steps (None if not known); whether a callback wants to stop."""
        if not self._begun:
            self._begin(total)
        if done == 0:
            return False
        stops = [listener.step(done, total) for listener in self._listeners]
        return any(stops)

    def __exit__(self, kind: Any, *_: object) -> None:
        if kind is not None:  # as in scikit-learn, a task that fails does not end
            return
        if not self._begun:
            self._begin(0)
        for listener in self._listeners:
            listener.end()

    def _begin(self, total: int | None) -> None:
        self._begun = True
        for listener in self._listeners:
            listener.begin(total)


class Tasks:
    """A phase and its steps as tasks for scikit-learn's callbacks."""

    def __init__(self, estimator: Any, parent: Any, name: str, step: str) -> None:
        self._estimator, self._parent, self._names = estimator, parent, (name, step)
        self._task: Any = None
        self._step: Any = None

    def begin(self, total: int | None) -> None:
        """The task of the phase, and of its first step."""
        self._task = self._parent.subcontext(self._names[0], max_subtasks=total)
        self._task.call_on_fit_task_begin(estimator=self._estimator)
        if total != 0:
            self._next_step()

    def step(self, done: int, total: int | None) -> bool:
        """End the task of a step and begin the next one's."""
        if self._step is None:
            return False
        stop: bool = self._step.call_on_fit_task_end(estimator=self._estimator)
        self._step = None
        if total is None or done < total:
            self._next_step()
        return stop

    def end(self) -> None:
        """End the phase, and a step that was begun because their number is not known."""
        for task in (self._step, self._task):
            if task is not None:
                task.call_on_fit_task_end(estimator=self._estimator)

    def _next_step(self) -> None:
        self._step = self._task.subcontext(self._names[1])
        self._step.call_on_fit_task_begin(estimator=self._estimator)


class Lines:
    """A phase as printed lines: one at its end, and some on the way where wanted."""

    def __init__(self, title: str, n_pairs: int, on_the_way: bool) -> None:
        self._title, self._n_pairs, self._on_the_way = title, n_pairs, on_the_way
        self._start = self._last = perf_counter()
        self._printed = 0

    def begin(self, total: int | None) -> None:
        """Nothing: a phase is printed when its duration is known."""

    def step(self, done: int, total: int | None) -> bool:
        """A line after every tenth of the steps, or when there was none for ten seconds."""
        now = perf_counter()
        tenths = LINES_OF_A_PHASE * done // total if total else 0
        late = now - self._last >= SECONDS_WITHOUT_A_LINE
        if self._on_the_way and (late or tenths > self._printed):
            self._printed, self._last = tenths, now
            print(f"{self._title}: {self._on(done, total, now - self._start)}", flush=True)
        return False

    def end(self) -> None:
        """The line of the phase."""
        print(f"{self._title}: {perf_counter() - self._start:.1f} s", flush=True)

    def _on(self, done: int, total: int | None, elapsed: float) -> str:
        """How far, how fast (all steps count alike) and how long still."""
        if total is None:
            return f"{done} steps, {elapsed:.1f} s"
        parts = [f"{100 * done / total:.0f}%"]
        if self._n_pairs and elapsed > 0:
            parts.append(f"{self._n_pairs * done / total / elapsed:.3g} pairs/s")
        return ", ".join([*parts, f"{elapsed * (total - done) / done:.1f} s left"])
