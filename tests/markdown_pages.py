"""Code, printed text and links of Markdown files."""

from __future__ import annotations

import contextlib
import io
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from types import ModuleType
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs").glob("*.md"))

# Fences may be indented, as those in lists are.
_FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^()\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


class Example(NamedTuple):
    """A block of Python, and the block of text that directly follows it, if one does."""

    code: str
    line: int
    printed: str | None


def examples(page: Path) -> Iterator[Example]:
    text = page.read_text(encoding="utf-8")
    fences = list(_FENCE.finditer(text))
    for k, fence in enumerate(fences):
        after = fences[k + 1] if k + 1 < len(fences) else None
        if fence[2] != "python":
            continue
        follows = after is not None and after[2] == "text"
        directly = follows and not text[fence.end() : after.start()].strip()
        line = text.count("\n", 0, fence.start()) + 1
        yield Example(dedent(fence[3]), line, dedent(after[3]) if directly else None)


def run(page: Path, name: str) -> ModuleType:
    """Run the Python blocks of a page in one fresh module, which `sys.modules` then holds.

    What a block prints must be the text block behind it.
    """
    module = sys.modules[name] = ModuleType(name)
    for example in examples(page):
        # line numbers of a traceback are those of the page
        code = compile("\n" * example.line + example.code, str(page), "exec")
        with contextlib.redirect_stdout(io.StringIO()) as out:
            exec(code, module.__dict__)
        expected = example.printed or ""
        assert out.getvalue() == expected, f"{page.name}:{example.line} prints\n{out.getvalue()}"
    return module


def links(page: Path) -> list[str]:
    """Targets of the links of a page, without those in code."""
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    return _LINK.findall(re.sub(r"`[^`\n]*`", "", text))


def anchors(page: Path) -> set[str]:
    """What a repository browser calls the headings of a page."""
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    titles = (re.sub(r"[^\w\- ]", "", title.strip().lower()) for title in _HEADING.findall(text))
    return {title.replace(" ", "-") for title in titles}
