"""Which candidates are right and which particles were missed, for the colours of an event display.

``track_of`` and ``particle_of`` join the tables on hit_id; ``judge`` gives the verdict by the TrackML double majority:
matched = more than half of the candidate and more than half of the particle (both strict, counted in hits).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from pcloud.scorer import group_codes, integers, majorities

NOISE = 0  # particle id of a noise hit in TrackML, and here of a hit whose particle is not known
FREE = -1  # track id of a hit that belongs to no candidate
LONGEST = 25  # partial truth cannot see a candidate swell with unlabelled hits, so longer ones earn nothing


@dataclass(frozen=True)
class Verdict:
    """``candidates``: id, hits, leader (particle id, NOISE = none), kind (candidate, matched, wrong, unjudged);
    ``particles``: id, hits, kind (true, found, missed). ``partial``: truth covers only some hits."""

    candidates: pd.DataFrame
    particles: pd.DataFrame
    partial: bool
    min_hits: int

    def words(self) -> list[str]:
        """The verdict as caption lines: every count with the definition behind it."""
        if not len(self.particles):
            return []
        name, label = ("Partial truth", "labelled ") if self.partial else ("Truth", "")
        head = f"{name}: {len(self.particles):,} particles of ≥ {self.min_hits} {label}hits"
        count = {**self.particles["kind"].value_counts(), **self.candidates["kind"].value_counts()}
        if "true" in count:
            return [head + "."]
        kind, word = ("unjudged", "not judged") if self.partial else ("wrong", "wrong")
        tail = f"{count.get('found', 0):,} found, {count.get('missed', 0):,} missed; candidates: "
        tail += f"{count.get('matched', 0):,} matched, {count.get(kind, 0):,} {word}."
        rule = f"Matched: more than half of the {label}hits of both"
        rule += f" and ≤ {LONGEST} hits; others cannot be judged." if self.partial else "."
        return [f"{head}; {tail}", rule]


def track_of(hit_id: np.ndarray, track_id: np.ndarray | pd.DataFrame | None) -> np.ndarray:
    """Track id per hit (FREE where there is none), from one in the order of the hits or a table hit_id, track_id."""
    if track_id is None:
        return np.full(len(hit_id), FREE, np.int64)
    if isinstance(track_id, pd.DataFrame):
        return _column(hit_id, track_id, "track_id", FREE, "submission")[0]
    column = np.asarray(track_id)
    if column.shape != hit_id.shape:
        raise ValueError(f"track_id has shape {column.shape}, expected one entry for each of the {len(hit_id)} hits")
    return integers(column, "track_id")


def particle_of(hit_id: np.ndarray, truth: pd.DataFrame | None) -> tuple[np.ndarray, np.ndarray]:
    """Particle id per hit (NOISE where there is none) and whether truth knows the hit.

    A table hit_id, track_index (labels counted from 0, as partial truth has them) is taken too: particle = label + 1.
    """
    if truth is None:
        return np.full(len(hit_id), NOISE, np.int64), np.zeros(len(hit_id), bool)
    if "particle_id" not in truth and "track_index" in truth:
        truth = truth.assign(particle_id=integers(truth["track_index"], "track_index") + 1)
    return _column(hit_id, truth, "particle_id", NOISE, "truth")


def judge(track: np.ndarray, particle: np.ndarray, known: np.ndarray, min_hits: int, *, judged: bool) -> Verdict:
    """The verdict over all candidates and particles of at least min_hits hits; fewer make no track.

    Without ``judged`` (truth or candidates were not given) it only counts them.
    """
    candidates = _sizes(track, FREE, min_hits).assign(leader=np.int64(NOISE), kind="candidate")
    particles = _sizes(particle, NOISE, min_hits).assign(kind="true")
    partial = bool((judged or known.any()) and not known.all())
    if not judged:
        return Verdict(candidates, particles, partial, min_hits)
    use = known & (track != FREE)
    code, tracks = group_codes(track[use])
    owner, owners = group_codes(particle[use])
    major = majorities(code, owner)
    place = pd.Index(tracks).get_indexer(candidates["id"])  # -1, no known hit, leads to the appended entry
    leader = np.append(owners[major.particle], NOISE)[place]
    shared, labelled = np.append(major.shared, 0)[place], np.append(major.hits, 0)[place]
    whole = particles.set_index("id")["hits"].reindex(leader, fill_value=np.iinfo(np.int64).max).to_numpy()
    right = (2 * shared > labelled) & (2 * shared > whole)  # noise and short particles have no row, so no match
    if partial:
        right &= candidates["hits"].to_numpy() <= LONGEST
    candidates["leader"] = leader
    candidates["kind"] = np.where(right, "matched", "unjudged" if partial else "wrong")
    particles["kind"] = np.where(np.isin(particles["id"], leader[right]), "found", "missed")
    return Verdict(candidates, particles, partial, min_hits)


def _sizes(group: np.ndarray, nothing: int, min_hits: int) -> pd.DataFrame:
    """Columns id, hits of the groups of at least min_hits, ordered by id."""
    names, counts = np.unique(group[group != nothing], return_counts=True)
    return pd.DataFrame({"id": names, "hits": counts})[counts >= min_hits].reset_index(drop=True)


def _column(hit_id: np.ndarray, table: pd.DataFrame, name: str, nothing: int, what: str) -> tuple[np.ndarray, np.ndarray]:
    """A column of a table keyed by hit_id in the order of hit_id (nothing where it has no row), and who has a row."""
    missing = [key for key in ("hit_id", name) if key not in table]
    if missing:
        raise ValueError(f"{what} lacks column {missing[0]!r}; it has {', '.join(map(str, table.columns))}")
    keys = pd.Index(table["hit_id"])
    if keys.has_duplicates:
        raise ValueError(f"{what} names hit_id {keys[keys.duplicated()][0]} more than once; one row a hit is expected")
    unknown = ~keys.isin(hit_id)
    if unknown.any():
        raise ValueError(f"{what} names hit_id {keys[unknown][0]}, which is not among the event's {len(hit_id)} hits")
    place = keys.get_indexer(hit_id)
    return np.append(integers(table[name], name), nothing)[place], place >= 0  # place -1 is the appended entry
