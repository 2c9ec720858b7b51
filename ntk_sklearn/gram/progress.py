"""Who hears of finished tiles: a callable of the caller's, a bar, nobody."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from .threads import Progress


@contextmanager
def reporting(progress: Any, n_pairs: int) -> Iterator[Progress | None]:
    """The function that is called with (done, total) tiles: `progress`, or a bar where it is True.

    Parameters
    ----------
    progress : callable, bool or None
    n_pairs : int
        Pairs of rows in all tiles together, for the speed that a bar shows.

    Raises
    ------
    TypeError
        If `progress` is something else.
    ImportError
        If a bar is wanted and tqdm is not installed.
    """
    if progress is None or callable(progress):
        yield progress
    elif not isinstance(progress, (bool, np.bool_)):
        raise TypeError(
            f"progress must be True, False, None or a callable (done, total), got {progress!r}"
        )
    elif not progress:
        yield None
    else:
        from ._tqdm import bar  # an optional package

        with bar(n_pairs) as report:
            yield report
