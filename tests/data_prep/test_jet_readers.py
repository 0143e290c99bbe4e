"""Readers of public jets: files in the documented format read back, the real samples counted, one line for every mistake."""

from __future__ import annotations

import pickle
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jet_files import PARTICLES, columns_of_jetclass, lay_jetclass, lay_jetnet, lay_quark_gluon, lay_top, light

from data_prep import delphes, jet_source, jetclass, jetclass2, jetnet, nanoaod, quark_gluon, table, top_tagging
from data_prep.jet_source import JetSource
from pcloud.cli.sources import kind_of
from pcloud.data.event import Event
from pcloud.data.store import Store


def same(one: Event, other: Event) -> None:
    assert one.event_id == other.event_id
    for scope in ("point", "event", "event_truth"):
        assert list(getattr(one, scope)) == list(getattr(other, scope))
        for name, column in getattr(one, scope).items():
            np.testing.assert_array_equal(column, getattr(other, scope)[name])


def kept(source: JetSource, path: Path, folder: Path, **options: Any) -> Store:
    """A store, of which every jet is checked to be what the file alone gives."""
    store = source.prepare(path, folder, **options)
    assert source.list_events(path, **options) == store.event_ids.tolist()
    for i in range(min(len(store), 5)):
        same(store.read(i), source.open_event(path, int(store.event_ids[i]), **options))
    return store


def four(event: Event) -> np.ndarray:
    return np.stack([event.point[name] for name in ("px", "py", "pz", "energy")], axis=1)


# ---------------------------------------------------------------- documented formats, read back


@pytest.mark.parametrize("named", [True, False], ids=["named", "published order"])
def test_top_tagging(tmp_path: Path, named: bool) -> None:
    path = lay_top(tmp_path / "train.h5", named=named, longest=4 if named else 200)
    store = kept(top_tagging.SOURCE, path, tmp_path / "s")
    assert store.sizes.tolist() == [2, 1, 0] and store.source["classes"] == ["qcd", "top"]
    np.testing.assert_array_equal(four(store.read(0)), np.float32(PARTICLES[0]))
    truth = store.read(0).event_truth
    assert truth["label"].tolist() == [1] and truth["ttv"].tolist() == [2] and truth["truthE"].tolist() == [7]


def test_quark_gluon(tmp_path: Path) -> None:
    store = kept(quark_gluon.SOURCE, lay_quark_gluon(tmp_path / "QG.npz"), tmp_path / "s")
    pion, proton = store.read(0), store.read(1)
    assert store.sizes.tolist() == [2, 1, 0] and [int(store.read(i).event_truth["label"][0]) for i in range(3)] == [1, 0, 1]
    across = np.hypot(300, 0.13957)
    expected = [300 * np.cos(6.2), 300 * np.sin(6.2), across * np.sinh(0.5), across * np.cosh(0.5)]
    np.testing.assert_allclose(four(pion)[0], expected, rtol=1e-5)
    assert pion.point["charge"].tolist() == [1, 0] and pion.point["is_photon"].tolist() == [0, 1]
    assert proton.point["charge"].tolist() == [-1] and proton.point["is_charged_hadron"].tolist() == [1]
    assert np.isclose(proton.event["jet_mass"][0], 0.938, atol=0.02), "a proton alone weighs what a proton does"


def test_quark_gluon_needs_no_memory_for_the_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quark_gluon, "MEMORY", 5 * 4 * 8 * 2)  # two jets
    path = lay_quark_gluon(tmp_path / "QG.npz")
    store, file = kept(quark_gluon.SOURCE, path, tmp_path / "s"), quark_gluon.QuarkGluonFile(path)
    assert file.block == 2 and len(store) == 3
    np.testing.assert_array_equal(file.jets.rows(2, 3), np.load(path)["X"][2:3])
    np.testing.assert_array_equal(file.jets.rows(0, 2), np.load(path)["X"][:2])


def test_jetnet(tmp_path: Path) -> None:
    for name in ("t.hdf5", "g.hdf5"):
        lay_jetnet(tmp_path / name)
    store = kept(jetnet.SOURCE, tmp_path, tmp_path / "s")
    assert store.event_ids.tolist() == [0, 1, 2, 3] and store.sizes.tolist() == [2, 1, 2, 1]
    assert [store.source["classes"][int(store.read(i).event_truth["label"][0])] for i in range(4)] == ["g", "g", "t", "t"]
    first = store.read(0)
    np.testing.assert_allclose(four(first)[0], light(600, 0.6, -0.2), rtol=1e-5)
    np.testing.assert_allclose(
        [first.event[f"jet_{name}"][0] for name in ("pt", "eta", "phi", "mass")], [1000, 0.5, 0, 170], rtol=1e-4
    )
    np.testing.assert_allclose(first.point["deta"], [0.1, -0.1], atol=1e-5)


