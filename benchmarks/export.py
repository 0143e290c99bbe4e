"""Does ONNX Runtime say what the model says, on jets of 1 to 200 constituents, and where not, is it a near-tie of neighbours?

``python -m benchmarks.export STORE --model jets-top [--record]``. 1,800 jets of the store, and one mixed from many jets for each
size from 1 to 200. A near-tie: in some block the k-th and the next neighbour of a constituent are at distances that differ by
less than ``TIE`` of themselves, so that rounding chooses between them.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from benchmarks.record import Figure, record
from pcloud import knn
from pcloud.cloud import PointCloud, collate
from pcloud.data.dataset import Events
from pcloud.data.store import Store
from pcloud.pretrained import load
from pcloud.pretrained.portable import Probabilities, to_onnx

CLOSE, TIE = 1e-4, 1e-5
REAL, LARGEST, MIXED = 1800, 200, 100  # jets as they are, sizes of the others, jets that these are mixed from


def jets_of(events: Events) -> list[PointCloud]:
    """Jets as they are, then one of each size made of constituents of many."""
    jets = [events[number] for number in range(REAL)]
    pool = collate([events[number] for number in range(REAL, REAL + MIXED)])
    chance = torch.Generator().manual_seed(0)
    for points in range(1, LARGEST + 1):
        rows = torch.randperm(pool.points, generator=chance)[:points]
        jets.append(PointCloud(pool.pos[rows], pool.feat[rows], torch.tensor([0, points])))
    return jets


def margin(encoder: Any, jet: PointCloud) -> float:
    """By how much, of itself, the distance of the first constituent that is no neighbour is beyond the last that is one: the
    least over constituents and blocks. 1 where all are neighbours."""
    least, h = 1.0, encoder.standardize(jet.feat)
    for number, block in enumerate(encoder.blocks):
        table = knn(h if number else jet.pos, jet.offsets, encoder.k + 1)
        if jet.points > encoder.k + 1:
            last, beyond = table.distance2[:, encoder.k - 1], table.distance2[:, encoder.k]
            least = min(least, float(((beyond - last) / beyond.clamp(min=1e-30)).min()))
        h = block(h, knn(h if number else jet.pos, jet.offsets, encoder.k))
    return least


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare an exported ParticleNet with the model.")
    parser.add_argument("store", type=Path, help="store of jets")
    parser.add_argument("--model", default="jets-top", help="a shipped model or a run's folder, of ParticleNet")
    parser.add_argument("--record", action="store_true")
    given = parser.parse_args()
    model = load(given.model, "cpu")
    network = Probabilities(model.task)
    jets = jets_of(Events(Store.open(given.store), model.inputs, truth=False))
    with torch.inference_mode(), TemporaryDirectory() as place:
        run = to_onnx(network, collate(jets[:3]), Path(place) / "net.onnx", {})
        apart = np.array([float((run(*network.tensors(jet)) - network(*network.tensors(jet))).abs().max()) for jet in jets])
        margins = np.array([margin(model.task.encoder, jet) for jet in jets])
    far = apart > CLOSE
    unexplained = far & (margins > TIE)
    figures = {
        "jets": Figure(len(jets)),
        "equal to 1e-4": Figure(float((~far).mean()), counts=f"{int((~far).sum()):,} / {len(jets):,}"),
        "largest difference of the others' probability": Figure(float(apart.max())),
        "the others that are no near-tie": Figure(int(unexplained.sum())),
        "near-ties among the equal ones": Figure(float((margins[~far] < TIE).mean())),
    }
    for name, one in figures.items():
        print(f"{name:50s} {one.value:10.4g} {one.counts}")
    if given.record:
        record(
            "export-parity",
            figures,
            f"python -m benchmarks.export STORE --model {Path(given.model).name} --record",
            title=f"`{Path(given.model).name}` in ONNX Runtime beside the model",
            data="synthetic: 1,800 jets of `pcloud prepare top-tagging --generate`; one mixed for each size from 1 to 200",
            cuts="one jet at a time; a near-tie: k-th and next neighbour's squared distances within 1e-5 of themselves",
        )


if __name__ == "__main__":
    main()
