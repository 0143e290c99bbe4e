"""Reads a page as a browser would, to find what it would fetch."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest


class Links(HTMLParser):
    """Everything a page refers to, and its content policy."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.policy = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        self.found += [value or "" for name, value in attrs if name in ("src", "href", "data", "action", "srcset")]
        if named.get("http-equiv") == "Content-Security-Policy":
            self.policy = named["content"] or ""


@pytest.fixture
def links_of() -> type[Links]:
    return Links
