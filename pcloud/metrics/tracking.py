"""How well track candidates match the true particles: efficiencies, fakes, duplicates, each with its denominator.

``match`` builds one row per candidate from one row per hit; the figures are functions of those rows and of the table
of ALL true particles, so that no filter on hits can take a particle out of a denominator.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pcloud.metrics.intervals import Figure
from pcloud.metrics.particles import Fiducial, Particles
from pcloud.scorer import majorities, pair_codes

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Matches:
    """One row per candidate, a track of at least ``min_hits`` hits; grouped by (event, track).

    ``row`` [candidates]: row in ``Particles`` of the particle with most of its hits, -1 where that is noise; ties go to
    the lowest id. ``hits``: hits of the candidate, ``shared``: those of that particle, ``particle_hits``: all hits of
    that particle (0 for noise).
    """

    event: Ints
    track: Ints
    hits: Ints
    row: Ints
    shared: Ints
    particle_hits: Ints
    min_hits: int


def match(
    event: ArrayLike,
    track: ArrayLike,
    particle: ArrayLike,
    particles: Particles,
    *,
    noise: int = 0,
    min_hits: int = 3,
    unassigned: int | None = None,
) -> Matches:
    """Candidates and their majority particles from one row per hit.

    ``event``, ``track``, ``particle`` [hits]: integers; ids may repeat between events. ``noise``: the particle id of
    noise (0 in TrackML files, -1 in a ``PointCloud``). ``unassigned``: a track id that means "in no track"; by default
    no id is special. Raises ``ValueError`` for a hit whose particle is not in ``particles`` and for a particle listed
    twice there.
    """
    events, tracks, owners = np.asarray(event), np.asarray(track), np.asarray(particle)
    if not events.shape == tracks.shape == owners.shape:
        shapes = f"event {events.shape}, track {tracks.shape}, particle {owners.shape}"
        raise ValueError(f"{shapes}: expected three columns of one length, one row per hit")
    # Codes of hits and table together, so that a code leads from a hit to the row of its particle.
    code, code_event, code_particle = pair_codes(
        np.concatenate((events, particles.event)), np.concatenate((owners, particles.particle))
    )
    row_of = np.full(len(code_event), -1)
    listed = code[events.size :]
    row_of[listed] = np.arange(listed.size)
    if (count := np.bincount(listed, minlength=1)).max() > 1:
        twice = int(count.argmax())
        raise ValueError(f"particle {code_particle[twice]} of event {code_event[twice]} is listed twice in the table")
    row_of[code_particle == noise] = -1
    owner = code[: events.size]
    if (lost := (row_of[owner] < 0) & (owners != noise)).any():
        raise ValueError(
            f"particle {owners[lost][0]} of event {events[lost][0]} has hits but no row in the particle table; "
            "give the table of all particles"
        )
    kept = np.ones(tracks.shape, dtype=bool) if unassigned is None else tracks != unassigned
    candidate, candidate_event, candidate_track = pair_codes(events[kept], tracks[kept])
    major = majorities(candidate, owner[kept])
    long = major.hits >= min_hits
    row = row_of[major.particle[long]]
    padded_hits = np.append(particles.hits, 0)  # the last entry answers for row -1, noise
    return Matches(
        event=candidate_event[long],
        track=candidate_track[long],
        hits=major.hits[long],
        row=row,
        shared=major.shared[long],
        particle_hits=padded_hits[row],
        min_hits=min_hits,
    )


class Rule(NamedTuple):
    """When a candidate counts as its majority particle; ``words`` go into every figure that uses it."""

    words: str
    holds: Callable[[Matches], Bools]


RULES = {
    "perfect": Rule(
        "candidate has all hits of the particle and no other",
        lambda m: (m.shared == m.hits) & (m.shared == m.particle_hits),
    ),
    "lhc": Rule(
        "more than 75% of the candidate's hits belong to the particle",
        lambda m: 4 * m.shared > 3 * m.hits,
    ),
    "double_majority": Rule(
        "more than 50% of the candidate's hits belong to the particle and it has more than 50% of the particle's hits",
        lambda m: (2 * m.shared > m.hits) & (2 * m.shared > m.particle_hits),
    ),
}


def matched(matches: Matches, rule: str) -> Bools:
    """Mask [candidates]: matched by ``rule``, a key of ``RULES``, to a particle of any pT; never one led by noise."""
    if rule not in RULES:
        raise ValueError(f"rule is {rule!r}; expected one of {', '.join(RULES)}")
    return (matches.row >= 0) & RULES[rule].holds(matches)


def _found(matches: Matches, particles: Particles, rule: str) -> Bools:
    found = np.zeros(particles.hits.shape, dtype=bool)
    found[matches.row[matched(matches, rule)]] = True
    return found


def efficiency(matches: Matches, particles: Particles, fiducial: Fiducial, rule: str) -> Figure:
    """Fiducial particles with a matched candidate over all fiducial particles; a particle counts once."""
    inside = fiducial.select(particles)
    found = _found(matches, particles, rule)
    return Figure(
        f"{rule}_efficiency",
        int(np.count_nonzero(found & inside)),
        int(np.count_nonzero(inside)),
        f"fiducial particles with a matched candidate / all fiducial particles; fiducial: {fiducial}; "
        f"matched: {RULES[rule].words}; candidates: tracks of >= {matches.min_hits} hits",
    )


def fake_rate(matches: Matches, rule: str = "double_majority") -> Figure:
    """Candidates matched to no particle of any pT over all candidates; those led by noise are fakes."""
    genuine = matched(matches, rule)
    return Figure(
        "fake_rate",
        int(np.count_nonzero(~genuine)),
        genuine.size,
        f"candidates led by noise or matched to no particle of any pT / all candidates; matched: {RULES[rule].words}; "
        f"candidates: tracks of >= {matches.min_hits} hits",
    )


def duplicate_rate(matches: Matches, rule: str = "lhc") -> Figure:
    """Matched candidates beyond the first of their particle over all matched candidates.

    By double majority it is 0 by construction, so the one-way LHC rule is the default.
    """
    rows = matches.row[matched(matches, rule)]
    return Figure(
        "duplicate_rate",
        int(rows.size - np.unique(rows).size),
        rows.size,
        f"matched candidates beyond the first of their particle / matched candidates; matched: {RULES[rule].words}; "
        f"candidates: tracks of >= {matches.min_hits} hits",
    )


def tracking_figures(matches: Matches, particles: Particles, fiducial: Fiducial) -> dict[str, Figure]:
    """The five standard figures by name: three efficiencies, fake rate, duplicate rate."""
    figures = [efficiency(matches, particles, fiducial, rule) for rule in ("double_majority", "lhc", "perfect")]
    figures += [fake_rate(matches), duplicate_rate(matches)]
    return {figure.name: figure for figure in figures}


EDGES: dict[str, tuple[float, ...]] = {
    "pt": (0, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 1.2, 1.6, 2.2, 3, 5, 10, float("inf")),
    "eta": tuple(float(edge) for edge in np.arange(-4, 4.5, 0.5)),
    "radius": (0, 1, 10, 30, 60, 100, 180, 260, 500, float("inf")),
}


class Bin(NamedTuple):
    """The particles with low <= quantity < high."""

    low: float
    high: float
    figure: Figure

    def as_dict(self) -> dict[str, Any]:
        """For JSON: an open end is None."""
        low, high = (edge if np.isfinite(edge) else None for edge in (self.low, self.high))
        return {"low_edge": low, "high_edge": high, **self.figure.as_dict()}


def binned_efficiency(
    matches: Matches,
    particles: Particles,
    fiducial: Fiducial,
    rule: str,
    *,
    by: str,
    edges: Sequence[float] | None = None,
) -> list[Bin]:
    """``efficiency`` in bins of ``by``: "pt" (GeV), "eta" or "radius" (mm), the fiducial cuts in force in every bin.

    ``edges`` rise; the default ones (``EDGES``) cover everything fiducial. Particles outside them are in no bin.
    """
    if by not in EDGES:
        raise ValueError(f"by is {by!r}; expected one of {', '.join(EDGES)}")
    limits = np.asarray(EDGES[by] if edges is None else edges, dtype=np.float64)
    if limits.size < 2 or not (np.diff(limits) > 0).all():
        raise ValueError(f"edges are {limits.tolist()}; expected at least two, rising")
    inside = fiducial.select(particles)
    found = _found(matches, particles, rule) & inside
    where = np.searchsorted(limits, getattr(particles, by), side="right") - 1
    definition = efficiency(matches, particles, fiducial, rule).definition
    bins = []
    for index, (low, high) in enumerate(zip(limits[:-1], limits[1:], strict=True)):
        here = where == index
        counts = int(np.count_nonzero(found & here)), int(np.count_nonzero(inside & here))
        name = f"{rule}_efficiency, {low:g} <= {by} < {high:g}"
        bins.append(Bin(float(low), float(high), Figure(name, *counts, definition)))
    return bins