def test_jetclass(tmp_path: Path) -> None:
    path = lay_jetclass(tmp_path / "HToBB_000.root")
    store = kept(jetclass.SOURCE, path, tmp_path / "s")
    assert [store.source["classes"][int(store.read(i).event_truth["label"][0])] for i in range(3)] == ["QCD", "Tbl", "Hgg"]
    first = store.read(0)
    np.testing.assert_array_equal(four(first), np.float32(PARTICLES[0]))
    assert first.point["is_photon"].tolist() == [0, 1] and first.point["charge"].tolist() == [1, 0]
    assert np.allclose(first.point["tanh_d0"], np.tanh(0.5)) and first.event["file_sdmass"].tolist() == [80]
    assert np.isclose(first.event["jet_pt"][0], 500) and np.isclose(first.point["log_e_rel"][0], np.log(450 / 560))


def test_any_table(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.feather as feather
    import pyarrow.parquet as pq

    held = {"cand_pt": [[3.0, 4.0], [], [5.0]], "cand_eta": [[0.1, 0.2], [], [0.0]], "cand_phi": [[0.0, 0.1], [], [-1.0]]}
    rows = pa.table(held | {"kind": [0, 2, 1], "w": [1.0, -0.5, 2.0], "ht": [7.0, 8.0, 9.0]})
    words = "pt=cand_pt, eta=cand_eta,phi=cand_phi,label=kind,weight=w,event.ht=ht"
    pq.write_table(rows, tmp_path / "a.parquet", row_group_size=2)
    feather.write_feather(rows, tmp_path / "a.feather", compression="uncompressed")
    one = kept(table.SOURCE, tmp_path / "a.parquet", tmp_path / "s", columns=words, classes="a,b,c")
    other = kept(table.SOURCE, tmp_path / "a.feather", tmp_path / "t", columns=table.mapping(words))
    assert one.source["classes"] == ["a", "b", "c"] and other.source["classes"] == ["0", "1", "2"]
    for i in range(3):
        same(one.read(i), other.read(i))
    first = one.read(0)
    np.testing.assert_allclose(four(first), [light(4, 0.2, 0.1), light(3, 0.1, 0)], rtol=1e-6)
    assert one.read(1).event_truth["weight"].tolist() == [-0.5] and first.event["ht"].tolist() == [7]
    ak = pytest.importorskip("awkward")
    jets = table.jets_of(ak.from_arrow(rows), {"pt": "cand_pt", "eta": "cand_eta", "phi": "cand_phi", "label": "kind"})
    assert jets.offsets.tolist() == [0, 2, 2, 3] and jets.label is not None and jets.label.tolist() == [0, 2, 1]


def test_blocks_workers_and_a_choice_give_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, seen = lay_top(tmp_path / "train.h5"), []
    whole = top_tagging.SOURCE.prepare(path, tmp_path / "s")
    monkeypatch.setattr(top_tagging, "BLOCK", 1)
    jet_source._open.cache_clear()
    source = top_tagging.SOURCE
    parts = source.prepare(path, tmp_path / "t", progress=lambda done, total: seen.append((done, total)))
    for i in range(3):
        same(whole.read(i), parts.read(i))
    assert seen == [(1, 3), (2, 3), (3, 3)]
    some = source.prepare(path, tmp_path / "u", events=[2, 0], most=1)
    assert some.event_ids.tolist() == [0, 2] and some.sizes.tolist() == [1, 0]
    assert not source.open_event(path, 0, truth=False).event_truth
    assert source.prepare(path, tmp_path / "v", workers=2).checksum != ""
    with pytest.raises(ValueError, match="event 9 came, expected one that is there"):
        source.prepare(path, tmp_path / "w", events=[0, 9])
    assert not (tmp_path / "w").exists()


def test_every_file_is_known_by_its_looks(tmp_path: Path) -> None:
    laid = {
        "top-tagging": lay_top(tmp_path / "train.h5"),
        "quark-gluon": lay_quark_gluon(tmp_path / "QG.npz"),
        "jetnet": lay_jetnet(tmp_path / "q.hdf5"),
        "jetclass": lay_jetclass(tmp_path / "x.root"),
    }
    for kind, path in laid.items():
        assert kind_of(path) == kind


# ---------------------------------------------------------------- the real samples, as their README counts them


@pytest.fixture(scope="module")
def samples(shared_data: Path) -> Path:
    pytest.importorskip("uproot")
    return shared_data / "jets"


def test_the_sample_of_jetclass2(samples: Path, tmp_path: Path) -> None:
    """100 jets, 4,529 constituents, 60 labels; our deta and dphi are those that its authors computed."""
    import pyarrow.parquet as pq

    path = samples / "JetClassII_example.parquet"
    assert kind_of(path) == "jetclass2" and len(jetclass2.LABELS) == len(set(jetclass2.LABELS)) == 188
    store = kept(jetclass2.SOURCE, path, tmp_path / "s")
    jets = [store.read(i) for i in range(len(store))]
    assert len(store) == 100 and store.sizes.sum() == 4529
    assert len({int(one.event_truth["label"][0]) for one in jets}) == 60
    theirs = pq.read_table(path, columns=["part_px", "part_py", "part_deta", "part_dphi"]).to_pylist()
    for jet, row in zip(jets, theirs, strict=True):
        order = np.argsort(-np.hypot(np.float32(row["part_px"]), np.float32(row["part_py"])), kind="stable")
        for ours, name in (("deta", "part_deta"), ("dphi", "part_dphi")):
            np.testing.assert_allclose(np.sort(jet.point[ours]), np.sort(np.float32(row[name])), atol=2e-6)
            np.testing.assert_allclose(jet.point[ours][:3], np.float32(row[name])[order][:3], atol=2e-6)


def test_the_sample_of_pfnano(samples: Path, tmp_path: Path) -> None:
    """64 AK4 and 24 AK8 jets, whose candidates add up to the momenta that CMS gives before its corrections."""
    import awkward as ak
    import uproot

    path = samples / "pfnano.root"
    tree = uproot.open(path)["Events"]
    for collection, jets in (("FatJet", 24), ("Jet", 64)):
        store = kept(nanoaod.SOURCE, path, tmp_path / collection, collection=collection)
        assert len(store) == jets and store.source["classes"] == ["light", "c", "b"]
        pt, factor = (ak.flatten(tree[f"{collection}_{name}"].array()).to_numpy() for name in ("pt", "rawFactor"))
        raw = pt * (1 - factor)
        ours = np.array([store.read(i).event["jet_pt"][0] for i in range(jets)])
        assert np.median(np.abs(ours / raw - 1)) < 2e-3 and np.abs(ours / raw - 1).max() < 0.02
    events = kept(nanoaod.SOURCE, path, tmp_path / "events", objects="events")
    assert len(events) == 10 and sum(events.read(i).point["is_jet"].sum() for i in range(10)) == 64


def test_the_sample_of_cms_open_data(samples: Path, tmp_path: Path) -> None:
    """200 events, 537 jets, 41 muons; no candidates, so whole events."""
    path = samples / "nanoAOD_2015_CMS_Open_Data_ttbar.root"
    store = kept(nanoaod.SOURCE, path, tmp_path / "s")
    points = [store.read(i).point for i in range(len(store))]
    assert len(store) == 200 and kind_of(path) == "nanoaod"
    assert sum(one["is_jet"].sum() for one in points) == 537 and sum(one["is_muon"].sum() for one in points) == 41
    first = store.read(0)
    assert np.isclose(first.event["jet_pt"][0], np.hypot(first.point["px"], first.point["py"]).sum(), rtol=1e-6)
    np.testing.assert_allclose(
        first.point["deta"], np.arcsinh(first.point["pz"] / np.hypot(first.point["px"], first.point["py"])), rtol=1e-4
    )
    total = [np.sum(first.point[name], dtype=np.float64) for name in ("px", "py", "pz", "energy")]
    assert np.isclose(first.event["jet_mass"][0] ** 2, total[3] ** 2 - np.square(total[:3]).sum(), rtol=1e-4)
    with pytest.raises(ValueError, match="no particle-flow candidates .* take whole events: --objects events"):
        nanoaod.SOURCE.prepare(path, tmp_path / "t", objects="jets")


def test_the_sample_of_delphes(samples: Path, tmp_path: Path) -> None:
    """10 events; the candidates of each PUPPI jet add up to its momentum."""
    import uproot

    path = samples / "events_delphes_example.root"
    store = kept(delphes.SOURCE, path, tmp_path / "s", collection="JetPUPPIAK8")
    theirs = np.concatenate(list(uproot.open(path)["Delphes"]["JetPUPPIAK8.PT"].array()))
    np.testing.assert_allclose([store.read(i).event["jet_pt"][0] for i in range(len(store))], theirs, rtol=1e-5)
    tracks = np.concatenate([one.point["dz"][one.point["charge"] != 0] for one in map(store.read, range(len(store)))])
    assert np.median(np.abs(tracks)) < 0.1, "mm from the vertex of the collision, which itself lies cm away"
    assert len(kept(delphes.SOURCE, path, tmp_path / "events", objects="events")) == 10 and kind_of(path) == "delphes"
    with pytest.raises(
        ValueError, match="1634 of 1648 constituents of Jet are not in the file, which keeps ParticleFlowCandidate"
    ):
        delphes.SOURCE.prepare(path, tmp_path / "t", collection="Jet")
    assert delphes.SOURCE.notes(path) == ("jets are those of the branch JetPUPPI",)


# ---------------------------------------------------------------- what is wrong gives one line


def refused(source: JetSource, path: Path, message: str, **options: Any) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        source.prepare(path, path.parent / "never", **options)
    assert "\n" not in str(caught.value) and (str(path) in str(caught.value) or options)
    assert not (path.parent / "never").exists()


@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.98])
@pytest.mark.parametrize("kind", ["top-tagging", "quark-gluon", "jetnet", "jetclass", "jetclass2"])
def test_a_file_that_is_cut_off(tmp_path: Path, kind: str, share: float) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    sources = {s.name: s for s in (top_tagging.SOURCE, quark_gluon.SOURCE, jetnet.SOURCE, jetclass.SOURCE, jetclass2.SOURCE)}
    path = (
        tmp_path
        / {"top-tagging": "t.h5", "quark-gluon": "q.npz", "jetnet": "g.hdf5", "jetclass": "x.root", "jetclass2": "x.parquet"}[
            kind
        ]
    )
    if kind == "jetclass2":
        pq.write_table(pa.table(columns_of_jetclass() | {"jet_label": [0, 187, 3]}), path)
    else:
        {"top-tagging": lay_top, "quark-gluon": lay_quark_gluon, "jetnet": lay_jetnet, "jetclass": lay_jetclass}[kind](path)
    assert len(sources[kind].prepare(path, tmp_path / "whole")) > 1
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    refused(sources[kind], path, "damaged, cut off or of another kind")


