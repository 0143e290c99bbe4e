"""Jets from whatever reader or generator, as the events of a store: one home for their columns, order and labels.

A reader yields `Jets`, blocks of some thousand; ``write_store(store, blocks, source=...)`` keeps them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from pcloud.data.event import Block, Event
from pcloud.data.schema import Column
from pcloud.data.store import Store, StoreWriter
from pcloud.jets.kinematics import constituent_features, jet_axis, jet_features

MOMENTUM = ("px", "py", "pz", "energy")
FLAGS = ("is_charged_hadron", "is_neutral_hadron", "is_photon", "is_electron", "is_muon")
PID = ("charge", *FLAGS)
DISPLACEMENT = ("d0", "d0_error", "dz", "dz_error")
_ABOUT = {
    "deta": ("rad", "eta less the jet's, sign flipped where the jet's eta is negative"),
    "dphi": ("rad", "azimuth less the jet's, in [-pi, pi)"),
    "dr": ("rad", "distance from the jet axis in eta and phi"),
    "charge": ("e", "electric charge"),
    "d0": ("mm", "transverse impact parameter"),
    "dz": ("mm", "longitudinal impact parameter"),
    "d0_error": ("mm", "its standard error"),
    "dz_error": ("mm", "its standard error"),
    "tanh_d0": ("", "tanh of d0 in mm"),
    "tanh_dz": ("", "tanh of dz in mm"),
    "pair_mass": ("GeV", "invariant mass of the two tops, as generated"),
}
_JET = {"jet_pt": "GeV", "jet_eta": "", "jet_phi": "rad", "jet_mass": "GeV"}


@dataclass
class Jets:
    """Some jets and their constituents, in any order inside a jet.

    p4        [constituents, 4]  px, py, pz, energy (GeV), finite
    offsets   [jets + 1]         jet j owns rows offsets[j]:offsets[j + 1]
    event_id  [jets]             names a jet inside its store
    label     [jets]             its class, a place in the source's ``classes``; None where truth is not known
    weight    [jets]             1 where none is given; may be negative
    axis      [jets, 4]          four-momentum of the jet; None: the sum of its constituents
    point     [constituents]     further columns, of PID and DISPLACEMENT all or none of each
    event     [jets]             further columns that a model may see
    truth     [jets]             further labels
    """

    p4: np.ndarray
    offsets: np.ndarray
    event_id: np.ndarray
    label: np.ndarray | None
    weight: np.ndarray | None = None
    axis: np.ndarray | None = None
    point: dict[str, np.ndarray] = field(default_factory=dict)
    event: dict[str, np.ndarray] = field(default_factory=dict)
    truth: dict[str, np.ndarray] = field(default_factory=dict)

    def take(self, rows: np.ndarray) -> Jets:
        """These jets alone, in this order."""
        counts = np.diff(self.offsets)[rows]
        offsets = np.concatenate([[0], np.cumsum(counts)])
        points = np.arange(offsets[-1]) + np.repeat(self.offsets[rows] - offsets[:-1], counts)

        def some(columns: dict[str, np.ndarray], which: np.ndarray) -> dict[str, np.ndarray]:
            return {name: column[which] for name, column in columns.items()}

        def one(column: np.ndarray | None) -> np.ndarray | None:
            return None if column is None else column[rows]

        return Jets(
            self.p4[points],
            offsets,
            self.event_id[rows],
            one(self.label),
            one(self.weight),
            one(self.axis),
            some(self.point, points),
            some(self.event, rows),
            some(self.truth, rows),
        )


def joined(parts: Sequence[Jets]) -> Jets:
    """All jets of the parts, at least one, which have the same columns; their ids as they came."""
    counts = [np.diff(one.offsets) for one in parts]

    def whole(columns: Sequence[np.ndarray | None]) -> np.ndarray | None:
        return None if columns[0] is None else np.concatenate([one for one in columns if one is not None])

    def all_of(columns: Sequence[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
        return {name: np.concatenate([one[name] for one in columns]) for name in columns[0]}

    return Jets(
        np.concatenate([one.p4 for one in parts]),
        np.concatenate([[0], np.cumsum(np.concatenate(counts))]),
        np.concatenate([one.event_id for one in parts]),
        whole([one.label for one in parts]),
        whole([one.weight for one in parts]),
        whole([one.axis for one in parts]),
        all_of([one.point for one in parts]),
        all_of([one.event for one in parts]),
        all_of([one.truth for one in parts]),
    )


def from_pt_eta_phi(pt: np.ndarray, eta: np.ndarray, phi: np.ndarray, mass: np.ndarray | float = 0.0) -> np.ndarray:
    """Four-momenta [..., 4] (px, py, pz, energy; GeV) of transverse momenta, pseudorapidities, azimuths (rad) and masses."""
    pz = pt * np.sinh(eta)
    return np.stack([pt * np.cos(phi), pt * np.sin(phi), pz, np.sqrt(pt**2 + pz**2 + np.square(mass))], axis=-1)


def pid_columns(pdg: np.ndarray, charge: np.ndarray) -> dict[str, np.ndarray]:
    """The columns PID of particles with these PDG codes and charges (e): every one falls to exactly one flag."""
    kind = np.abs(pdg)
    photon, electron, muon = kind == 22, kind == 11, kind == 13
    hadron = ~(photon | electron | muon)
    flags = (hadron & (charge != 0), hadron & (charge == 0), photon, electron, muon)
    return dict(zip(PID, (charge, *flags), strict=True))


def block_of(jets: Jets, most: int | None = None) -> tuple[np.ndarray, Block]:
    """Ids [jets] and columns of jets, the constituents of each hardest first, at most ``most`` of them.

    Features stay relative to the whole jet: its axis is summed before any constituent is left out.
    """
    offsets = torch.as_tensor(jets.offsets, dtype=torch.int64)
    p4 = torch.as_tensor(jets.p4, dtype=torch.float64)
    axis = jet_axis(p4, offsets) if jets.axis is None else torch.as_tensor(jets.axis, dtype=torch.float64)
    point = {name: column.numpy() for name, column in constituent_features(p4, offsets, axis).items()}
    point |= dict(zip(MOMENTUM, np.asarray(jets.p4).T, strict=True)) | jets.point
    point |= {f"tanh_{name}": np.tanh(jets.point[name]) for name in ("d0", "dz") if name in jets.point}
    event = {name: column.numpy() for name, column in jet_features(axis).items()} | jets.event
    rows, sizes = _hardest_first(point["log_pt"], jets.offsets, most)
    ids = np.asarray(jets.event_id, np.int64)
    truth = {name: np.asarray(column, np.float32) for name, column in jets.truth.items()}
    if jets.label is not None:
        truth["label"] = np.asarray(jets.label, np.int64)
        truth["weight"] = np.asarray(np.ones(len(ids)) if jets.weight is None else jets.weight, np.float32)
    return ids, Block(
        sizes,
        np.zeros(len(sizes), np.int64),
        point={name: np.asarray(column[rows], np.float32) for name, column in point.items()},
        event={"event_id": ids} | {name: np.asarray(column, np.float32) for name, column in event.items()},
        event_truth=truth,
    )


def events(jets: Jets, most: int | None = None) -> Iterator[Event]:
    """Each jet as an Event, as `block_of` makes them."""
    ids, block = block_of(jets, most)
    ends = np.cumsum(block.points)
    for j, (a, b) in enumerate(zip(ends - block.points, ends, strict=True)):
        yield Event(
            int(ids[j]),
            point={name: column[a:b] for name, column in block.point.items()},
            event={name: column[j : j + 1] for name, column in block.event.items()},
            event_truth={name: column[j : j + 1] for name, column in block.event_truth.items()},
        )


def _hardest_first(log_pt: np.ndarray, offsets: np.ndarray, most: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Rows sorted by falling pT inside each jet, ties in the order they came, and how many of each are kept."""
    sizes = np.diff(offsets).astype(np.int64)
    owner = np.repeat(np.arange(len(sizes)), sizes)
    order = np.lexsort((-log_pt, owner))
    if most is not None:
        order = order[np.arange(len(owner)) - np.repeat(offsets[:-1], sizes) < most]
        sizes = np.minimum(sizes, most)
    return order, sizes


