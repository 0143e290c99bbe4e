"""Pages quote figures from results.json by blocks that this writes, so that no figure is typed by hand or goes stale.

``python -m benchmarks.figures`` fills every ``<!-- figures:NAME -->`` ... ``<!-- /figures -->`` and writes RESULTS.md;
``<!-- figures:NAME only score, memory -->`` quotes the lines with one of these words (RESULTS.md always has all).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks import record

ROOT = Path(__file__).resolve().parent.parent
SUMMARY = ROOT / "benchmarks" / "RESULTS.md"
BLOCK = re.compile(r"(<!-- figures:([\w-]+)(?: only ([^\n]+?))? -->\n).*?(<!-- /figures -->)", re.DOTALL)
HEAD = """\
# Results

Every figure ever quoted, newest first, and the ideas that lost. Made by `python -m benchmarks.figures` from
`benchmarks/results.json`; edit neither by hand. Intervals are as named; "synthetic" marks simulated events.
"""
Results = dict[str, list[dict[str, Any]]]


def pages() -> list[Path]:
    """What may quote figures: the README, the docs and the cards of shipped models."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "pcloud" / "pretrained").glob("*.md"))]


def made(results: Results) -> dict[Path, str]:
    """What each page that quotes figures must read, RESULTS.md included."""
    newest = {entry["name"]: entry for entry in results["entries"]}
    written = {page: fill(page.read_text(encoding="utf-8"), newest) for page in pages()}
    return {**written, SUMMARY: "\n".join(_summary(results))}


def quoted(text: str) -> list[str]:
    """Names of the entries that a page quotes."""
    return [match[2] for match in BLOCK.finditer(text)]


def fill(text: str, newest: dict[str, dict[str, Any]]) -> str:
    """The page with each block made anew; one without an entry says that it was not measured."""

    def block(match: re.Match[str]) -> str:
        opening, name, only, closing = match.groups()
        lines = [f"*Not measured yet (`{name}`).*"]
        if name in newest:
            lines = table(chosen(newest[name], only.split(", ")) if only else newest[name])
        return opening + "\n".join(lines) + f"\n{closing}"

    return BLOCK.sub(block, text)


def chosen(entry: dict[str, Any], words: list[str]) -> dict[str, Any]:
    """The entry with the figures alone whose label holds one of the words; ValueError for a word that none holds."""
    for word in words:
        if not any(word in label for label in entry["figures"]):
            raise ValueError(f"figures:{entry['name']}: no label holds {word!r}; there are: {', '.join(entry['figures'])}")
    kept = {label: one for label, one in entry["figures"].items() if any(word in label for word in words)}
    return {**entry, "figures": kept}


def table(entry: dict[str, Any], whole: bool = False) -> list[str]:
    """One entry as a table and a line that says how it was measured; ``whole`` with the definition of each figure."""
    keys = ("counts", "cuts") if whole else ("counts",)
    rows = [[label, shown(one), *(one[key] for key in keys)] for label, one in entry["figures"].items()]
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    how = f"Data: {entry['data']}. Cuts: {entry['cuts']}. {entry['date']}, commit {entry['commit']}, {entry['machine']}."
    head = [f"| {entry['title']} | |{' |' * len(keys)}", "|:--|:--|" + ":--|" * len(keys)]
    return [*head, *lines, "", f"<sub>{how} `{entry['command']}`</sub>"]


def shown(figure: dict[str, Any]) -> str:
    """Value, interval and unit as they are printed."""
    unit = f" {figure['unit']}" if figure["unit"] else ""
    ends = (figure[key] for key in ("value", "low", "high"))
    value, low, high = (None if one is None else number(one, not unit) for one in ends)
    return f"{value}{unit}" if low is None else f"{value} [{low}, {high}]{unit} ({figure['interval']})"


def number(value: float, share: bool = False) -> str:
    """Counts in full, three decimals, of a share near one four, as what is left tells more, three digits for the rest."""
    if isinstance(value, int) or abs(value) >= 1000:
        return f"{value:,.0f}"
    if share and 0.9 <= value < 0.99995:
        return f"{value:.4f}"
    return f"{value:.3f}" if abs(value) < 10 and round(value, 3) else f"{value:.3g}"


def _summary(results: Results) -> Iterator[str]:
    yield HEAD
    for entry in reversed(results["entries"]):
        yield f"## {entry['date']} {entry['name']}\n"
        yield from table(entry, whole=True)
        yield ""
    yield "## Ideas that lost\n"
    for one in reversed(results["notes"]):
        yield f"- **{one['title']}** ({one['date']}, commit {one['commit']}). {one['text']}"
    if not results["notes"]:
        yield "None noted yet: `python -m benchmarks.record TITLE TEXT`."
    yield ""


def main() -> None:
    """Bring every page up to date."""
    for page, text in made(record.read()).items():
        if not page.exists() or page.read_text(encoding="utf-8") != text:
            page.write_text(text, encoding="utf-8")
            print(page.relative_to(ROOT))


if __name__ == "__main__":
    main()
