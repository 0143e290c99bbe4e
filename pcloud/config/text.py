"""Configurations as text: YAML read safely and within bounds, overrides from the command line, YAML written.

``load(path)`` gives the sections unchecked; ``override(sections, "encoder.k=8")`` puts one value in its place.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

Sections = dict[str, Any]
SECTIONS = ("task", "encoder", "data", "train")
MAX_BYTES = 1 << 20


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """Safe YAML that refuses a key given twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        mapping = super().construct_mapping(node, deep)
        if len(mapping) < len(node.value):
            keys = [key.value for key, _ in node.value]
            twice = next(key for key in keys if keys.count(key) > 1)
            raise yaml.constructor.ConstructorError(None, None, f"key {twice} comes twice", node.start_mark)
        return dict(mapping)


# YAML 1.1 reads 1e-3 as a word, because it has no point; everybody who writes it means the number.
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)


def load(path: str | Path) -> Sections:
    """FileNotFoundError or ValueError where it is no YAML file of sections."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such configuration; give the path of a YAML file")
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"{path}: {path.stat().st_size} bytes came, a configuration of at most {MAX_BYTES} expected")
    try:
        raw = yaml.load(path.read_text(encoding="utf-8"), _Loader)  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(raw, dict):
        raise ValueError(f"{path}: {type(raw).__name__} came, the sections {', '.join(SECTIONS)} expected")
    return raw


def override(raw: Sections, words: str) -> None:
    """Put the value of "section.key=value" into its section."""
    key, equals, value = words.partition("=")
    section, dot, name = key.partition(".")
    if not (equals and dot and name):
        raise ValueError(f"--{words}: expected --section.key=value, such as --encoder.k=8")
    known = raw.setdefault(section, {})
    if not isinstance(known, dict):
        raise ValueError(f"--{words}: {section} holds {known!r}, keys and values expected")
    try:
        known[name] = yaml.load(value, _Loader)  # noqa: S506 - a SafeLoader
    except yaml.YAMLError:
        known[name] = value


def dump(options: Mapping[str, Any]) -> str:
    """Options as YAML, in the order given."""
    return str(yaml.safe_dump(plain(options), sort_keys=False, default_flow_style=None, width=120))


def plain(value: Any) -> Any:
    """The same with tuples as lists, as YAML and JSON know them."""
    if isinstance(value, Mapping):
        return {key: plain(inner) for key, inner in value.items()}
    return [plain(inner) for inner in value] if isinstance(value, tuple | list) else value
