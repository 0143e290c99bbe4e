"""Which particle owns most hits of each track: the one question under every tracking figure, answered by sorting.

``group_codes`` turns ids into 0, 1, 2...; ``majorities`` takes such codes and returns one row per track.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

Ints = NDArray[np.int64]


class Majorities(NamedTuple):
    """One row per track code: what its majority particle is.

    ``hits`` [tracks]: hits of the track. ``particle`` [tracks]: code of the particle with most of them, the lowest code
    where several have equally many. ``shared`` [tracks]: hits of the track that belong to that particle.
    """

    hits: Ints
    particle: Ints
    shared: Ints


def group_codes(values: ArrayLike) -> tuple[Ints, NDArray[Any]]:
    """Codes [n] in 0..groups-1 and the sorted distinct values [groups]; NaN gets the code -1 and no group.

    Integers are compared as integers: ids above 2^53 stay distinct.
    """
    array = np.asarray(values)
    if array.dtype.kind in "iu" and array.size:
        low = int(array.min())
        span = int(array.max()) - low + 1
        if span <= 16 * array.size + 1024:  # counting beats hashing while the table stays in cache
            shifted = (array - array.dtype.type(low)).astype(np.int64)
            present = np.zeros(span, dtype=bool)
            present[shifted] = True
            code_of = np.cumsum(present, dtype=np.int32) - 1
            return code_of[shifted].astype(np.int64), np.flatnonzero(present).astype(array.dtype) + array.dtype.type(low)
    codes, groups = pd.factorize(array, sort=True)
    return codes.astype(np.int64, copy=False), np.asarray(groups)


def pair_codes(first: ArrayLike, second: ArrayLike) -> tuple[Ints, NDArray[Any], NDArray[Any]]:
    """Codes [n] of the distinct pairs (first, second) in sort order, and the two columns [pairs] of those pairs.

    Use it where ids repeat between events: a particle is (event, particle_id), a track is (event, track_id).
    """
    major, majors = group_codes(first)
    minor, minors = group_codes(second)
    assert not (major < 0).any() and not (minor < 0).any(), "pair_codes takes no NaN"
    width = max(len(minors), 1)
    codes, pairs = group_codes(major * width + minor)
    return codes, majors[pairs // width], minors[pairs % width]


def majorities(track: Ints, particle: Ints) -> Majorities:
    """The majority particle of every track, from one row per hit.

    ``track`` and ``particle`` [hits] are codes without gaps, as ``group_codes`` makes them. Hits count, never weights.
    """
    assert track.shape == particle.shape, "one track and one particle per hit"
    if track.size == 0:
        empty = np.zeros(0, dtype=np.int64)
        return Majorities(empty, empty, empty)
    particles = int(particle.max()) + 1
    pair = np.sort(track * particles + particle)
    start = np.flatnonzero(np.concatenate(([True], pair[1:] != pair[:-1])))
    count = np.diff(start, append=pair.size)
    pair_track, pair_particle = np.divmod(pair[start], particles)
    # One integer ranks a pair: more hits first, then the lower particle code.
    rank = count * particles + (particles - 1 - pair_particle)
    track_start = np.flatnonzero(np.concatenate(([True], pair_track[1:] != pair_track[:-1])))
    shared, reverse = np.divmod(np.maximum.reduceat(rank, track_start), particles)
    return Majorities(np.add.reduceat(count, track_start), particles - 1 - reverse, shared)
