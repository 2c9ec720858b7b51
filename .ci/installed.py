"""Fail unless the package that Python finds is the complete, installed one, not a checkout."""

import sys
from importlib import metadata
from pathlib import Path

import ntk_sklearn

folder = Path(ntk_sklearn.__file__).parent
assert folder.is_relative_to(sys.prefix), f"imported from {folder}, outside {sys.prefix}"
assert (folder / "py.typed").is_file(), "py.typed is missing from the wheel"
assert ntk_sklearn.__version__ == metadata.version("ntk-sklearn")
# Every module of the checkout must have reached the wheel.
checkout = Path(__file__).resolve().parents[1] / "ntk_sklearn"
missing = [
    str(path.relative_to(checkout))
    for path in checkout.rglob("*.py")
    if not (folder / path.relative_to(checkout)).is_file()
]
assert not missing, f"not in the wheel: {missing}"
ntk_sklearn.show_versions()
