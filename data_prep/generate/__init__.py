"""Jets from nothing: collisions of Pythia 8, or a toy shower, through a detector and FastJet into a store with labels.

`top_tagging(store, events=20000, seed=1)` and `quark_gluon` are what ``pcloud prepare top-tagging STORE --generate N`` calls;
`top_pairs` makes whole events, whose jets are the points.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from data_prep.generate.parts import Parts
from data_prep.generate.recipe import CHUNK, KINDS, Recipe
from data_prep.jets import Jets, write_store
from pcloud import farm
from pcloud.data import manifest
from pcloud.data.store import Store

__all__ = ["KINDS", "Recipe", "quark_gluon", "top_pairs", "top_tagging"]


def generate(
    kind: str,
    out: str | os.PathLike[str],
    *,
    events: int,
    seed: int,
    process: Sequence[str] | None = None,
    pt: tuple[float, float] | None = None,
    eta: float | None = None,
    radius: float | None = None,
    generator: str | None = None,
    overwrite: bool = False,
    workers: int = 1,
    progress: farm.Progress | None = None,
) -> list[Path]:
    """Write a store of `events` jets, one of a collision, or of top-pairs whole events, and return its path.

    process: classes, in equal parts, of data_prep.generate.processes. pt: range (GeV), eta: limit, radius: of anti-kT; the
    kind's own where None. generator: pythia8 (the default) or toy, which needs no package and is no physics. A jet depends on
    its number and these, but for the last chunk of 1000 not on how many others are made, nor on the workers. After a broken
    run the same call goes on from its whole chunks, in OUT.parts; once the store is there it does nothing. Raises ValueError
    on bad arguments and where something else stands in the way. progress(done, to do) counts jets.
    """
    if events < 1:
        raise ValueError(f"events: {events} came, expected at least 1")
    if workers < 1:
        raise ValueError(f"workers: {workers} came, expected at least 1")
    recipe = Recipe.of(kind, seed=seed, process=process, pt=pt, eta=eta, radius=radius, generator=generator)
    out = Path(out).absolute()
    source = recipe.source(events)
    there = (out / manifest.NAME).is_file()
    if out.exists() and not (there and (overwrite or Store.open(out).source == source)):
        hint = "ask to overwrite it, or choose another name" if there else "choose another name"
        raise ValueError(f"{out}: exists already, and not with these jets; {hint}")
    if not there or overwrite:
        parts = Parts(out, source["recipe"] | {"jets": events})
        _fill(parts, recipe, events, workers, progress)
        write_store(out, _stored(parts, events), source=source, overwrite=overwrite)
    Parts.discard(out)
    return [out]


top_tagging: Callable[..., list[Path]] = partial(generate, "top-tagging")
quark_gluon: Callable[..., list[Path]] = partial(generate, "quark-gluon")
top_pairs: Callable[..., list[Path]] = partial(generate, "top-pairs")


class _Chunk(NamedTuple):
    number: int
    jets: int

    def __str__(self) -> str:
        return f"jets {CHUNK * self.number} to {CHUNK * self.number + self.jets - 1}"


def _chunks(events: int) -> list[_Chunk]:
    return [_Chunk(number, min(CHUNK, events - first)) for number, first in enumerate(range(0, events, CHUNK))]


def _fill(parts: Parts, recipe: Recipe, events: int, workers: int, progress: farm.Progress | None) -> None:
    """Make the chunks that are not there."""
    chunks = _chunks(events)
    lacking = [chunk for chunk in chunks if not parts.has(chunk.number)]
    done = events - sum(chunk.jets for chunk in lacking)
    if progress is not None:
        progress(done, events)
    try:
        for made in farm.run(partial(_make, parts, recipe), lacking, workers=workers):
            done += made
            if progress is not None:
                progress(done, events)
    except KeyboardInterrupt as stop:
        kept = sum(chunk.jets for chunk in chunks if parts.has(chunk.number))
        words = f"interrupted; {kept} of {events} jets are kept in {parts.folder}: the same command goes on from them"
        raise KeyboardInterrupt(words) from stop


def _make(parts: Parts, recipe: Recipe, chunk: _Chunk) -> int:
    parts.keep(chunk.number, recipe.chunk(*chunk))
    return chunk.jets


def _stored(parts: Parts, events: int) -> Iterator[Jets]:
    for chunk in _chunks(events):
        jets = parts.read(chunk.number)
        assert len(jets.event_id) == chunk.jets
        yield jets