def columns_of(block: Block) -> list[Column]:
    """What the store declares for jets like these."""
    declared = []
    for scope in ("point", "event", "event_truth"):
        for name, column in getattr(block, scope).items():
            unit, text = _ABOUT.get(name, ("GeV" if name in MOMENTUM else _JET.get(name, ""), ""))
            declared.append(Column(scope, name, str(column.dtype), unit, text))
    return declared


def write_store(
    store: str | os.PathLike[str],
    blocks: Iterable[Jets],
    *,
    source: dict[str, Any],
    most: int | None = None,
    overwrite: bool = False,
) -> Store:
    """Write jets as they come and open the store. source: ``name``, ``classes`` (their names, in the order of the labels) ...

    most: constituents kept of a jet, the hardest. Raises ValueError where no jet comes; on any error no store is left.
    """
    with ExitStack() as stack:
        writer = None
        for jets in blocks:
            if not len(jets.event_id):
                continue
            ids, block = block_of(jets, most)
            if writer is None:
                made = StoreWriter(store, columns_of(block), source=source, overwrite=overwrite)
                writer = stack.enter_context(made)
            writer.add_many(ids, block)
        if writer is None:
            raise ValueError(f"{source.get('from', store)}: no jet passed; nothing to write")
    return Store.open(store)
