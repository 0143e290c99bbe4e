"""Figures in pages are those of results.json, and an entry holds all that makes a figure quotable."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import figures, record
from benchmarks.record import Figure
from pcloud.pretrained.files import shipped

named = pytest.mark.parametrize
WORDS = {"title": "A finder", "data": "synthetic, 3 events", "cuts": "pT >= 0.9 GeV"}
COUNTS = {"numerator": 59, "denominator": 67, "definition": "a / b"}
SCORED = {**COUNTS, "value": 0.8806, "low": 0.8273, "high": 0.9207, "level": 0.68}


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Two entries of one name, and a note."""
    file = tmp_path / "results.json"
    for value in (0.25, 0.5):
        one = Figure(value, "ms", low=0.1, high=0.9, interval="range of 3 runs", cuts="warm | dry")
        record.record("finder", {"time": one, "hits": 120_000}, "python -m benchmarks.finder", results=file, **WORDS)
    record.note("Half precision", "Twice as slow on this CPU.", results=file)
    return file


@named("page", [*figures.pages(), figures.SUMMARY], ids=lambda page: page.name)
def test_pages_quote_what_was_measured(page: Path) -> None:
    assert page.read_text(encoding="utf-8") == figures.made(record.read())[page], "out of date: python -m benchmarks.figures"


@named("page", figures.pages(), ids=lambda page: page.name)
def test_every_quoted_figure_was_measured(page: Path) -> None:
    measured = {entry["name"] for entry in record.read()["entries"]}
    missing = [name for name in figures.quoted(page.read_text(encoding="utf-8")) if name not in measured]
    if missing and "tracks" not in shipped():
        pytest.skip(f"the shipped model `tracks` is not there yet, so {', '.join(missing)} could not be measured")
    assert not missing


@named("entry", record.read()["entries"], ids=lambda entry: f"{entry['date']}-{entry['name']}")
def test_an_entry_is_whole(entry: dict[str, Any]) -> None:
    assert set(entry) == {"name", "title", "date", "commit", "machine", "command", "data", "cuts", "figures"}
    assert entry["figures"] and all(entry.values()), "an entry without its data, cuts or origin is no figure"
    assert all(not record.ABSOLUTE.search(entry[key]) for key in ("machine", "command", "data", "cuts"))
    for one in entry["figures"].values():
        Figure(**one)


def test_a_page_quotes_the_newest_entry(results: Path) -> None:
    newest = {entry["name"]: entry for entry in record.read(results)["entries"]}
    page = "Fast:\n<!-- figures:finder -->\nold\n<!-- /figures -->\nand <!-- figures:other -->\n<!-- /figures -->\n"
    filled = figures.fill(page, newest)
    assert figures.quoted(page) == ["finder", "other"]
    assert "| A finder | | |\n|:--|:--|:--|\n| time | 0.500 [0.100, 0.900] ms (range of 3 runs) |  |\n" in filled
    assert "| hits | 120,000 |  |\n" in filled
    assert "old" not in filled and "0.250" not in filled and "*Not measured yet (`other`).*" in filled
    for words in ("synthetic, 3 events", "pT >= 0.9 GeV", "`python -m benchmarks.finder`", newest["finder"]["machine"]):
        assert words in filled
    assert figures.fill(filled, newest) == filled


def test_a_page_may_quote_some_lines(results: Path) -> None:
    newest = {entry["name"]: entry for entry in record.read(results)["entries"]}
    page = "<!-- figures:finder only hi -->\n<!-- /figures -->\n"
    filled = figures.fill(page, newest)
    assert "| hits |" in filled and "| time |" not in filled and figures.quoted(filled) == ["finder"]
    assert figures.fill(filled, newest) == filled
    with pytest.raises(ValueError, match="no label holds 'his'; there are: time, hits"):
        figures.fill(page.replace("only hi", "only his"), newest)


def test_the_summary_keeps_former_figures_and_lost_ideas(results: Path) -> None:
    text = figures.made(record.read(results))[figures.SUMMARY]
    assert text.index("0.500") < text.index("0.250"), "newest first"
    assert "warm \\| dry" in text and "**Half precision**" in text and "Twice as slow" in text


def test_numbers_are_printed_with_the_digits_they_have() -> None:
    counts = {3: "3", 120_000: "120,000", 0: "0", 4649.0: "4,649"}
    measured = {0.8806: "0.881", 31.26: "31.3", 2.5: "2.500", 0.0001234: "0.000123"}
    for value, expected in (counts | measured).items():
        assert figures.number(value) == expected


def test_a_reported_figure_keeps_counts_and_definition() -> None:
    one = Figure.of(SCORED)
    assert (one.counts, one.cuts, one.interval) == ("59 / 67", "a / b", "68%")
    assert Figure.of({**SCORED, "low": None, "high": None}).interval == ""


@named("wrong", [{"value": float("nan")}, {"value": None}, {"value": 1.0, "low": 0.5}, {"value": 1.0, "low": 0.5, "high": 2.0}])
def test_a_figure_that_says_too_little_is_refused(wrong: dict[str, float | None]) -> None:
    with pytest.raises(ValueError, match="figure"):
        Figure(**wrong)  # type: ignore[arg-type]


@named("key", ["name", "title", "data", "cuts", "command"])
@named("text", ["", "see /home/me/x", "--data=/data/x", "~/runs", "C:\\runs"])
def test_an_entry_names_no_place_and_leaves_nothing_out(key: str, text: str, tmp_path: Path) -> None:
    words = {"name": "finder", "command": "make bench", **WORDS, key: text}
    with pytest.raises(ValueError, match=key):
        record.record(words.pop("name"), {"hits": 1}, words.pop("command"), results=tmp_path / "r.json", **words)
    assert not list(tmp_path.iterdir())


def test_an_entry_says_where_and_when(results: Path) -> None:
    import os
    import platform

    entry = record.read(results)["entries"][0]
    assert len(entry["date"]) == 10 and entry["commit"] and f"{os.cpu_count()} cores" in entry["machine"]
    assert platform.node() not in json.dumps(entry) or not platform.node()


def test_a_full_disk_leaves_the_former_results(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = results.read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space"):
        record.note("a", "b", results=results)
    assert results.read_bytes() == before and [path.name for path in results.parent.iterdir()] == ["results.json"]
