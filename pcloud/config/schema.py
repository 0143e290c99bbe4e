"""Options checked against a constructor: its signature is the schema, so nothing has to be declared twice.

``check(DGCNN, {"k": 8}, "run.yaml: encoder", skip={"in_channels"})`` gives all options with defaults, or one clear line.
"""

from __future__ import annotations

import difflib
import inspect
import re
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_PLAIN = {int, float, str, bool, type(None), list, tuple, dict, typing.Union, types.UnionType, typing.Literal}


def check(kind: type, options: Mapping[str, Any], where: str, skip: Iterable[str] = ()) -> dict[str, Any]:
    """``options`` typed by the signature of ``kind``'s constructor, its defaults filled in.

    ``skip`` names arguments that are not options. ``where`` ("FILE: section") opens every message.
    """
    from jsonargparse import ArgumentError, ArgumentParser

    skipped = set(skip)
    place, _, section = where.rpartition(": ")
    hints = typing.get_type_hints(kind.__init__)  # type: ignore[misc]
    parameters = {name: one for name, one in inspect.signature(kind).parameters.items() if name not in skipped}
    known_keys(options, list(parameters), place, section + ".")
    for name, parameter in parameters.items():
        if not _is_plain(hints.get(name, object)):
            raise ValueError(
                f"{place}: {section}: option {name} of {kind.__name__} is not typed as plain numbers, names or lists"
            )
        if parameter.default is inspect.Parameter.empty and name not in options:
            raise ValueError(f"{place}: {section}.{name}: nothing came, {_words(hints[name])} expected")
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(kind, None, skip=skipped)
    try:
        return dict(vars(parser.parse_object(dict(options))))
    except ArgumentError as error:
        found = re.search(r'key "(\w+)', str(error))
        if not found or found[1] not in hints:
            raise ValueError(f"{place}: {section}: {' '.join(str(error).split())}") from None
        came = options[found[1]]
        hint, close = hints[found[1]], ""
        if typing.get_origin(hint) is typing.Literal:
            close = nearest(str(came), [str(one) for one in typing.get_args(hint)])
        raise ValueError(f"{place}: {section}.{found[1]}: {came!r} came, {_words(hint)} expected{close}") from None


def known_keys(options: Mapping[str, Any], allowed: Sequence[str], where: str, prefix: str = "") -> None:
    """ValueError on the first key that is not allowed, with the nearest that is."""
    for key in options:
        if key not in allowed:
            near = nearest(str(key), allowed) or f"; expected {', '.join(allowed)}"
            raise ValueError(f"{where}: key {prefix}{key}: unknown{near}")


def nearest(word: str, known: Sequence[str]) -> str:
    """ "; did you mean X?" where a known word is close, else nothing."""
    close = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {close[0]}?" if close else ""


def _is_plain(hint: Any) -> bool:
    origin = typing.get_origin(hint)
    if origin is typing.Literal or hint is Ellipsis:
        return True
    return (origin or hint) in _PLAIN and all(_is_plain(part) for part in typing.get_args(hint))


def _words(hint: Any) -> str:
    """A type as a user would say it."""
    inner = [part for part in typing.get_args(hint) if part is not Ellipsis]
    origin = typing.get_origin(hint)
    if origin is typing.Literal:
        return "one of " + ", ".join(map(str, inner))
    if origin in (list, tuple):
        return "a list of " + " and ".join(map(_words, inner))
    if origin in (typing.Union, types.UnionType):
        return " or ".join(map(_words, inner))
    return "nothing" if hint is type(None) else str(getattr(hint, "__name__", hint))
