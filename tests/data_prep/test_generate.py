"""Generated jets: the same whatever the workers, whole after a kill, refused among others, and right in mass and window."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import data_prep.generate
from data_prep.generate import quark_gluon, recipe, top_tagging
from data_prep.generate.parts import Parts
from data_prep.generate.recipe import Recipe
from data_prep.jets import Jets
from pcloud import cli
from pcloud.data.store import Store

TOY = {"generator": "toy", "seed": 5}
ROOT = Path(__file__).resolve().parents[2]


def masses(jets: Jets, label: int) -> np.ndarray:
    assert jets.label is not None
    p4 = np.add.reduceat(jets.p4, jets.offsets[:-1])[jets.label == label]
    return np.sqrt(p4[:, 3] ** 2 - (p4[:, :3] ** 2).sum(1))


def content(store: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in store.iterdir()}


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipe, "CHUNK", 40)
    monkeypatch.setattr("data_prep.generate.CHUNK", 40)


def test_the_same_jets_by_one_worker_and_by_two(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    done: list[tuple[int, int]] = []
    top_tagging(one, events=1100, **TOY, progress=lambda *counts: done.append(counts))
    top_tagging(two, events=1100, **TOY, workers=2)
    assert content(one) == content(two)
    assert done == [(0, 1100), (1000, 1100), (1100, 1100)]
    assert not list(tmp_path.glob("*.parts"))
    other = tmp_path / "other"
    top_tagging(other, events=1100, generator="toy", seed=6)
    assert content(other)["shard-00000.arrow"] != content(one)["shard-00000.arrow"]


@pytest.mark.usefixtures("small_chunks")
def test_labels_are_balanced_mixed_and_named(tmp_path: Path) -> None:
    store = Store.open(top_tagging(tmp_path / "s", events=90, **TOY, process=("top", "w", "qcd"))[0])
    assert store.source["classes"] == ["qcd", "top", "w"] and store.source["synthetic"] and "TOY" in store.source["notes"][0]
    labels = np.concatenate([store.read(i).event_truth["label"] for i in range(90)])
    assert np.bincount(labels).tolist() == [30, 30, 30]
    assert len(np.unique(labels[:10])) > 1 and store.event_ids.tolist() == list(range(90))
    assert store.source["recipe"]["pt"] == [550, 650] and store.source["recipe"]["seed"] == 5


@pytest.mark.usefixtures("small_chunks")
def test_whole_chunks_do_not_depend_on_how_many_follow(tmp_path: Path) -> None:
    few, many = (Store.open(top_tagging(tmp_path / str(n), events=n, **TOY)[0]) for n in (80, 170))
    for i in (0, 39, 79):
        assert np.array_equal(few.read(i).point["px"], many.read(i).point["px"])


def test_a_killed_run_goes_on_without_a_doubled_or_lost_jet(tmp_path: Path) -> None:
    script = (
        "import sys; from data_prep.generate import top_tagging; top_tagging(sys.argv[1], events=3000, generator='toy', seed=5)"
    )
    broken, parts = tmp_path / "broken", tmp_path / "broken.parts"
    process = subprocess.Popen([sys.executable, "-c", script, str(broken)], cwd=ROOT)
    until = time.monotonic() + 200
    while len(list(parts.glob("chunk-*"))) < 1 and process.poll() is None and time.monotonic() < until:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL and not broken.exists()
    kept = {path: path.stat().st_mtime_ns for path in parts.glob("chunk-*")}
    assert 1 <= len(kept) < 3
    done: list[int] = []
    top_tagging(broken, events=3000, **TOY, progress=lambda now, total: done.append(now))
    assert done[0] == 1000 * len(kept) and len(done) == 4 - len(kept)
    top_tagging(tmp_path / "whole", events=3000, **TOY)
    assert content(broken) == content(tmp_path / "whole") and not parts.exists()
    assert Store.open(broken).event_ids.tolist() == list(range(3000))


@pytest.mark.usefixtures("small_chunks")
def test_jets_of_other_settings_are_not_mixed_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    whole = Recipe.chunk

    def chunk(self: Recipe, number: int, jets: int) -> Jets:
        if made:
            raise KeyboardInterrupt
        made.append(number)
        return whole(self, number, jets)

    monkeypatch.setattr(Recipe, "chunk", chunk)
    with pytest.raises(KeyboardInterrupt, match="40 of 100 jets are kept in .*out.parts: the same command goes on"):
        top_tagging(tmp_path / "out", events=100, **TOY)
    with pytest.raises(ValueError, match=r"out.parts: jets of another run \(seed 5 there, 6 now\)"):
        top_tagging(tmp_path / "out", events=100, generator="toy", seed=6)
    monkeypatch.setattr(Recipe, "chunk", whole)
    file = tmp_path / "out.parts" / "chunk-000000.npz"
    before = file.read_bytes()
    file.write_bytes(before[:-200])
    with pytest.raises(ValueError, match="chunk-000000.npz: damaged"):
        top_tagging(tmp_path / "out", events=100, **TOY)
    file.write_bytes(before)
    top_tagging(tmp_path / "out", events=100, **TOY)
    assert len(Store.open(tmp_path / "out")) == 100


@pytest.mark.usefixtures("small_chunks")
def test_a_store_that_is_there(tmp_path: Path) -> None:
    out = tmp_path / "out"
    top_tagging(out, events=50, **TOY)
    before = content(out)
    top_tagging(out, events=50, **TOY)  # nothing left to do
    assert content(out) == before
    with pytest.raises(ValueError, match="exists already, and not with these jets; ask to overwrite it"):
        top_tagging(out, events=51, **TOY)
    top_tagging(out, events=51, **TOY, overwrite=True)
    assert len(Store.open(out)) == 51
    (tmp_path / "full").mkdir()
    with pytest.raises(ValueError, match="not with these jets; choose another name"):
        top_tagging(tmp_path / "full", events=50, **TOY, overwrite=True)


def test_chunks_come_back_as_they_were_kept(tmp_path: Path) -> None:
    jets = Recipe.of("quark-gluon", seed=1, generator="toy").chunk(2, 7)
    parts = Parts(tmp_path / "s", {"seed": 1})
    parts.keep(2, jets)
    back = parts.read(2)
    assert parts.has(2) and not parts.has(1) and set(back.point) == set(jets.point)
    assert np.array_equal(back.p4, jets.p4) and np.array_equal(back.label, jets.label)
    assert back.event_id.tolist() == list(range(2000, 2007))


def test_the_toy_has_the_right_masses_in_the_right_window() -> None:
    """The median is above the mass of what decays: the shower's other gluons are in the jet."""
    jets = Recipe.of("top-tagging", seed=1, process=("qcd", "top", "w", "z", "hbb"), generator="toy").chunk(0, 2000)
    for label, mass in ((1, 172.5), (2, 80.4), (3, 91.2), (4, 125.0)):
        found = masses(jets, label)
        peak = np.histogram(found, np.arange(0, 300, 4.0))[0].argmax() * 4 + 2
        assert mass - 4 < peak < 1.08 * mass
    qcd = masses(jets, 0)
    assert np.mean((qcd > 30) & (qcd < 80)) > np.mean((qcd > 130) & (qcd < 180)) > 0
    p4 = np.add.reduceat(jets.p4, jets.offsets[:-1])
    pt = np.hypot(p4[:, 0], p4[:, 1])
    assert 550 < pt.min() and pt.max() < 650 and 20 < np.diff(jets.offsets).mean() < 80
    assert np.abs(np.arcsinh(p4[:, 2] / pt)).max() < 2
    of_b = np.repeat(np.isin(jets.label, (1, 4)), np.diff(jets.offsets))
    moved = np.abs(jets.point["d0"]) > 5 * jets.point["d0_error"] + 1e-9
    assert moved[of_b].mean() > 0.01 and moved[~of_b].mean() < 0.001
    neutral = jets.point["charge"] == 0
    assert not jets.point["d0"][neutral].any() and (jets.point["dz_error"][~neutral] > 0).all()


