"""Files in the documented formats of public jets, written small for tests."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

PARTICLES = [[(400.0, 30.0, 200.0, 450.0), (100.0, -20.0, 10.0, 110.0)], [(-3.0, 500.0, 0.0, 510.0)], []]


def light(pt: float, eta: float, phi: float) -> list[float]:
    return [pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta), pt * np.cosh(eta)]


def lay_top(path: Path, labels: tuple[int, ...] = (1, 0, 0), named: bool = True, longest: int = 4) -> Path:
    """A table as pandas writes it: blocks of columns by type, the names of each in a pickled list."""
    h5py = pytest.importorskip("h5py")
    floats = [f"{part}_{i}" for i in range(longest) for part in ("E", "PX", "PY", "PZ")]
    floats += ["truthE", "truthPX", "truthPY", "truthPZ"]
    rows = np.zeros(len(labels), [("index", "i8"), ("values_block_0", "f4", len(floats)), ("values_block_1", "i8", 2)])
    for j, particles in enumerate(PARTICLES[: len(labels)]):
        for i, (px, py, pz, energy) in enumerate(particles):
            rows["values_block_0"][j, 4 * i : 4 * i + 4] = energy, px, py, pz
    rows["values_block_0"][:, -4:] = 7, 1, 2, 3
    rows["values_block_1"] = [(2, one) for one in labels]
    with h5py.File(path, "w") as file:
        table = file.create_dataset("table/table", data=rows)
        if named:
            table.attrs["values_block_0_kind"] = np.bytes_(pickle.dumps(floats, 0))
            table.attrs["values_block_1_kind"] = np.bytes_(pickle.dumps(["ttv", "is_signal_new"], 0))
    return path


def lay_quark_gluon(path: Path, **arrays: Any) -> Path:
    x = np.zeros((3, 5, 4))
    x[0, :2] = [[300, 0.5, 6.2, 211], [200, 0.4, 0.1, 22]]
    x[1, 1] = [520, -1.0, 3.0, -2212]
    np.savez_compressed(path, **({"X": x, "y": np.array([1.0, 0.0, 1.0])} | arrays))
    return path


def lay_jetnet(path: Path, **arrays: Any) -> Path:
    h5py = pytest.importorskip("h5py")
    particles = np.zeros((2, 30, 4), np.float32)
    particles[0, :2] = [[0.1, -0.2, 0.6, 1], [-0.1, 0.3, 0.4, 1]]
    particles[1, 0] = [0.0, 0.0, 1.0, 1]
    jets = np.array([[1000, 0.5, 170, 2], [900, -0.5, 0, 1]], np.float32)
    with h5py.File(path, "w") as file:
        for name, array in ({"particle_features": particles, "jet_features": jets} | arrays).items():
            file[name] = array
    return path


def columns_of_jetclass(labels: tuple[int, ...] = (0, 9, 3)) -> dict[str, Any]:
    from data_prep import jetclass

    counts = [2, 1, 0]
    names = ("px", "py", "pz", "energy")
    lists = {f"part_{name}": [[one[i] for one in jet] for jet in PARTICLES] for i, name in enumerate(names)}
    lists |= {name: [[0.5] * n for n in counts] for key, name in jetclass.COLUMNS.items() if name.startswith("part_d")}
    lists["part_charge"] = [[1, 0], [-1], []]
    for key in ("ChargedHadron", "NeutralHadron", "Photon", "Electron", "Muon"):
        lists[f"part_is{key}"] = [[key == "ChargedHadron", key == "Photon"], [key == "Muon"], []]
    flat = {"jet_pt": [500.0, 505.0, 600.0], "jet_eta": [0.4, 0.0, 1.0], "jet_phi": [0.02, 1.57, 0.0]}
    flat |= {"jet_energy": [560.0, 510.0, 950.0], "jet_sdmass": [80.0, 1.0, 2.0]}
    flat |= {f"jet_tau{i}": [0.3, 0.2, 0.1] for i in range(1, 5)}
    marks = {f"label_{name}": [float(one == i) for one in labels] for i, name in enumerate(jetclass.LABELS)}
    return lists | flat | marks


def lay_jetclass(path: Path, **changed: Any) -> Path:
    """A ROOT file with one tree of lists, as uproot writes them."""
    uproot, ak = pytest.importorskip("uproot"), pytest.importorskip("awkward")
    columns = {name: one for name, one in (columns_of_jetclass() | changed).items() if one is not None}
    arrays = {name: ak.values_astype(ak.Array(one), np.float32) for name, one in columns.items()}
    with uproot.recreate(path) as file:
        tree = file.mktree("tree", {name: one.type.content for name, one in arrays.items()})
        tree.extend(arrays)
    return path
