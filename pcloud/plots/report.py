"""One HTML file that says what a run or an evaluation found, with what it was made and what each figure was divided by.

``write_report(path, title, sections)``: a ``Section`` holds ``Text``, ``Table``, ``Picture``, ``Code`` and ``Link``;
``figures`` and ``provenance`` make the two that no report may lack. The page fetches nothing and escapes all words.
"""

from __future__ import annotations

import math
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from pcloud.plots.canvas import png, write
from pcloud.plots.page import document

UNRECORDED = "not recorded"


@dataclass(frozen=True)
class Text:
    words: str

    def html(self) -> str:
        return f"<p>{escape(self.words)}</p>"


@dataclass(frozen=True)
class Code:
    """Words whose line breaks count: a command, a config."""

    words: str

    def html(self) -> str:
        return f"<pre><code>{escape(self.words)}</code></pre>"


@dataclass(frozen=True)
class Link:
    """A file beside the report, such as an event display; never an address in the network."""

    path: str
    words: str

    def html(self) -> str:
        if ":" in self.path or self.path.startswith(("/", "\\")):
            raise ValueError(f"link {self.path!r}: expected a path relative to the report, such as display.html")
        return f'<p><a href="{escape(self.path)}">{escape(self.words)}</a></p>'


@dataclass(frozen=True)
class Picture:
    """A matplotlib Figure, PNG bytes or the path of a PNG; it is written into the page."""

    source: Figure | bytes | str | Path
    caption: str

    def html(self) -> str:
        source = self.source
        data = png(source) if isinstance(source, Figure) else source
        data = data if isinstance(data, bytes) else Path(data).read_bytes()
        if not data.startswith(b"\x89PNG\r\n\x1a\n"):
            name = "the bytes" if isinstance(self.source, bytes) else self.source
            raise ValueError(f"picture {self.caption!r}: {name} are not a PNG; give a PNG or a matplotlib Figure")
        image = f'<img alt="{escape(self.caption)}" src="data:image/png;base64,{b64encode(data).decode()}">'
        return f"<figure>{image}<figcaption>{escape(self.caption)}</figcaption></figure>"


@dataclass(frozen=True)
class Table:
    """Rows of words and numbers; whole numbers are grouped by thousands, others have four digits, None is a dash."""

    header: Sequence[str]
    rows: Sequence[Sequence[Any]]
    caption: str = ""

    def html(self) -> str:
        for row in self.rows:
            assert len(row) == len(self.header), "a row has one cell per column"
        head = "".join(f"<th>{escape(name)}</th>" for name in self.header)
        body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>\n" for row in self.rows)
        caption = f"<caption>{escape(self.caption)}</caption>" if self.caption else ""
        return f"<div class=scroll><table>{caption}<thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table></div>"


@dataclass(frozen=True)
class Section:
    title: str
    parts: Sequence[Text | Code | Link | Picture | Table]

    def html(self) -> str:
        return "\n".join([f"<section><h2>{escape(self.title)}</h2>", *(part.html() for part in self.parts), "</section>"])


def write_report(path: str | Path, title: str, sections: Sequence[Section]) -> Path:
    """Write the page; whole or not there. ValueError: a picture that is no PNG, a link that leaves the folder."""
    return write(path, document(title, "\n".join(section.html() for section in sections)))


def figures(title: str, named: Mapping[str, Mapping[str, Any]], *, note: str = "") -> Section:
    """Figures with their counts and intervals: name -> the dict ``metrics.intervals.Figure.as_dict`` gives.

    The definition holds the cuts. An interval is given with its confidence level; one that does not exist is a dash.
    """
    rows = []
    for name, one in named.items():
        ends = None if one.get("low") is None else f"{one['low']:.4f} to {one['high']:.4f} ({one['level']:.0%})"
        value = None if one.get("value") is None else f"{one['value']:.4f}"
        rows.append([name.replace("_", " "), value, ends, one["numerator"], one["denominator"], one["definition"]])
    header = ("figure", "value", "interval (confidence)", "numerator", "denominator", "definition and cuts")
    return Section(title, [Table(header, rows), *([Text(note)] if note else [])])


def provenance(
    *,
    command: str | None,
    commit: str | None,
    weights_sha256: str | None,
    training_steps: int | None,
    cut_origin: str | None,
    data: str | None,
    versions: Mapping[str, Any] | None,
    config: str | None,
) -> Section:
    """What the figures were made with; each argument must be given, and one that is None is shown as not recorded.

    cut_origin: on which events the cuts of the finder were chosen. config: the resolved config as text.
    """
    told = {
        "command": command,
        "events": data,
        "commit": commit,
        "sha256 of the weights": weights_sha256,
        "training steps": None if training_steps is None else f"{training_steps:,}",
        "origin of the cuts": cut_origin,
        **(versions or {"versions": None}),
    }
    rows = [[name, UNRECORDED if value is None else value] for name, value in told.items()]
    config_part = Text(f"Config: {UNRECORDED}.") if config is None else Code(config)
    return Section("Made with", [Table(("what", "value"), rows), config_part])


def _cell(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "<td class=number>–</td>"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return f"<td>{escape(str(value))}</td>"
    return f"<td class=number>{value:,}</td>" if isinstance(value, int) else f"<td class=number>{value:.4g}</td>"