def test_other_windows() -> None:
    wide = {"pt": (800, 900), "eta": 1.0, "radius": 1.0}
    jets = Recipe.of("top-tagging", seed=1, process=("gluino", "resonance"), generator="toy", **wide).chunk(0, 600)
    for label in (0, 1):
        assert 390 < np.median(masses(jets, label)) < 430


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"process": ("top", "tau")}, "process: 'tau' came, each once of qcd, top, w"),
        ({"process": ("top", "top")}, "process: 'top' came, each once of"),
        ({"pt": (650, 550)}, "pt: 650:550 came, a range within 20:5000 GeV expected"),
        ({"eta": 4.0}, "eta 4 and radius 0.8 came"),
        ({"generator": "herwig"}, "generator: 'herwig' came, expected one of pythia8, toy"),
        ({"events": 0}, "events: 0 came, expected at least 1"),
        (
            {"process": ("resonance",), "events": 5},
            "process resonance: hardly a jet within pt 550:650, eta 2, radius 0.8; a larger",
        ),
    ],
)
def test_what_cannot_be_made_is_said_in_one_line(tmp_path: Path, given: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        top_tagging(tmp_path / "s", **{"events": 10, **TOY, **given})
    assert not (tmp_path / "s").exists()


def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fastjet", None)
    for name in ("clusters", "collisions"):
        monkeypatch.delitem(sys.modules, f"data_prep.generate.{name}", raising=False)
        monkeypatch.delattr(data_prep.generate, name, raising=False)
    with pytest.raises(ValueError, match=r"fastjet is not installed; it comes with: pip install 'pcloud\[jets\]'"):
        Recipe.of("top-tagging", seed=1)


def test_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = tmp_path / "jets"
    given = ["prepare", "top-tagging", str(store), "--generate", "30", "--generator", "toy", "--process", "top,w"]
    assert cli.main([*given, "--pt", "600:700", "--seed", "4"]) == 0
    assert "30 synthetic jets" in capsys.readouterr().out
    assert Store.open(store).source["recipe"]["pt"] == [600, 700] and Store.open(store).source["recipe"]["seed"] == 4
    assert cli.main([*given, "--pt", "600:800"]) == 2
    assert "exists already" in capsys.readouterr().err
    for extra, words in (
        ([str(tmp_path)], "reads no source"),
        (["--events", "1,2"], "--events came beside --generate"),
    ):
        with pytest.raises(SystemExit):
            cli.main([*given, *extra])
        assert words in capsys.readouterr().err
    for wrong, words in (
        (["trackml", "a"], "one place came, SOURCE and STORE expected"),
        (["trackml", "a", "b", "--pt", "1:2"], "--pt goes with --generate N alone"),
        (["trackml", "a", "b", "--pt", "1"], "a range such as 550:650 expected"),
    ):
        with pytest.raises(SystemExit):
            cli.main(["prepare", *wrong])
        assert words in capsys.readouterr().err
    assert cli.main(["prepare", "trackml", str(tmp_path / "t"), "--generate", "3", "--eta", "1"]) == 2
    assert "eta: the generator trackml takes no such option" in capsys.readouterr().err


def test_places_may_stand_on_both_sides_of_an_option() -> None:
    from pcloud.cli.arguments import parse

    given = parse(["prepare", "trackml", "a", "--workers", "2", "b"])
    assert (given.source, given.store) == (Path("a"), Path("b"))
    given = parse(["prepare", "quark-gluon", "--generate", "5", "b"])
    assert (given.source, given.store, given.process) == (None, Path("b"), None)


def test_quark_and_gluon_jets(tmp_path: Path) -> None:
    store = Store.open(quark_gluon(tmp_path / "s", events=200, **TOY)[0])
    assert store.source["classes"] == ["gluon", "quark"] and store.source["recipe"]["radius"] == 0.4
    label = np.array([store.read(i).event_truth["label"][0] for i in range(200)])
    assert store.sizes[label == 0].mean() > store.sizes[label == 1].mean()
