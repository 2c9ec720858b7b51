"""A progress bar of tiles by tqdm, which is an optional package."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

from .threads import Progress

try:
    from tqdm.auto import tqdm  # type: ignore[import-untyped]
except ImportError as error:
    raise ImportError(
        "progress=True shows a bar of tqdm, which is not installed: install ntk-sklearn[progress] "
        "or tqdm, or pass a callable (done, total)"
    ) from error


@contextmanager
def bar(n_pairs: int) -> Iterator[Progress]:
    """A bar on standard error: tiles done, pairs per second, time left.

    All tiles count alike, though those at the edges and on the diagonal are smaller or cheaper.
    """
    with tqdm(desc="kernel", unit="tile") as shown:
        start = perf_counter()

        def report(done: int, total: int) -> None:
            shown.total = total
            elapsed = perf_counter() - start
            if done and elapsed > 0:
                pairs = tqdm.format_sizeof(n_pairs * done / total / elapsed)
                shown.set_postfix_str(f"{pairs} pairs/s", refresh=False)
            shown.update(done - shown.n)

        yield report