def test_another_kind_under_this_name(tmp_path: Path) -> None:
    refused(top_tagging.SOURCE, lay_jetnet(tmp_path / "g.hdf5"), "0 tables of pandas came, expected one")
    refused(jetnet.SOURCE, lay_top(tmp_path / "t.h5"), "no array particle_features; it has table")
    refused(jetnet.SOURCE, lay_jetnet(tmp_path / "jets.hdf5"), "its name tells no class")
    refused(nanoaod.SOURCE, lay_jetclass(tmp_path / "x.root"), "tree came, expected the tree Events")
    refused(
        jetclass.SOURCE, lay_jetclass(tmp_path / "y.root", label_Tbl=None), "no column label_Tbl, which a file of JetClass has"
    )
    refused(
        jetclass.SOURCE, lay_jetclass(tmp_path / "z.root", label_Tbl=[1, 1, 0]), "jet 0: 2 of its labels are set, expected one"
    )
    refused(jetclass.SOURCE, lay_jetclass(tmp_path / "u.root", part_px=[1.0, 2.0, 3.0]), "px: expected a list of numbers per jet")
    refused(jetclass.SOURCE, lay_jetclass(tmp_path / "v.root", part_px=[[1.0], [1.0], [1.0]]), "jet 0: .* of another length")
    wrong = columns_of_jetclass()["part_energy"]
    wrong[1] = [float("nan")]
    refused(
        jetclass.SOURCE, lay_jetclass(tmp_path / "w.root", part_energy=wrong), "jet 1: energy is nan, expected a finite number"
    )
    refused(top_tagging.SOURCE, lay_top(tmp_path / "l.h5", labels=(1, 2)), "jet 1: label 2 came, expected 0 to 1")
    refused(jetclass.SOURCE, tmp_path / "l.h5", "expected a name that ends in .root")
    with pytest.raises(FileNotFoundError, match="no file and no folder there"):
        jetnet.SOURCE.list_events(tmp_path / "nowhere.hdf5")


