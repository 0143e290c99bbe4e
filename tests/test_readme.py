"""The README is true: its commands and its code run, its tree and its table are those of the code, its picture is there."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from pages import ROOT, Reader, blocks
from test_architecture import FILES, MAY_IMPORT, imports, part_of, tree_of

from pcloud import config
from pcloud.cli.arguments import parse
from pcloud.pretrained.files import shipped

README = ROOT / "README.md"
TEXT = README.read_text(encoding="utf-8")
COMMANDS = [words for block in blocks(README) if block.language == "sh" for words in block.commands]
SMALLER = {
    "--events 80": "--events 14",
    "--pileup 6": "--pileup 1",
    "--data.store=jets": "--data.store=jets --train.steps=2 --train.events=32",
    "--data.store=qcd": "--data.store=qcd --train.steps=2 --train.events=32",
    "--data.store=store": "--data.store=store --train.steps=2 --train.budget=3000 --encoder.channels=8 --encoder.layers=1",
}
ANYTHING = {"config", "pretrained", "doors", "plots", "cli"}


def located(path: Path) -> str:
    return str(path.relative_to(ROOT))


def section(title: str) -> str:
    return TEXT.split(f"\n## {title}\n")[1].split("\n## ")[0]


@pytest.mark.filterwarnings("ignore")  # of others' libraries; pcloud's own are tested where they arise
def test_a_reader_can_follow_it(tmp_path: Path, untrained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command and all the code, with fewer events and steps; while no weights are shipped, with untrained ones."""
    stand_in = {"predict tracks": f"predict {untrained}", 'load("tracks")': f'load("{untrained}")'}
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    reader = Reader(tmp_path, monkeypatch, skip=("make", "pip"), swap=SMALLER | ({} if "tracks" in shipped() else stand_in))
    reader.follow(README)
    verbs = {"simulate", "inspect", "predict", "score", "display", "prepare", "train", "evaluate", "export"}
    assert {one.removeprefix("pcloud ") for one in reader.done} == verbs, "the tour shows every verb"
    assert {"event_id", "hit_id", "track_id"} <= reader.names["tracks"].keys()
    assert len(set(reader.names["tracks"]["hit_id"])) == len(reader.names["tracks"]["track_id"]) > 0
    assert {path.suffix for path in (tmp_path / "shown").iterdir()} == {".png", ".html"}


@pytest.mark.parametrize("words", [words for words in COMMANDS if words[0] == "pcloud"], ids=" ".join)
def test_commands_are_understood_as_they_stand(words: list[str]) -> None:
    given = parse(words[1:])
    if given.verb == "train":
        config.read(ROOT / given.config, given.overrides)


@pytest.mark.parametrize("words", [words for words in COMMANDS if words[0] != "pcloud"], ids=" ".join)
def test_other_commands_name_what_there_is(words: list[str]) -> None:
    if words[0] == "make":
        assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE), f"no target {words[1]}"
    else:
        assert words[:2] == ["pip", "install"] and (ROOT / words[words.index("-c") + 1]).is_file()


def test_other_make_targets_it_speaks_of_are_there() -> None:
    targets = set(re.findall(r"`make (\w+)", TEXT))
    assert targets and targets <= set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def test_modules_it_speaks_of_are_there() -> None:
    for module in re.findall(r"`python -m ([\w.]+)", TEXT):
        assert (ROOT / f"{module.replace('.', '/')}.py").is_file(), module


def tree() -> set[str]:
    """Paths of the file tree: a folder at the margin, what it holds two columns further in."""
    (block,) = (one for one in blocks(README) if one.language == "text")
    paths, folder = set(), ""
    for line in block.text.splitlines():
        name = line.split()[0]
        if not line.startswith(" "):
            folder = name
        paths.add(name if name == folder else folder + name)
        assert len(line.split()) > 1 or name == "pcloud/" or name == "data_prep/", f"{name}: no word on what it is"
    return paths


def test_the_tree_is_that_of_the_code() -> None:
    named = tree()
    for path in named:
        place = ROOT / path
        assert place.is_dir() if path.endswith("/") else place.is_file(), f"the tree names {path}, which is not there"
    parts = [path for path in (ROOT / "pcloud").iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()]
    there = {f"pcloud/{path.name}{'/' if path.is_dir() else ''}" for path in parts if path.name != "__init__.py"}
    assert there <= named, f"the tree lacks {sorted(there - named)}"
    folders = {f"{path.parent.name}/" for path in ROOT.glob("*/*.*") if path.suffix in (".py", ".yaml")}
    assert {one for one in folders if not one.startswith(".")} <= named


def storeys() -> dict[str, set[str] | None]:
    """Module -> what it may import by the README's table; None = anything."""
    rows = [line.split("|")[2:4] for line in section("Architecture").splitlines() if re.match(r"\| \d ", line)]
    rules: dict[str, set[str] | None] = {}
    for modules, allowed in rows:
        words = None if allowed.strip() == "anything" else set(re.findall(r"`(\w+)`", allowed))
        rules |= {module: words for module in re.findall(r"`(\w+)`", modules)}
    return rules


def test_the_table_of_storeys_names_every_module() -> None:
    assert set(storeys()) == {part_of(path) for path in FILES} - {"__init__"}
    assert {module for module, allowed in storeys().items() if allowed is None} == ANYTHING


@pytest.mark.parametrize("path", [path for path in FILES if part_of(path) != "__init__"], ids=located)
def test_the_table_of_storeys_is_kept(path: Path) -> None:
    part, rules = part_of(path), storeys()
    allowed = rules[part]
    if allowed is None:
        return
    assert allowed <= {name.split(".")[0] for name in MAY_IMPORT[part]}, "the README allows more than the architecture test"
    protocol = {"tasks.protocol"} if part in ("train", "farm") else set()
    for name in imports(tree_of(path)):
        words = name.split(".")
        if words[0] == "pcloud" and len(words) > 1 and not words[1].startswith("__") and words[1] != part:
            assert words[1] in allowed or ".".join(words[1:3]) in protocol, f"{part} imports {name}; the README says otherwise"


def test_extras_are_those_of_the_package() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    rows = re.findall(r"^\| (`.+?) \|", section("Installation"), re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == set(extras)


def test_the_picture_is_small_and_a_picture() -> None:
    (name,) = re.findall(r"!\[.+?\]\((.+?)\)", TEXT)
    data = (ROOT / name).read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n" and len(data) <= 400_000


def test_it_is_read_in_five_minutes() -> None:
    """Words a reader passes over at a glance are not counted: code, tables and the tree."""
    prose = re.sub(r"```.*?```|^\|.*?$|<!--.*?-->", "", TEXT, flags=re.DOTALL | re.MULTILINE)
    assert len(prose.split()) <= 1200
