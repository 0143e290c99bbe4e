"""The API page made from docstrings: signatures as they stand in the source, without importing anything.

``python -m docs.api`` writes docs/api.md; a test holds it to the code.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "api.md"
# In the order of reading; of a package with __all__ what that names, of one without it every module.
PARTS = (
    ("What a user calls first", ("pcloud/cli", "pcloud/pretrained", "pcloud/cloud.py", "data_prep/trackml.py", "data_prep/simulate")),
    ("Events", ("pcloud/data", "pcloud/segments.py", "pcloud/neighbors", "pcloud/physics.py", "pcloud/doors.py")),
    ("Networks", ("pcloud/tasks", "pcloud/encoders", "pcloud/nn", "pcloud/losses", "pcloud/tracking")),
    ("Figures", ("pcloud/scorer", "pcloud/metrics", "pcloud/plots/event_display.py", "pcloud/plots/tracking.py")),
    ("Running", ("pcloud/train", "pcloud/config", "pcloud/farm.py")),
)
HEAD = """\
# API

What may be imported, with signatures and docstrings as they stand in the code; made by `python -m docs.api`. Lengths are in
mm, momenta in GeV, angles in rad, fields in T ([conventions](conventions.md)).
"""
SHOWN = ("__init__", "__call__", "__getitem__")


def text() -> str:
    """The whole page."""
    lines = [HEAD]
    for title, places in PARTS:
        lines += [f"## {title}", ""]
        for place in places:
            lines += section(ROOT / place)
    return "\n".join(lines)


def section(place: Path) -> Iterator[str]:
    """A module, or a package by its ``__all__``, or by its modules where it has none."""
    if place.is_file():
        yield from _module(place, None)
        return
    names = _all(place / "__init__.py")
    files = sorted(place.glob("*.py"))
    if names:
        yield from _module(place / "__init__.py", names, files)
    else:
        for file in files:
            yield from _module(file, None)


def _module(path: Path, names: list[str] | None, files: list[Path] | None = None) -> Iterator[str]:
    dotted = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    about = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    found: dict[str, list[str]] = {}
    for file in files or [path]:
        source = file.read_text(encoding="utf-8")
        for node in ast.parse(source).body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and _public(node, names):
                found[node.name] = _stub(node, source.splitlines())
    yield from (f"### {dotted}", "", *about.replace("``", "`").splitlines(), "")
    if found:
        yield from ("```py", "\n\n".join("\n".join(found[name]) for name in (names or found) if name in found), "```", "")


def _public(node: ast.ClassDef | ast.FunctionDef, names: list[str] | None) -> bool:
    """Named, or not private; and described, by which the verbs are told from the lines that print them."""
    return ast.get_docstring(node) is not None and (node.name in names if names else not node.name.startswith("_"))


def _all(path: Path) -> list[str]:
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
            return [str(name) for name in ast.literal_eval(node.value)]
    return []


def _stub(node: ast.ClassDef | ast.FunctionDef, source: list[str]) -> list[str]:
    """The source from the first decorator to the end of the docstring; of a class also fields and public methods."""
    first = min([node.lineno, *(one.lineno for one in node.decorator_list)]) - 1
    described = ast.get_docstring(node) is not None
    end = node.body[0].end_lineno if described else _before(node.body[0]) - 1
    lines = source[first:end]
    for part in node.body if isinstance(node, ast.ClassDef) else []:
        if isinstance(part, ast.AnnAssign) and not getattr(part.target, "id", "_").startswith("_"):
            lines += source[part.lineno - 1 : part.end_lineno]
        elif isinstance(part, ast.FunctionDef) and (part.name in SHOWN or not part.name.startswith("_")):
            lines += _stub(part, source)
    return lines


def _before(statement: ast.stmt) -> int:
    """The first line of a statement, its decorators included."""
    return min([statement.lineno, *(one.lineno for one in getattr(statement, "decorator_list", []))])


if __name__ == "__main__":
    PAGE.write_text(text(), encoding="utf-8")
