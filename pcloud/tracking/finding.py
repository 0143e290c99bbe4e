"""The classical track finder: hits of one event in, a track id for every hit out; no training, no truth.

    track_id = find_tracks({"x": x, "y": y, "z": z, "volume_id": volume, "layer_id": layer}, trackml_detector())

It looks for tracks in passes from easy to hard, each on the hits that the passes before it left (`settings.py`); what no pass
took is offered to the tracks found.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from pcloud.tracking.adopting import Tracks, adopt
from pcloud.tracking.detector import Table, geometry_hash
from pcloud.tracking.field import AXIS_X, AXIS_Y, field_table, uniform_table
from pcloud.tracking.hits import Hits, prepare
from pcloud.tracking.layers import Layers, layers_of, next_layers
from pcloud.tracking.motion import Field
from pcloud.tracking.passes import Candidates, Found, run_pass
from pcloud.tracking.settings import DEFAULT, Cuts, Settings

DISCS_FROM = 31.2  # mm, radius from which on TrackML's discs have sensors

_known: dict[str, tuple[Layers, np.ndarray]] = {}
_last: list[tuple[Table, tuple[Layers, np.ndarray]]] = []


@dataclass
class Stages:
    """What `find_tracks` did on its way: per pass its seeds, candidates and tracks; the seconds of each, and of what follows."""

    passes: list[Found] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


def find_tracks(
    hits: Mapping[str, np.ndarray],
    detector: Table,
    settings: Settings = DEFAULT,
    *,
    threads: int | None = None,
    judge: Callable[[np.ndarray], np.ndarray] | None = None,
    stages: Stages | None = None,
) -> NDArray[np.int64]:
    """Track id of every hit, 0, 1, ... with the surest track first; -1 for hits on no track.

    hits: columns x, y, z (mm), volume_id, layer_id and, if at hand, module_id (used for the directions of u and v, where
    the hit does lie on that module). threads: torch's number of threads if None; the answer does
    not depend on it. judge: log odds of candidates by their `features` (`judging.py`), added to what their hits say. stages:
    filled if given.
    """
    columns = {name: np.asarray(hits[name]) for name in ("x", "y", "z", "volume_id", "layer_id", "module_id") if name in hits}
    threads = torch.get_num_threads() if threads is None else threads
    layers, links = geometry_of(detector)
    points, true = prepare(columns, detector, layers)
    solenoid = field_of(detector, true > 0.5, settings)
    track = np.full(len(points.x), -1, np.int64)
    free = np.flatnonzero(points.layer >= 0)
    count, spot = 0, None
    finished = []
    for number, cuts in enumerate(starting(settings.passes, layers)):
        start = time.perf_counter()
        if cuts.beam > 0 and spot is not None:
            cuts = cuts._replace(z_low=max(cuts.z_low, spot[0]), z_high=min(cuts.z_high, spot[1]))
        found = run_pass(points, free, layers, links, solenoid, cuts, threads, number, judge)
        kept = found.kept
        if not count:
            spot = _beam_spot(points, kept, settings)
        inside = np.arange(kept.names.shape[1]) < kept.sizes[:, None]
        track[kept.names[inside]] = count + np.repeat(np.arange(len(kept.sizes)), kept.sizes)
        count += len(kept.sizes)
        finished.append(Tracks(kept, cuts))
        free = free[track[free] < 0]
        if stages is not None:
            stages.passes.append(found)
            stages.seconds.append(time.perf_counter() - start)
    start = time.perf_counter()
    if settings.adopt < np.inf:
        track = adopt(points, track, finished, layers, solenoid, settings.adopt, threads)
    if stages is not None:
        stages.seconds.append(time.perf_counter() - start)
    return track


def starting(passes: Sequence[Cuts], layers: Layers) -> list[Cuts]:
    """Passes whose seeds begin where forward tracks of this detector have their first hits.

    Their radii are told for TrackML's discs; where discs begin farther out, seeds from the beam line may as well.
    """
    stretch = max(1.0, float(layers.low[layers.disc].min()) / DISCS_FROM) if layers.disc.any() else 1.0
    return [cuts._replace(start_r=cuts.start_r * stretch) if cuts.beam > 0 else cuts for cuts in passes]


def _beam_spot(points: Hits, kept: Candidates, settings: Settings) -> tuple[float, float] | None:
    """Range in z (mm) where tracks start, by the first and the fourth hit of stiff ones; None if they are few."""
    kept = Candidates(*(column[kept.sizes >= 4] for column in kept))
    first, later = kept.names[:, 0], kept.names[:, 3]
    step = points.r[later] - points.r[first]
    good = step > 5.0
    if good.sum() < settings.spot_tracks:
        return None
    slope = (points.z[later] - points.z[first])[good] / step[good]
    z = points.z[first][good] - slope * points.r[first][good]
    low, high = np.quantile(z, [settings.spot_share / 2, 1 - settings.spot_share / 2])
    middle, half = (low + high) / 2, settings.spot_stretch * (high - low) / 2 + settings.spot_slack
    return float(middle - half), float(middle + half)


def field_of(detector: Table, in_place: bool, settings: Settings) -> Field:
    """The field that the detector carries, else TrackML's solenoid.

    Where modules are not in their places nobody knows how the solenoid is turned: its axis is put on the beam.
    """
    if "field_z" in detector:
        return Field(uniform_table(float(detector["field_z"][0])), 0.0, 0.0, 0.0)
    if in_place:
        return Field(field_table(), 0.0, 0.0, 0.0)
    return Field(field_table(), AXIS_X, AXIS_Y, settings.loose)


def geometry_of(detector: Table) -> tuple[Layers, np.ndarray]:
    """Layers of a detector and the links between them, kept between calls."""
    if _last and _last[0][0] is detector:
        return _last[0][1]
    name = geometry_hash(detector)
    if name not in _known:
        layers = layers_of(detector)
        _known[name] = layers, next_layers(layers)
    _last[:] = [(detector, _known[name])]
    return _known[name]