def test_arrays_of_the_wrong_shape(tmp_path: Path) -> None:
    refused(
        quark_gluon.SOURCE, lay_quark_gluon(tmp_path / "a.npz", X=np.zeros((3, 4))), r"X \[3, 4\] and y \[3\] came, expected X"
    )
    refused(
        quark_gluon.SOURCE,
        lay_quark_gluon(tmp_path / "b.npz", y=np.array(["a"] * 3)),
        "y is <U1 .*, expected an array of numbers",
    )
    refused(
        jetnet.SOURCE, lay_jetnet(tmp_path / "g.hdf5", particle_features=np.zeros((2, 30, 3))), "expected numbers, any x any x 4"
    )
    refused(jetnet.SOURCE, lay_jetnet(tmp_path / "q.hdf5", jet_features=np.zeros((3, 4))), "expected numbers, 2 x any")


def test_headers_that_promise_too_much(tmp_path: Path) -> None:
    """An array of a petabyte is told by its header; no memory is asked for."""
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "g.hdf5", "w") as file:
        file.create_dataset("particle_features", (1 << 40, 30, 4), "f4", chunks=(100, 30, 4))
        file.create_dataset("jet_features", (1 << 40, 4), "f4", chunks=(100, 4))
    refused(jetnet.SOURCE, tmp_path / "g.hdf5", "1099511627776 rows, says its header, in .* bytes")
    with zipfile.ZipFile(tmp_path / "q.npz", "w") as archive:
        head = "{'descr': '<f8', 'fortran_order': False, 'shape': (1099511627776, 5, 4)}".ljust(117) + "\n"
        archive.writestr("X.npy", b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head.encode())
        archive.writestr("y.npy", b"")
    refused(quark_gluon.SOURCE, tmp_path / "q.npz", "X has 128 bytes, its header says 175921860444288")


