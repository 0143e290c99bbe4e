"""Pages of the project as tests read them: their code blocks, and a way to do what a block says as a reader would.

``Reader(folder).follow(page)`` works through a page from top to bottom; a block that fails is named by page and line.
"""

from __future__ import annotations

import importlib
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from pcloud.cli import main

ROOT = Path(__file__).resolve().parent.parent
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"# ([\w-]+\.(?:py|yaml|toml))\b")  # a first line like "# mine.yaml" makes the block that file


class Block(NamedTuple):
    """A fenced block; ``line`` is that of its first line in the page."""

    page: str
    line: int
    language: str
    text: str

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def file(self) -> str | None:
        named = FILE.match(self.text)
        return named[1] if named else None

    @property
    def commands(self) -> list[list[str]]:
        """The words of each line of a shell block, comments left out."""
        lines = self.text.replace("\\\n", " ").splitlines()
        return [words for line in lines if (words := shlex.split(line, comments=True))]


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    return [Block(page.name, text.count("\n", 0, m.start()) + 2, m[1], m[2]) for m in FENCE.finditer(text)]


class Reader:
    """Follows pages in an empty folder. Python blocks of a page share their names; a block with a file's name becomes it.

    skip: programs that are not run. swap: words to put in place of others, such as smaller numbers; each must be there.
    """

    def __init__(
        self, folder: Path, patch: pytest.MonkeyPatch, *, skip: tuple[str, ...] = (), swap: Mapping[str, str] | None = None
    ) -> None:
        self.folder, self.skip, self.swap = folder, skip, dict(swap or {})
        self.names: dict[str, Any] = {"__name__": "page"}
        self.done: list[str] = []
        patch.chdir(folder)
        patch.syspath_prepend(str(folder))

    def follow(self, page: Path) -> None:
        whole = page.read_text(encoding="utf-8")
        assert not (gone := [old for old in self.swap if old not in whole]), f"{page.name} no longer says {gone}"
        try:
            for block in blocks(page):
                self._do(block._replace(text=self._swapped(block.text)))
        finally:  # what the page has made is not there for the next one
            for name, module in list(sys.modules.items()):
                if str(getattr(module, "__file__", "")).startswith(str(self.folder)):
                    del sys.modules[name]

    def _swapped(self, text: str) -> str:
        for old, new in self.swap.items():
            text = text.replace(old, new)
        return text

    def _do(self, block: Block) -> None:
        if block.file is not None:
            (self.folder / block.file).write_text(block.text, encoding="utf-8")
            importlib.invalidate_caches()
        elif block.language == "python":
            exec(compile("\n" * (block.line - 1) + block.text, block.page, "exec", dont_inherit=True), self.names)
        elif block.language == "sh":
            for words in block.commands:
                self._command(block, words)
        else:
            assert block.language == "text", f"{block.place}: language {block.language}; a page has python, sh and text"

    def _command(self, block: Block, words: list[str]) -> None:
        if words[0] in self.skip:
            return
        self.done.append(" ".join(words[:2]))
        if words[0] == "pcloud":
            status = main(words[1:])
            assert status == 0, f"{block.place}: {shlex.join(words)} ended with {status}"
        elif words[:3] == ["pip", "install", "-e"]:
            self._install(self.folder / words[3])
        elif words[0] == "python":
            paths = (self.folder, ROOT, ROOT / "tests", ROOT / "tests" / "encoders")
            environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(map(str, paths))}
            done = subprocess.run([sys.executable, *words[1:]], cwd=self.folder, env=environment, capture_output=True, text=True)
            assert done.returncode == 0, f"{block.place}: {shlex.join(words)}\n{done.stdout[-4000:]}{done.stderr[-2000:]}"
        else:
            raise AssertionError(f"{block.place}: nobody runs {words[0]!r} here; let the test know it")

    def _install(self, project: Path) -> None:
        """What an installation makes of pyproject.toml's entry points, without one."""
        about = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        place = self.folder / f"{about['name'].replace('-', '_')}-{about['version']}.dist-info"
        place.mkdir()
        (place / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {about['name']}\nVersion: {about['version']}\n")
        with (place / "entry_points.txt").open("w") as file:
            for group, ones in about["entry-points"].items():
                file.writelines([f"[{group}]\n", *(f"{name} = {at}\n" for name, at in ones.items())])
        importlib.invalidate_caches()
