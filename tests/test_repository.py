"""The files around the package agree with each other and with the rooms they describe."""

from __future__ import annotations

import ast
import configparser
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from importlinter.cli import lint_imports
from packaging.requirements import Requirement
from packaging.version import Version

import ntk_sklearn

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "ntk_sklearn"
VERSION = re.search(r'"(\d[^"]*)"', (PACKAGE / "_version.py").read_text())[1]


def pyproject():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def setup_cfg():
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(ROOT / "setup.cfg")
    return parser


def requirements(*extras):
    project = pyproject()["project"]
    optional = [line for extra in extras for line in project["optional-dependencies"][extra]]
    return [Requirement(line) for line in (*project["dependencies"], *optional)]


def pins(name):
    lines = (ROOT / "constraints" / name).read_text().splitlines()
    found = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {pin.name: next(iter(pin.specifier)) for pin in found}


def tool_of(section):
    """The tool that reads a section of setup.cfg."""
    return re.match(r"importlinter|tox(?=:)|testenv|\w+", section)[0].replace("testenv", "tox")


def repository_files():
    """Every file of the repository: what git tracks, or would track at the next commit."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if found.returncode:
        pytest.skip("not a git checkout")
    return [path for line in found.stdout.splitlines() if (path := ROOT / line).is_file()]


# The two configuration files


def test_setup_cfg_holds_the_import_contract_and_tox_only():
    assert {tool_of(section) for section in setup_cfg().sections()} == {"importlinter", "tox"}


def test_no_tool_is_configured_twice():
    assert not {tool_of(section) for section in setup_cfg().sections()} & set(pyproject()["tool"])


@pytest.mark.parametrize(
    "name",
    ["setup.py", "tox.ini", "pytest.ini", "mypy.ini", "ruff.toml", ".ruff.toml", ".flake8"]
    + [".importlinter", ".coveragerc", "requirements.txt"],
)
def test_no_third_configuration_file(name):
    assert not (ROOT / name).exists()


def test_tox_repeats_no_dependency():
    text = (ROOT / "setup.cfg").read_text()
    tox = text[text.index("[tox:tox]") :]
    names = [requirement.name for requirement in requirements("test", "dev")]
    assert not [name for name in names if re.search(rf"^\s*{name}\s*[<>=~]", tox, re.MULTILINE)]


# Versions


def test_version_is_read_from_one_file():
    project = pyproject()["project"]
    assert "version" not in project
    assert "version" in project["dynamic"]
    assert ntk_sklearn.__version__ == VERSION


def test_changelog_has_an_entry_for_the_version():
    assert f"## [{VERSION}]" in (ROOT / "CHANGELOG.md").read_text()


def test_citation_has_the_version():
    text = (ROOT / "CITATION.cff").read_text()
    assert re.search(r"^version: (.+)$", text, re.MULTILINE)[1] == VERSION


def test_floors_are_the_versions_that_are_tested():
    tested = pins("floors.txt")
    for requirement in requirements("plot", "progress"):
        floor, pin = next(iter(requirement.specifier)), tested[requirement.name]
        assert (floor.operator, pin.operator) == (">=", "==")
        assert Version(floor.version) == Version(pin.version)


def test_ci_pins_every_requirement_to_an_allowed_version():
    pinned = pins("ci.txt")
    for requirement in requirements("test"):
        if requirement.name != "ntk-sklearn":
            pin = pinned[requirement.name]
            assert pin.operator == "=="
            assert requirement.specifier.contains(pin.version)


# The package


def test_imports_keep_to_the_rooms(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    assert lint_imports(no_cache=True, no_logo=True) == 0, capsys.readouterr().out


def imported(path):
    """Top-level names of the absolute imports of a file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module.split(".")[0]


def test_architecture_needs_the_standard_library_only():
    found = {name for path in (PACKAGE / "architecture").rglob("*.py") for name in imported(path)}
    assert found <= set(sys.stdlib_module_names)


def test_every_folder_with_code_is_a_package():
    folders = {path.parent for path in PACKAGE.rglob("*.py")}
    assert not [folder for folder in folders if not (folder / "__init__.py").is_file()]


def test_package_is_marked_as_typed():
    assert (PACKAGE / "py.typed").is_file()


def test_tests_mirror_the_package():
    rooms = {path.name for path in (ROOT / "tests").iterdir() if list(path.rglob("test_*.py"))}
    beside = {"bad_input"}  # what every estimator and kernel has to stand
    assert rooms <= {path.name for path in PACKAGE.iterdir() if path.is_dir()} | beside


# The text

# Absolute paths of somebody's machine, and hosts that a mirror replaces.
FOREIGN = re.compile(
    r"(?<![\w./-])/(?:home|root|Users|work|opt|mnt|tmp)/\w"
    r"|[A-Z]:\\Users\b|pypi\.org|pythonhosted\.org"
)


def test_no_file_knows_the_machine_it_was_written_on():
    found = []
    for path in repository_files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found += [f"{path.relative_to(ROOT)}: {match[0]}" for match in FOREIGN.finditer(text)]
    assert not found
