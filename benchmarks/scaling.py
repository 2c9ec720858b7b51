"""How the cost of a Gram grows: with the number of rows, with pixels and with depth.

Run ``python benchmarks/scaling.py``. Writes the measurements with the environment as JSON and a
figure with three panels, each in float32 and float64, medians of the repetitions:

* seconds for the Gram of n rows of 784 features, dense network of depth 3, beside the bare product
  X @ X.T with all its entries;
* milliseconds per pair of images of H x W pixels, 5 convolutions, pooled or flattened;
* nanoseconds per entry and layer with growing depth: constant where time grows like the depth.

What is an entry of a layer, `peers/entries.py` says. Leave OMP_NUM_THREADS alone, and the machine.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
from peers import report
from peers.contenders import Contender, Plan, ours, product
from peers.work import Work

from ntk_sklearn.networks import Convolutional, FullyConnected

matplotlib.use("Agg")
import matplotlib.pyplot as plt

DTYPES = ("float32", "float64")
N_ROWS = (250, 500, 1000, 2000, 4000, 8000)
SIZES = (4, 6, 8, 12, 16, 24, 32)
DEPTHS = (1, 2, 3, 5, 10, 20, 30)
DEPTH_ROWS, DEPTH_SIZE = 2000, 16
FIGURE = Path(__file__).parents[1] / "docs" / "figures" / "scaling.png"
LIMIT = 3.0  # seconds of a call on images


@dataclass(frozen=True)
class Point:
    """One measurement to be made: where it is drawn, and who is timed."""

    panel: str
    curve: str
    x: float
    contender: Contender


def points_of_rows(dtype: str, quick: bool) -> Iterator[Point]:
    """Seconds against n."""
    work = Work("", FullyConnected(3))
    for n in N_ROWS[: 3 if quick else None]:
        plan = Plan(dense_rows=n)
        yield Point("rows", "kernel", n, ours(work, dtype, plan))
        yield Point("rows", "bare product", n, product(work, dtype, plan))


def points_of_pixels(dtype: str, quick: bool) -> Iterator[Point]:
    """Milliseconds per pair against the number of pixels."""
    for head in ("global_avg_pool", "flatten"):
        for size in SIZES[: 3 if quick else None]:
            work = Work("", Convolutional(5, head=head), size)
            contender = ours(work, dtype, Plan(limit=0.1 if quick else LIMIT))
            yield Point("pixels", head, size**2, contender)


def points_of_depth(dtype: str, quick: bool) -> Iterator[Point]:
    """Nanoseconds per entry and layer against depth."""
    plan = Plan(dense_rows=250, limit=0.1) if quick else Plan(dense_rows=DEPTH_ROWS, limit=LIMIT)
    for depth in DEPTHS[: 3 if quick else None]:
        dense = Work("", FullyConnected(depth))
        pooled = Work("", Convolutional(depth), 8 if quick else DEPTH_SIZE)
        yield Point("depth", "dense", depth, ours(dense, dtype, plan))
        yield Point("depth", "convolutional, pooled", depth, ours(pooled, dtype, plan))


def measured(repeats: int, quick: bool) -> list[dict[str, Any]]:
    """Every point with its times."""
    found = []
    for points in (points_of_rows, points_of_pixels, points_of_depth):
        for dtype in DTYPES:
            for point in points(dtype, quick):
                for _ in range(repeats):
                    point.contender.measure()
                record = point.contender.record()
                found.append({"panel": point.panel, "curve": point.curve, "x": point.x, **record})
                sys.stdout.write(f"{point.panel} {point.curve} {dtype} {point.x}: ")
                sys.stdout.write(f"{report.duration(record['median'])}\n")
    return found


AXES = {
    "rows": ("rows n", "seconds for the Gram", lambda r: r["median"], 2),
    "pixels": ("pixels H W", "milliseconds per pair", lambda r: 1e3 * r["per_pair"], 2),
    "depth": ("activations", "ns per entry and layer", lambda r: r["ns_per_entry_layer"], None),
}
NAMES = {"global_avg_pool": "global average pooling", "flatten": "flattened"}


def draw(ax: Any, panel: str, records: list[dict[str, Any]]) -> None:
    """Curves of one panel: colours for what is computed, broken lines for float64."""
    x_label, y_label, value, power = AXES[panel]
    mine = [r for r in records if r["panel"] == panel]
    for k, curve in enumerate(dict.fromkeys(r["curve"] for r in mine)):
        for dtype, style in zip(DTYPES, ("o-", "o--"), strict=True):
            one = [r for r in mine if (r["curve"], r["dtype"]) == (curve, dtype)]
            label = f"{NAMES.get(curve, curve)}, {dtype}"
            line = {"color": f"C{k}", "lw": 1.4, "ms": 3, "label": label}
            ax.plot([r["x"] for r in one], [value(r) for r in one], style, **line)
    if power is not None:
        guide(ax, mine, value, power)
    ax.set(xlabel=x_label, ylabel=y_label, xscale="log", yscale="log")
    ticks = sorted({r["x"] for r in mine})
    ax.set_xticks(ticks, [f"{round(x**0.5)}²" if panel == "pixels" else f"{x:g}" for x in ticks])
    ax.xaxis.minorticks_off()
    ax.legend(fontsize="small", frameon=False)


def guide(ax: Any, records: list[dict[str, Any]], value: Any, power: int) -> None:
    """Growth like x**power, through the last point of the first curve."""
    first = [r for r in records if (r["curve"], r["dtype"]) == (records[0]["curve"], DTYPES[0])]
    end, xs = first[-1], [first[0]["x"], first[-1]["x"]]
    ys = [value(end) * (x / end["x"]) ** power for x in xs]
    squared = {"rows": "$n^2$", "pixels": "$(HW)^2$"}[end["panel"]]
    ax.plot(xs, ys, color="0.6", lw=4, alpha=0.5, zorder=0, label=f"growth like {squared}")


def picture(records: list[dict[str, Any]], path: Path) -> None:
    """Three panels side by side."""
    figure, axes = plt.subplots(1, 3, figsize=(12, 3.8), layout="constrained")
    for ax, panel in zip(axes, AXES, strict=True):
        draw(ax, panel, records)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=90)


def main() -> None:
    """Measure, then write both files."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", type=Path, help="file for all measurements")
    parser.add_argument("--from-json", type=Path, help="draw these again and measure nothing")
    parser.add_argument("--figure", type=Path, default=FIGURE)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="few and small points")
    given = parser.parse_args()
    if given.from_json is not None:
        picture(report.read(given.from_json)["records"], given.figure)
        return
    found = {"environment": report.environment(), "records": measured(given.repeats, given.quick)}
    if given.json is not None:
        report.write(given.json, found)
    picture(found["records"], given.figure)


if __name__ == "__main__":
    main()
