"""The documentation is true: its code runs, its links lead somewhere, its names exist."""

from __future__ import annotations

import importlib
import re
import sys

import pytest
from markdown_pages import PAGES, ROOT, anchors, links, run

from ntk_sklearn.duals import base

README = ROOT / "README.md"
WITH_CODE = [*PAGES, README]
WITH_LINKS = [*WITH_CODE, *(ROOT / name for name in ("CONTRIBUTING.md", "CHANGELOG.md"))]
by_name = lambda page: page.name  # noqa: E731

_NAME = re.compile(r"`(ntk_sklearn(?:\.\w+)+)`")


@pytest.mark.parametrize("page", WITH_CODE, ids=by_name)
def test_code_blocks_run_and_print_what_they_say(page, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(base, "_registry", dict(base._registry))
    monkeypatch.setitem(sys.modules, "page", None)
    run(page, "page")


@pytest.mark.parametrize("page", WITH_LINKS, ids=by_name)
def test_links_lead_to_files_and_headings(page):
    for link in links(page):
        if re.match(r"\w+:", link):
            continue
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_every_page_is_linked_from_the_index():
    index = ROOT / "docs" / "index.md"
    found = {(index.parent / link.partition("#")[0]).resolve() for link in links(index)}
    assert set(PAGES) <= found | {index}


@pytest.mark.parametrize("page", WITH_CODE, ids=by_name)
def test_dotted_names_exist(page):
    for name in _NAME.findall(page.read_text(encoding="utf-8")):
        assert exists(name), name


def exists(name: str) -> bool:
    """Whether a dotted name is a module, or an attribute of one."""
    try:
        importlib.import_module(name)
    except ModuleNotFoundError:
        owner, _, attribute = name.rpartition(".")
        return bool(owner) and hasattr(importlib.import_module(owner), attribute)
    return True
