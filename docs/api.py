"""The API page made from docstrings: signatures as they stand in the source, without importing anything.

``python -m docs.api`` writes docs/api.md; a test holds it to the code.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "api.md"
# In the order of reading; of a package with __all__ what that names, of one without it every module.
PARTS = (
    ("What a user calls first", ("pcloud/cli", "pcloud/pretrained", "pcloud/cloud.py")),
    ("Sources of events", ("data_prep/trackml.py", "data_prep/simulate")),
    ("Events", ("pcloud/data", "pcloud/segments.py", "pcloud/neighbors", "pcloud/physics.py", "pcloud/doors.py")),
    ("Networks", ("pcloud/tasks", "pcloud/encoders", "pcloud/nn", "pcloud/losses", "pcloud/tracking")),
    ("Figures", ("pcloud/scorer", "pcloud/metrics", "pcloud/plots/event_display.py", "pcloud/plots/tracking.py")),
    ("Running", ("pcloud/train", "pcloud/config", "pcloud/farm.py")),
)
HEAD = """\
# API

What may be imported, with signatures and docstrings as they stand in the code; made by `python -m docs.api`. Lengths are in
mm, momenta in GeV, angles in rad, fields in T ([conventions](conventions.md)). Short names: {doors}.
"""
SHOWN = ("__init__", "__call__", "__getitem__")
Defined = ast.ClassDef | ast.FunctionDef


def text() -> str:
    """The whole page."""
    doors = _literal(ROOT / "pcloud" / "__init__.py", "_DOORS")
    lines = [HEAD.format(doors=", ".join(f"`pcloud.{name}` of `{module}`" for name, module in doors.items()))]
    for title, places in PARTS:
        lines += [f"## {title}", ""]
        for place in (ROOT / one for one in places):
            if place.is_file():
                lines += section(place, [place])
            elif names := _literal(place / "__init__.py", "__all__"):
                lines += section(place / "__init__.py", sorted(place.glob("*.py")), names)
            else:
                lines += [line for file in sorted(place.glob("*.py")) for line in section(file, [file])]
    return "\n".join(lines)


def section(path: Path, files: list[Path], names: list[str] | None = None) -> Iterator[str]:
    """One module: its docstring, and of what ``files`` define that which is named (else not private) and described.

    By the description the verbs are told from the lines that print them.
    """
    dotted = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    about = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    found: dict[str, list[str]] = {}
    for file in files:
        source = file.read_text(encoding="utf-8")
        for node in ast.parse(source).body:
            if isinstance(node, Defined) and ast.get_docstring(node):
                if node.name in names if names else not node.name.startswith("_"):
                    found[node.name] = _stub(node, source.splitlines())
    yield from (f"### {dotted}", "", *about.replace("``", "`").splitlines(), "")
    if found:
        order = [name for name in names or found if name in found]
        yield from ("```py", "\n\n".join("\n".join(found[name]) for name in order), "```", "")


def _literal(path: Path, name: str) -> Any:
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == name:
            return ast.literal_eval(node.value)
    return None


def _stub(node: Defined, source: list[str]) -> list[str]:
    """The source from the first decorator to the end of the docstring; of a class also fields and public methods."""
    body = node.body[0]
    end = body.end_lineno if ast.get_docstring(node) else _first(body) - 1
    lines = source[_first(node) - 1 : end]
    for part in node.body if isinstance(node, ast.ClassDef) else []:
        if isinstance(part, ast.AnnAssign) and not getattr(part.target, "id", "_").startswith("_"):
            lines += source[part.lineno - 1 : part.end_lineno]
        elif isinstance(part, ast.FunctionDef) and (part.name in SHOWN or not part.name.startswith("_")):
            lines += _stub(part, source)
    return lines


def _first(node: ast.stmt) -> int:
    """The first line of a statement, its decorators included."""
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min([node.lineno, *(one.lineno for one in decorators)])


if __name__ == "__main__":
    PAGE.write_text(text(), encoding="utf-8")
