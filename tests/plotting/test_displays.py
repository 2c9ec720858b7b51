"""What all Displays have in common."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib import rcParams
from matplotlib.colors import to_hex

from ntk_sklearn import plotting
from ntk_sklearn.plotting import (
    GramDisplay,
    KernelProfileDisplay,
    PhaseDiagramDisplay,
    PosteriorDisplay,
    SpectrumDisplay,
    TrainingDynamicsDisplay,
    WidthConvergenceDisplay,
)

POINTS = np.linspace(0.5, 2.0, 4)
DISPLAYS = {
    "GramDisplay": lambda: GramDisplay(np.eye(4), labels=[0, 0, 1, 1]),
    "KernelProfileDisplay": lambda: KernelProfileDisplay(POINTS, np.cos(POINTS)),
    "PhaseDiagramDisplay": lambda: PhaseDiagramDisplay(
        [1.0, 2.0], [0.0, 0.1], [[0.8, 1.5], [0.7, 1.4]], critical=[1.2, np.nan]
    ),
    "PosteriorDisplay": lambda: PosteriorDisplay(POINTS, POINTS, POINTS),
    "SpectrumDisplay": lambda: SpectrumDisplay(1 / POINTS, slope=-1.0),
    "TrainingDynamicsDisplay": lambda: TrainingDynamicsDisplay(POINTS, np.exp(-POINTS)),
    "WidthConvergenceDisplay": lambda: WidthConvergenceDisplay([4, 16], [[0.4, 0.5], [0.2, 0.3]]),
}
LINES = ["KernelProfileDisplay", "PosteriorDisplay", "SpectrumDisplay"]
LINES += ["TrainingDynamicsDisplay", "WidthConvergenceDisplay"]


def first_line(display):
    return display.lines_[0] if hasattr(display, "lines_") else display.line_


def test_all_displays_are_tested_here():
    assert set(DISPLAYS) == set(plotting.__all__)


@pytest.mark.parametrize("name", DISPLAYS)
def test_plot_draws_on_the_axes_it_is_given(name, ax):
    display = DISPLAYS[name]()
    assert display.plot(ax) is display
    assert display.ax_ is ax
    assert display.figure_ is ax.figure
    assert ax.has_data()
    assert len(plt.get_fignums()) == 1


@pytest.mark.parametrize("name", DISPLAYS)
def test_plot_without_axes_makes_one_figure_and_changes_no_setting(name):
    before = dict(rcParams)
    display = DISPLAYS[name]().plot()
    assert plt.get_fignums() == [display.figure_.number]
    assert dict(rcParams) == before


@pytest.mark.parametrize("name", DISPLAYS)
def test_axes_are_named_and_have_no_title(name, ax):
    DISPLAYS[name]().plot(ax)
    assert ax.get_xlabel()
    assert ax.get_ylabel()
    assert not ax.get_title()


@pytest.mark.parametrize("name", DISPLAYS)
def test_drawing_twice_draws_the_same(name):
    display = DISPLAYS[name]()
    pictures = []
    for _ in range(2):
        figure = display.plot().figure_
        figure.set_dpi(30)
        figure.canvas.draw()
        pictures.append(np.asarray(figure.canvas.buffer_rgba()).copy())
    np.testing.assert_array_equal(*pictures)


@pytest.mark.parametrize("names", [("color", "linewidth"), ("c", "lw")])
@pytest.mark.parametrize("name", LINES)
def test_keywords_reach_the_lines_in_either_spelling(name, names, ax):
    given = dict(zip(names, ("#123456", 3), strict=True))
    line = first_line(DISPLAYS[name]().plot(ax, **given))
    assert (to_hex(line.get_color()), line.get_linewidth()) == ("#123456", 3)


@pytest.mark.parametrize("name", ["GramDisplay", "PhaseDiagramDisplay"])
def test_keywords_reach_images(name, ax):
    display = DISPLAYS[name]().plot(ax, cmap="magma", vmin=0.1, vmax=7)
    image = display.image_ if name == "GramDisplay" else display.mesh_
    assert image.get_cmap().name == "magma"
    assert image.get_clim() == (0.1, 7)


@pytest.mark.parametrize("name", DISPLAYS)
def test_axes_that_are_none_are_refused_before_anything_is_drawn(name):
    figure, several = plt.subplots(1, 2)
    for wrong in (several, figure):
        with pytest.raises(TypeError, match="ax must be one matplotlib Axes"):
            DISPLAYS[name]().plot(wrong)
    assert len(plt.get_fignums()) == 1


# matplotlib is optional


@pytest.mark.parametrize("name", DISPLAYS)
def test_without_matplotlib_the_error_says_what_to_install(name, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    display = DISPLAYS[name]()  # needs none
    with pytest.raises(ImportError, match=rf"{name}.plot .* pip install 'ntk-sklearn\[plot\]'"):
        display.plot()


@pytest.mark.parametrize(
    "cls, method, needed",
    [
        (GramDisplay, "from_kernel", 1),
        (GramDisplay, "from_estimator", 1),
        (KernelProfileDisplay, "from_network", 1),
        (KernelProfileDisplay, "from_depths", 2),
        (SpectrumDisplay, "from_kernel", 1),
        (SpectrumDisplay, "from_estimator", 1),
        (SpectrumDisplay, "from_spectrum", 1),
        (SpectrumDisplay, "from_sphere", 1),
        (TrainingDynamicsDisplay, "from_estimator", 1),
        (TrainingDynamicsDisplay, "from_spectrum", 1),
        (PosteriorDisplay, "from_estimator", 2),
        (PhaseDiagramDisplay, "from_activation", 1),
        (WidthConvergenceDisplay, "from_study", 1),
    ],
)
def test_without_matplotlib_nothing_is_computed(cls, method, needed, monkeypatch):
    class Untouched:
        def __getattr__(self, name):
            raise AssertionError(name)

    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=f"{cls.__name__}.{method} needs matplotlib"):
        getattr(cls, method)(*[Untouched()] * needed)


def imports_of(tree):
    """Imports outside of functions, and of blocks for type checkers."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        elif not isinstance(node, ast.FunctionDef):
            yield from imports_of(node)


