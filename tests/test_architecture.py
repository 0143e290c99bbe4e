"""The house keeps its order: who may import whom, how long a file may be, what may not be written anywhere.

Read off the syntax trees, so that an import inside a function counts like one at the top.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from statistics import median

import pytest

ROOT = Path(__file__).resolve().parent.parent
FILES = sorted((ROOT / "pcloud").rglob("*.py"))
MODULES = FILES + sorted((ROOT / "data_prep").rglob("*.py"))
LONGEST, MEDIAN, LONGEST_FUNCTION = 350, 120, 75

STOREY_0 = {"segments", "physics", "cloud"}
STOREY_1 = {"neighbors", "scorer"}
STOREY_2 = {"nn", "losses", "metrics", "tracking", "jets", "anomaly", "data"}
ANYTHING = {"doors", "plots", "cli", "config", "pretrained"}
# module -> what of pcloud it may import, beside itself
MAY_IMPORT = {
    "segments": set(),
    "physics": set(),
    "cloud": {"segments", "physics"},
    "neighbors": STOREY_0,
    "scorer": set(),
    **dict.fromkeys(STOREY_2, STOREY_0 | STOREY_1),
    "encoders": STOREY_0 | STOREY_1 | {"nn", "jets"},
    "tasks": STOREY_0 | STOREY_1 | STOREY_2 - {"data"} | {"encoders"},
    "train": STOREY_0 | {"data", "tasks.protocol"},
    "farm": STOREY_0 | {"data", "tasks.protocol"},
}
# package from outside -> the only modules that may import it
CONFINED = {
    "torch_geometric": {"nn", "encoders", "doors"},
    "pandas": {"scorer", "plots", "cli", "doors"},
    **dict.fromkeys(("uproot", "awkward", "h5py"), {"doors"}),
    **dict.fromkeys(("lightning", "pytorch_lightning", "tensorboard"), {"train"}),
    **dict.fromkeys(("dask", "distributed", "dask_jobqueue"), {"farm"}),
    **dict.fromkeys(("matplotlib", "plotly", "mplhep", "hist"), {"plots"}),
    "jsonargparse": {"config"},
    "yaml": {"config"},
    "triton": {"neighbors", "losses"},
    **dict.fromkeys(("data_prep", "benchmarks", "tests"), set()),
}
SCORER_ALONE = {"numpy", "pandas"}


def imports(tree: ast.AST) -> set[str]:
    """Dotted names of all that is imported anywhere in the file; ``from a import b`` gives a.b."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {one.name for one in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import; write the whole name"
            found |= {f"{node.module}.{one.name}" for one in node.names}
    return found


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def part_of(path: Path) -> str:
    """The module of pcloud that a file belongs to: its folder or its own name directly under pcloud/."""
    return path.relative_to(ROOT / "pcloud").parts[0].removesuffix(".py")


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", FILES, ids=named)
def test_imports_only_what_its_storey_allows(path: Path) -> None:
    part = part_of(path)
    if part == "__init__":
        return
    assert part in MAY_IMPORT or part in ANYTHING, f"{part} has no storey; give it one in the table"
    for name in imports(tree_of(path)):
        words = name.split(".")
        if words[0] == "pcloud" and len(words) > 1 and part in MAY_IMPORT and not words[1].startswith("__"):
            allowed = MAY_IMPORT[part] | {part}
            assert words[1] in allowed or ".".join(words[1:3]) in allowed, f"{part} may not import {name}"
        assert part in CONFINED.get(words[0], {part}), f"{part} may not import {words[0]}"


@pytest.mark.parametrize("path", [path for path in FILES if part_of(path) == "scorer"], ids=named)
def test_the_scorer_needs_numpy_and_pandas_alone(path: Path) -> None:
    import sys

    for name in imports(tree_of(path)):
        top = name.split(".")[0]
        assert top in SCORER_ALONE | {"pcloud"} or top in sys.stdlib_module_names, f"the scorer imports {top}"


def test_the_rule_sees_a_breach() -> None:
    tree = ast.parse("def f():\n    from pcloud import tasks\n    import lightning.pytorch as l\n")
    assert imports(tree) == {"pcloud.tasks", "lightning.pytorch"}


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_a_file_is_short_and_says_why_it_exists(path: Path) -> None:
    tree = tree_of(path)
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    assert len(lines) <= LONGEST, f"{len(lines)} lines; a concept in it wants a file of its own"
    assert ast.get_docstring(tree), "the file does not say why it exists and how it is used"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            length = (node.end_lineno or 0) - node.lineno + 1
            assert length <= LONGEST_FUNCTION, f"{node.name} has {length} lines"


def test_the_median_file_is_short() -> None:
    assert median(len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES) <= MEDIAN


def test_no_name_that_says_nothing() -> None:
    words = {"utils", "util", "common", "helpers", "helper", "misc", "core"}
    assert not [named(path) for path in MODULES if words & set(path.relative_to(ROOT).with_suffix("").parts)]


@pytest.mark.parametrize("path", [path for path in FILES if path.name != "commands.py"], ids=named)
def test_the_library_prints_nothing(path: Path) -> None:
    if named(path) == "pcloud/cli/errors.py":
        return
    calls = [node.func for node in ast.walk(tree_of(path)) if isinstance(node, ast.Call)]
    assert not [one for one in calls if isinstance(one, ast.Name) and one.id in ("print", "breakpoint", "eval", "exec")]


def test_nothing_is_imported_by_the_path_it_names() -> None:
    """A configuration that could name a class could run any code."""
    texts = [*MODULES, *sorted((ROOT / "configs").glob("*.yaml"))]
    assert not [named(path) for path in texts if "class_path" in path.read_text(encoding="utf-8")]


def test_no_path_of_one_machine() -> None:
    places = re.compile(r"[\"' ](/(?:home|root|work|Users)/|C:\\\\)")
    texts = [*MODULES, *sorted((ROOT / "configs").glob("*.yaml")), *sorted((ROOT / "benchmarks").glob("*.py"))]
    assert not [named(path) for path in texts if places.search(path.read_text(encoding="utf-8"))]
