"""The docs say what is so: the code on their pages runs, their links lead somewhere, and the API page is that of the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pages import FILE, ROOT, Reader, blocks

from docs import api

PAGES = sorted((ROOT / "docs").glob("*.md"))
FOLLOWED = [page for page in PAGES if page.name != "api.md"]
TEXTS = [*PAGES, *(ROOT / name for name in ("README.md", "CHANGELOG.md") if (ROOT / name).exists())]
named = pytest.mark.parametrize


@pytest.mark.filterwarnings("ignore")  # a page's own libraries; pcloud's warnings are tested where they arise
@named("page", FOLLOWED, ids=lambda page: page.stem)
def test_a_reader_can_follow_the_page(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Reader(tmp_path, monkeypatch).follow(page)


def test_the_api_page_is_up_to_date() -> None:
    assert api.PAGE.read_text(encoding="utf-8") == api.text(), "docs/api.md is out of date: python -m docs.api"


def test_the_api_page_shows_what_a_user_calls() -> None:
    shown = api.text()
    for wanted in ("def knn(", "class PointCloud:", "def score_event(", "class TrackFinding", "def predict(", "def open_event("):
        assert wanted in shown, wanted
    assert not re.search(r"def _(?!_init__|_call__|_len__|_getitem__)", shown), "private functions are nobody's business"


@named("page", TEXTS, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    for target in re.findall(r"\]\((?!https?://)([^)#]+)", re.sub(r"`[^`\n]*`", "", text)):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"
    for target in re.findall(r"`((?:pcloud|data_prep|tests|configs|benchmarks|docs)/[\w./-]+)`", text):
        assert (ROOT / target).exists(), f"{page.name} names {target}"


@named("page", TEXTS, ids=lambda page: page.name)
def test_no_page_names_a_place_of_one_machine_or_a_registry(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert not (found := re.findall(r"(?<![\w.])(?:/(?:home|root|work|tmp|Users)/|[A-Z]:\\|localhost)", text)), found
    assert not (found := re.findall(r"pypi\.org|pythonhosted|download\.pytorch|anaconda\.org|--index-url", text)), found


def test_blocks_and_names_are_read_as_they_stand(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    shell = "```sh\npcloud score \\\n  --json  # and more\n\n# only words\n```\n"
    page.write_text(f"One\n\n{shell}\n```yaml\n# my-own.yaml\na: 1\n```\n")
    commands, config = blocks(page)
    assert commands.line == 4 and commands.commands == [["pcloud", "score", "--json"]] and commands.file is None
    assert config.file == "my-own.yaml" and not FILE.match("# words, not a file.py x"[9:])


def test_a_reader_stumbles_over_a_mistake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "page.md"
    page.write_text("```python\nassert 1 == 2\n```\n")
    with pytest.raises(AssertionError):
        Reader(tmp_path, monkeypatch).follow(page)
    page.write_text("```sh\npcloud inspect nothing-there\n```\n")
    with pytest.raises(AssertionError, match="page.md:2: pcloud inspect nothing-there ended with 2"):
        Reader(tmp_path, monkeypatch).follow(page)