def test_no_file_imports_matplotlib_before_something_is_drawn():
    files = list(Path(plotting.__file__).parent.glob("*.py"))
    assert len(files) > len(DISPLAYS)
    for file in files:
        found = imports_of(ast.parse(file.read_text(encoding="utf-8")))
        assert not [name for name in found if name.split(".")[0] == "matplotlib"], file.name


@pytest.mark.slow  # a fresh interpreter
def test_imports_and_constructors_load_no_matplotlib():
    code = (
        "import sys, ntk_sklearn, ntk_sklearn.plotting as p;"
        "p.GramDisplay([[1.0]]); p.SpectrumDisplay([1.0]);"
        "assert not [name for name in sys.modules if name.split('.')[0] == 'matplotlib']"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# Arrays


@pytest.mark.parametrize("name", DISPLAYS)
def test_constructors_store_what_they_are_given(name):
    display = DISPLAYS[name]()
    assert not [key for key in vars(display) if key.endswith("_")]


BAD = [
    (lambda: GramDisplay([[1.0, np.nan]]), "matrix has entries that are not finite"),
    (lambda: GramDisplay([1.0, 2.0]), "matrix must have 2 axes"),
    (lambda: GramDisplay([["a"]]), "matrix must be an array of numbers"),
    (lambda: GramDisplay(np.eye(3), labels=[0, 1, 0]), "side by side"),
    (lambda: GramDisplay(np.eye(3), labels=[0, 1]), "labels are of the rows"),
    (lambda: KernelProfileDisplay([0, 1], [1.0]), r"values must end in the shape \(2,\)"),
    (lambda: KernelProfileDisplay([0, 1], [[1, 2], [3, 4]], labels="a"), "labels must be 2 names"),
    (lambda: KernelProfileDisplay([0, 1], [1, 2], along="time"), "along must be one of"),
    (lambda: KernelProfileDisplay([0, 1], [1, 2], quantity="both"), "quantity must be one of"),
    (lambda: SpectrumDisplay([0.0, -1.0]), "eigenvalues must have positive ones"),
    (lambda: SpectrumDisplay([1.0, 2.0]), "eigenvalues must fall"),
    (lambda: SpectrumDisplay([2.0, 1.0], slope=-1, fitted=(5, 9)), "holds no eigenvalue"),
    (lambda: SpectrumDisplay([]), "eigenvalues must have 1 axes and entries"),
    (lambda: SpectrumDisplay([1.0], degrees=[0, 1]), r"degrees must end in the shape \(1,\)"),
    (lambda: SpectrumDisplay([1.0, 0.5], power=[1.0, -1.0]), "power must be squares"),
    (lambda: SpectrumDisplay([1.0, 0.5], errors=[1.0]), "errors must end in the shape"),
    (lambda: TrainingDynamicsDisplay([1, 2], [1, 2, 3]), "curves must end in the shape"),
    (lambda: TrainingDynamicsDisplay([1, 2], [1, 2], measured=[1, 2]), "measured must have 2 axes"),
    (
        lambda: TrainingDynamicsDisplay([1, 2], [1, 2], measured=np.ones((2, 3, 2))),
        "2 groups for 1",
    ),
    (lambda: PosteriorDisplay([1, 2], [1, 2], [1, -1]), "std must not be negative"),
    (
        lambda: PosteriorDisplay([1, 2], [1, 2], draws=np.ones((3, 2))),
        r"draws must be \(2, n_draws\)",
    ),
    (lambda: PosteriorDisplay([1, 2], [1, 2], x_train=[1]), "belong together"),
    (lambda: PhaseDiagramDisplay([2, 1], [0, 1], np.ones((2, 2))), "w_std must be two or more"),
    (lambda: PhaseDiagramDisplay([1, 2], [0, 1], np.ones((2, 3))), "values must end in the shape"),
    (lambda: PhaseDiagramDisplay([1, 2], [0, 1], np.full((2, 2), np.nan)), "no positive number"),
    (
        lambda: PhaseDiagramDisplay([1, 2], [0, 1], np.ones((2, 2)), phases=["ordered"]),
        "phases must have the shape",
    ),
    (lambda: WidthConvergenceDisplay([4, 8], [[1.0]]), r"errors must be \(2, n_draws\)"),
    (lambda: WidthConvergenceDisplay([4], [[0.0]]), "errors must be positive"),
]


@pytest.mark.parametrize("make, message", BAD, ids=[message for _, message in BAD])
def test_bad_arrays_are_refused_without_leaving_a_figure(make, message):
    display = make()  # stores
    with pytest.raises(ValueError, match=message):
        display.plot()
    assert not plt.get_fignums()