def test_nothing_in_a_file_is_run(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    mark = tmp_path / "run"

    class Bad:
        def __reduce__(self) -> Any:
            return Path.touch, (mark,)

    path = lay_top(tmp_path / "t.h5")
    with h5py.File(path, "r+") as file:
        file["table/table"].attrs["values_block_0_kind"] = np.bytes_(pickle.dumps(Bad(), 0))
    refused(top_tagging.SOURCE, path, "its list of columns is damaged")
    np.savez(tmp_path / "q.npz", X=np.array([[[Bad()] * 4]], dtype=object), y=np.zeros(1))
    refused(quark_gluon.SOURCE, tmp_path / "q.npz", "X is object")
    assert not mark.exists()


def test_options_that_mean_nothing(tmp_path: Path) -> None:
    path = lay_jetclass(tmp_path / "x.root")
    refused(jetclass.SOURCE, path, "jetclass: option objects came, expected none", objects="events")
    refused(nanoaod.SOURCE, path, "jets have no table of modules", detectors=tmp_path)
    refused(table.SOURCE, path, "say what its columns are", most=3)
    refused(table.SOURCE, path, "columns: 'ptt' came, expected one of px", columns="ptt=a")
    refused(table.SOURCE, path, "columns: 'pt' came, expected what=column pairs", columns="pt")
    refused(table.SOURCE, path, "no column a, which the option columns names", columns="pt=a")
    refused(table.SOURCE, path, "expected px, py, pz, energy or pt, eta, phi", columns="pt=part_px")
    refused(
        table.SOURCE, path, "d0 came without d0_error", columns="px=part_px,py=part_py,pz=part_pz,energy=part_energy,d0=part_px"
    )
    words = "px=part_px,py=part_py,pz=part_pz,energy=part_energy"
    refused(table.SOURCE, path, "label: 0.3", columns=f"{words},label=jet_tau1")


def test_without_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = lay_jetclass(tmp_path / "x.root")
    monkeypatch.setitem(sys.modules, "uproot", None)
    refused(jetclass.SOURCE, path, r"the package uproot is missing, which reads it: pip install 'pcloud\[hep\]'")
