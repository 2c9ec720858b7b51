"""The table of cases and the tests name each other."""

from __future__ import annotations

import re
from pathlib import Path

FOLDER = Path(__file__).parent
ROWS = re.findall(r"^\| (\d+) \|(.*)$", (FOLDER / "README.md").read_text(), re.MULTILINE)
LISTED = [name for _, row in ROWS for name in re.findall(r"`([a-z_]+)`", row.split("|")[1])]


def test_every_case_is_in_the_table():
    assert [int(number) for number, _ in ROWS] == [n for n in range(1, 86) if n not in (78, 82)]


def test_table_lists_every_test_once():
    code = "".join(
        path.read_text() for path in FOLDER.glob("test_*.py") if path.name != "test_table.py"
    )
    assert sorted(LISTED) == sorted(re.findall(r"^def test_(\w+)", code, re.MULTILINE))
