"""Doors for guests: a PointCloud as torch-geometric, awkward or pandas objects, and back, without losing a bit.

``to_pyg`` / ``from_pyg``, ``to_awkward`` / ``from_awkward``, ``to_pandas`` / ``from_pandas``; a library is imported when needed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from pcloud import segments
from pcloud.cloud import Columns, PointCloud, collate

if TYPE_CHECKING:
    import awkward
    import pandas
    from torch_geometric.data import Batch, Data

SCOPES = ("point", "point_truth", "event", "event_truth", "particle")
# PyG shifts or transposes an attribute when these stand in its name; "~" after the first letter hides them from it.
PYG_READS = ("index", "batch", "face", "adj")


def to_pyg(cloud: PointCloud) -> list[Data]:
    """An event as a ``Data``: pos, x (= feat), and each column as ``SCOPE__NAME``, event columns with one row.

    ``Batch.from_data_list`` of them changes no value: where PyG would read a meaning into a name, one letter apart hides it
    (``point__hit_index`` is ``point__hit_i~ndex``). ``particle_count`` [1] says how many particles there are.
    """
    Data = _library("torch_geometric.data", "geometric").Data
    events = []
    for event in cloud.split():
        columns = {_pyg_name(scope, name): column for scope, name, column in _columns(event)}
        count = segments.lengths(_particle_offsets(event))
        events.append(Data(pos=event.pos, x=event.feat, particle_count=count, **columns))
    return events


def from_pyg(data: Data | Batch | Sequence[Data]) -> PointCloud:
    """A ``Data``, a ``Batch`` or a list of ``Data``, with pos and perhaps x. Attributes that are not named as in :func:`to_pyg`
    stay behind, edges among them (an encoder makes its own)."""
    events = data.to_data_list() if hasattr(data, "to_data_list") else [data] if hasattr(data, "pos") else list(data)
    clouds = []
    for number, event in enumerate(events):
        if event.pos is None:
            raise ValueError(f"Data {number} has no pos; a cloud needs the coordinates that define nearness")
        scopes: dict[str, Any] = {scope: {} for scope in SCOPES}
        for key, value in event.to_dict().items():
            scope, _, name = key.partition("__")
            if name and scope in scopes:
                scopes[scope][name.replace("~", "")] = value
        particles = event["particle_count"] if "particle_count" in event else torch.zeros(1, dtype=torch.int64)
        feat = event.pos.new_zeros(len(event.pos), 0) if event.x is None else event.x
        offsets = segments.offsets_of(torch.tensor([len(event.pos)], device=event.pos.device))
        clouds.append(PointCloud(event.pos, feat, offsets, particle_offsets=segments.offsets_of(particles), **scopes))
    return collate(clouds)


def _pyg_name(scope: str, name: str) -> str:
    if "~" in name:
        raise ValueError(f"{scope}[{name!r}]: a '~' in a column's name has a meaning of its own in PyG objects; rename it")
    for word in PYG_READS:
        name = name.replace(word, f"{word[0]}~{word[1:]}")
    return f"{scope}__{name}"


def to_awkward(cloud: PointCloud) -> awkward.Array:
    """An array of events: ``events.point.pos`` [events, var, dim], ``events.point.feat``, ``events.particle.NAME`` [events, var],
    ``events.event.NAME`` [events]; point_truth and event_truth likewise."""
    ak = _library("awkward", "hep")

    def record(columns: Columns, rows: int) -> Any:
        contents = [ak.contents.NumpyArray(_numpy(column)) for column in columns.values()]
        return ak.contents.RecordArray(contents, list(columns), length=rows)

    def ragged(columns: Columns, offsets: Tensor) -> Any:
        return ak.contents.ListOffsetArray(ak.index.Index64(_numpy(offsets)), record(columns, int(offsets[-1])))

    parts = {
        "point": ragged(_point_columns(cloud), cloud.offsets),
        "point_truth": ragged(cloud.point_truth, cloud.offsets),
        "event": record(cloud.event, cloud.events),
        "event_truth": record(cloud.event_truth, cloud.events),
        "particle": ragged(cloud.particle, _particle_offsets(cloud)),
    }
    return ak.Array(ak.contents.RecordArray(list(parts.values()), list(parts), length=cloud.events))


def from_awkward(array: awkward.Array) -> PointCloud:
    """Events laid out as by :func:`to_awkward`, perhaps sliced, masked or reordered since; only point.pos must be there."""
    ak = _library("awkward", "hep")
    if "point" not in ak.fields(array) or "pos" not in ak.fields(array["point"]):
        raise ValueError(f"an awkward array with the field point.pos was expected; came fields {ak.fields(array)}")

    def columns(scope: str, ragged: bool) -> Columns:
        if scope not in ak.fields(array):
            return {}
        rows = ak.flatten(array[scope], axis=1) if ragged else array[scope]
        return {name: _tensor(ak.to_numpy(rows[name], allow_missing=False)) for name in ak.fields(rows)}

    def offsets(scope: str) -> Tensor:
        # Not through the fields, of which there may be none.
        counts = np.zeros(len(array), np.int64) if scope not in ak.fields(array) else ak.to_numpy(ak.num(array[scope], axis=1))
        return segments.offsets_of(_tensor(counts.astype(np.int64)))

    point = columns("point", True)
    pos = point.pop("pos")
    return PointCloud(
        pos,
        point.pop("feat", pos.new_zeros(len(pos), 0)),
        offsets("point"),
        point=point,
        event=columns("event", False),
        point_truth=columns("point_truth", True),
        event_truth=columns("event_truth", False),
        particle=columns("particle", True),
        particle_offsets=offsets("particle"),
    )


def to_pandas(cloud: PointCloud) -> dict[str, pandas.DataFrame]:
    """A frame per scope: ``point``, ``point_truth`` and ``particle`` indexed by (event, row in the event), ``event`` and
    ``event_truth`` by event. pos is ``pos.0``, ``pos.1`` ..., and so is every column with more than one number a row."""
    import pandas as pd

    def ragged(columns: Columns, offsets: Tensor) -> Any:
        owner = segments.event_of(offsets)
        row = torch.arange(len(owner), device=owner.device) - offsets[owner]
        index = pd.MultiIndex.from_arrays([_numpy(owner), _numpy(row)], names=["event", "row"])
        return pd.DataFrame(_flat(columns), index=index)

    events = pd.RangeIndex(cloud.events, name="event")
    return {
        "point": ragged(_point_columns(cloud), cloud.offsets),
        "point_truth": ragged(cloud.point_truth, cloud.offsets),
        "event": pd.DataFrame(_flat(cloud.event), index=events),
        "event_truth": pd.DataFrame(_flat(cloud.event_truth), index=events),
        "particle": ragged(cloud.particle, _particle_offsets(cloud)),
    }


def from_pandas(frames: Mapping[str, pandas.DataFrame]) -> PointCloud:
    """Frames as by :func:`to_pandas`; ``point`` and ``event`` must be there, and ``event`` says which events there are, in order.

    Rows may have been dropped, but those of an event must stay together and in the order of events.
    """
    for name in ("point", "event"):
        if name not in frames:
            raise ValueError(f"frame {name!r} is missing; came {', '.join(frames) or 'none'}")
    events = frames["event"].index

    def offsets(scope: str) -> Tensor:
        if scope not in frames:
            return torch.zeros(len(events) + 1, dtype=torch.int64)
        names = frames[scope].index.get_level_values("event")
        place = events.get_indexer(names)
        if (place < 0).any():
            raise ValueError(f"frame {scope!r} has rows of event {names[place < 0][0]}, which frame 'event' lacks")
        if (np.diff(place) < 0).any():
            raise ValueError(f"frame {scope!r}: events out of order; sort its rows as frame 'event' is sorted")
        return segments.offsets_of(_tensor(np.bincount(place, minlength=len(events)).astype(np.int64)))

    for own, other in (("point_truth", "point"), ("event_truth", "event")):
        if own in frames and not frames[own].index.equals(frames[other].index):
            raise ValueError(f"frames {own!r} and {other!r} must have the same rows")
    columns: dict[str, Any] = {scope: _unflat(frames[scope]) if scope in frames else {} for scope in SCOPES}
    point = columns.pop("point")
    if "pos" not in point:
        raise ValueError(f"frame 'point' needs columns pos.0, pos.1 ...; came {', '.join(map(str, frames['point']))}")
    pos = point.pop("pos")
    feat = point.pop("feat", pos.new_zeros(len(pos), 0))
    return PointCloud(pos, feat, offsets("point"), point=point, particle_offsets=offsets("particle"), **columns)


def _flat(columns: Columns) -> dict[str, Any]:
    """Columns [rows] as they are, [rows, n] as NAME.0 ... NAME.(n - 1)."""
    out = {}
    for name, column in columns.items():
        values = _numpy(column)
        empty = values.ndim == 2 and not values.shape[1] and name != "feat"  # no feat is what feat without channels is
        if values.ndim > 2 or empty or re.search(r"\.\d+$", name):
            raise ValueError(f"column {name!r} {list(values.shape)}: frames take [rows] or [rows, n > 0], no name like a.0")
        out.update({name: values} if values.ndim == 1 else {f"{name}.{i}": part for i, part in enumerate(values.T)})
    return out


def _unflat(frame: pandas.DataFrame) -> Columns:
    groups: dict[str, list[Tensor]] = {}
    for name in frame.columns:
        groups.setdefault(re.sub(r"\.\d+$", "", name), []).append(_tensor(frame[name].to_numpy()))
    flat = set(frame.columns)
    return {name: parts[0] if name in flat else torch.stack(parts, 1) for name, parts in groups.items()}


def _point_columns(cloud: PointCloud) -> Columns:
    for name in ("pos", "feat"):
        if name in cloud.point:
            raise ValueError(f"point[{name!r}] has the name of the cloud's own {name}; rename the column")
    return {"pos": cloud.pos, "feat": cloud.feat, **cloud.point}


def _columns(cloud: PointCloud) -> list[tuple[str, str, Tensor]]:
    return [(scope, name, column) for scope in SCOPES for name, column in getattr(cloud, scope).items()]


def _particle_offsets(cloud: PointCloud) -> Tensor:
    assert cloud.particle_offsets is not None
    return cloud.particle_offsets


def _numpy(tensor: Tensor) -> Any:
    return tensor.detach().cpu().numpy()


def _tensor(array: Any) -> Tensor:
    """An owned tensor: what a guest does to its array later changes no cloud."""
    return torch.from_numpy(np.array(array))


def _library(name: str, extra: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise ImportError(f"{name.split('.')[0]} is not installed; it comes with: pip install 'pcloud[{extra}]'") from error
