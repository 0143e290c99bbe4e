"""The report: one file, nothing fetched, all words escaped, nothing left unsaid."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import Any

import pytest

from pcloud.metrics.intervals import Figure as Fraction
from pcloud.plots import canvas, report
from pcloud.plots.report import Code, Link, Picture, Section, Table, Text, write_report

EVIL = '<script src="https://example.org/x.js"></script>&"\''


def picture() -> bytes:
    drawn = canvas.figure(1, 1)
    canvas.axes(drawn)
    return canvas.png(drawn)


def test_page_fetches_nothing_and_escapes_everything(tmp_path: Path, links_of: Any) -> None:
    path = tmp_path / "report.html"
    table = Table([EVIL], [[EVIL]], EVIL)
    parts = [Text(EVIL), Code(EVIL), Link("display.html", EVIL), Picture(picture(), EVIL), table]
    assert write_report(path, EVIL, [Section(EVIL, parts)]) == path
    page = path.read_text()
    links = links_of(page)
    image, link = sorted(links.found, key=len, reverse=True)
    assert link == "display.html" and "<script" not in page and "script-src" not in links.policy
    assert base64.b64decode(image.removeprefix("data:image/png;base64,")) == picture()
    assert "default-src 'none'" in links.policy and list(tmp_path.iterdir()) == [path]


def test_figures_come_with_counts_interval_and_cuts(tmp_path: Path) -> None:
    named = {
        "fake_rate": Fraction("fake_rate", 1, 4, "wrong / all candidates"),
        "empty": Fraction("empty", 0, 0, "none / none"),
        "ratio": Fraction("ratio", 1234, 5, "candidates / particles", level=None),
    }
    section = report.figures("Figures", {name: one.as_dict() for name, one in named.items()}, note="all hits in")
    page = write_report(tmp_path / "r.html", "r", [section]).read_text()
    cells = [re.findall("<td[^>]*>(.*?)</td>", row) for row in re.findall("<tr>(.*?)</tr>", page, re.S)[1:]]
    low, high = named["fake_rate"].interval or (0, 0)
    assert cells[0] == ["fake rate", "0.2500", f"{low:.4f} to {high:.4f} (68%)", "1", "4", "wrong / all candidates"]
    assert cells[1][1] == "–" and cells[2][2:5] == ["–", "1,234", "5"]
    assert "all hits in" in page


def test_provenance_says_what_is_not_known(tmp_path: Path) -> None:
    section = report.provenance(
        command="pcloud evaluate run",
        commit=None,
        weights_sha256="ab" * 32,
        training_steps=12345,
        cut_origin="simulated events",
        data="event 1001",
        versions={"torch": "2.13"},
        config="encoder:\n  name: gravnet\n",
    )
    page = write_report(tmp_path / "r.html", "r", [section]).read_text()
    told = ("pcloud evaluate run", "ab" * 32, "12,345", "simulated events", "event 1001", "2.13", "name: gravnet")
    assert all(words in page for words in told)
    assert page.count("not recorded") == 1  # the commit


@pytest.mark.parametrize("path", ["https://example.org", "//example.org", "javascript:x", "/etc"])
def test_links_stay_in_the_folder(path: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected a path relative to the report"):
        write_report(tmp_path / "r.html", "r", [Section("s", [Link(path, "x")])])
    assert list(tmp_path.iterdir()) == []


def test_pictures_are_png(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not a PNG"):
        write_report(tmp_path / "r.html", "r", [Section("s", [Picture(b"GIF89a", "x")])])
