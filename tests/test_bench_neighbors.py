"""The neighbour benchmark says what is so: its clouds, its arithmetic, what it does about a peer that is not there."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks import neighbor_clouds as clouds
from benchmarks import neighbor_figures, neighbor_gpu, neighbor_growth, neighbor_timing, neighbors, record
from benchmarks import neighbor_peers as peers
from benchmarks.neighbor_clouds import Problem

named = pytest.mark.parametrize
LINE = Problem(torch.tensor([[0.0], [1.0], [3.0], [7.0]]), torch.tensor([0, 4]), k=2)
NEAR = np.array([[1, 2], [0, 2], [1, 0], [2, 1]])
SQUARES = np.array([[1.0, 9], [1, 4], [4, 9], [16, 36]])
DONE = {"memory": 4_000_000, "recall": 1.0, "error": 1e-7, "edges": 8, "points": 4}
OWN = {**DONE, "case": "jets", "peer": "pcloud", "path": "forest: a reason", "differing": 0, "looked_at": 4}


# -- clouds ----------------------------------------------------------------------------------------------------------------


@named("name", [name for name in clouds.available() if name not in ("million", "real")])
def test_a_case_is_of_the_size_it_names(name: str) -> None:
    case = clouds.CASES[name]
    problem = case.problem()
    text = case.title.replace(",", "")
    assert f"d={problem.pos.shape[1]}" in text and f"k={problem.k}" in text.replace("k_max", "k")
    assert problem.pos.dtype == torch.float32 and problem.pos.isfinite().all()
    assert problem.offsets[-1] == len(problem.pos) and (problem.offsets.diff() > 0).all()
    assert str(problem.events if problem.events > 1 else len(problem.pos)) in text
    assert torch.equal(case.problem(0.01).pos, case.problem(0.01).pos), "seeded"
    assert len(case.problem(0.01).pos) < 0.02 * len(problem.pos)


def test_jets_are_about_fifty_points_around_their_axis() -> None:
    pos, offsets = clouds.jets(2000)
    sizes = offsets.diff().double()
    assert sizes.mean() == pytest.approx(50, abs=1) and sizes.std() == pytest.approx(math.sqrt(50), abs=0.5)
    assert np.hypot(*pos.T).max() <= 0.8 + 1e-6


def test_hits_lie_on_barrel_layers_and_disks_in_the_order_of_files() -> None:
    pos, _ = clouds.tracker(20_000)
    r, z = np.hypot(pos[:, 0], pos[:, 1]), np.abs(pos[:, 2])
    margin = clouds.THICK + 1e-2
    layer = np.array([(np.abs(r - radius) <= margin) & (z <= half + margin) for radius, half in clouds.BARREL])
    disk = np.array([(np.abs(z - at) <= margin) & (r >= a - margin) & (r <= b + margin) for at, a, b in clouds.DISKS])
    assert (layer.any(0) | disk.any(0)).all() and layer.any(1).all() and disk.any(1).all()
    on_barrel = layer.any(0) & ~disk.any(0)
    assert on_barrel[:100].all() and not layer[:, -100:].any(), "first the barrel, then the disks"


def test_a_learned_space_has_clusters_of_ten() -> None:
    pos, _ = clouds.embedded(500, 8)
    square = ((pos[:, None] - pos[None]) ** 2).sum(-1)
    np.fill_diagonal(square, np.inf)
    square.sort(axis=1)
    assert np.median(square[:, 8]) < 0.1 < 0.5 < np.median(square[:, 9]), "nine near, the tenth far"
    together = (np.abs(np.diff(pos, axis=0)).max(1) < 0.3).mean()
    assert together < 0.1, "points of a cluster do not follow each other"


def test_a_correlated_space_has_a_falling_spectrum_that_is_turned() -> None:
    spread = np.linalg.svd(clouds.embedded(20_000, 8, decay=0.6)[0], compute_uv=False)
    assert spread[1:] / spread[:-1] == pytest.approx(0.6, abs=0.03)
    raw = np.sort(clouds.embedded(20_000, 8, decay=0.6)[0].std(0))
    assert raw[0] / raw[-1] > 2 * 0.6**7, "no coordinate is an axis of the spectrum"


def test_a_problem_knows_its_pairs_and_a_small_one_of_its_kind() -> None:
    two = Problem(torch.arange(8.0).reshape(4, 2), torch.tensor([0, 3, 4]), k=1)
    assert (two.pairs, two.longest, two.events) == (10, 3, 2) and two.owner.tolist() == [0, 0, 0, 1]
    jets = clouds.CASES["jets"].problem(0.1)
    few = jets.small()
    assert 2 <= few.events < jets.events and len(few.pos) <= 500 and torch.equal(few.pos, jets.pos[: len(few.pos)])
    hits = clouds.CASES["radius3"].problem(0.05).small()
    assert hits.events == 1 and 400 <= len(hits.pos) <= 600 and (hits.k, hits.r) == (32, 20.0)


# -- judging ---------------------------------------------------------------------------------------------------------------


def test_a_right_table_has_full_recall() -> None:
    judged = neighbor_timing.judge(LINE, NEAR, SQUARES)
    assert judged == {"recall": 1.0, "error": 0.0, "edges": 8}


@named("wrong", [3, 0, -1, 1], ids=["farther", "itself", "none", "twice"])
def test_each_missed_neighbour_costs_recall(wrong: int) -> None:
    index, square = NEAR.copy(), SQUARES.copy()
    index[0, 1], square[0, 1] = wrong, float(LINE.pos[max(wrong, 0), 0]) ** 2
    assert neighbor_timing.judge(LINE, index, square)["recall"] == 7 / 8


def test_equals_are_equal_and_wrong_distances_are_seen() -> None:
    three = Problem(torch.tensor([[0.0], [1.0], [-1.0]]), torch.tensor([0, 3]), k=1)
    for first in (1, 2):
        assert neighbor_timing.judge(three, np.array([[first], [0], [0]]), np.ones((3, 1)))["recall"] == 1.0
    off = SQUARES.copy()
    off[3, 1] = 37
    assert neighbor_timing.judge(LINE, NEAR, off)["error"] == pytest.approx(1 / 36)


def test_within_a_radius_only_those_inside_count() -> None:
    near = replace(LINE, r=2.5)
    index = np.array([[1, -1], [0, 2], [1, -1], [-1, -1]])
    square = np.where(index >= 0, SQUARES, np.inf)
    assert neighbor_timing.judge(near, index, square) == {"recall": 1.0, "error": 0.0, "edges": 4}
    index[1] = [2, -1]  # 1 of its 2 neighbours, of 4 in all
    assert neighbor_timing.judge(near, index, square)["recall"] == 3 / 4


def test_a_neighbour_in_another_event_is_none() -> None:
    two = Problem(torch.tensor([[0.0], [1.0], [0.0], [5.0]]), torch.tensor([0, 2, 4]), k=1)
    assert neighbor_timing.judge(two, np.array([[1], [0], [3], [2]]), np.array([[1.0], [1], [25], [25]]))["recall"] == 1.0
    assert neighbor_timing.judge(two, np.array([[2], [0], [3], [2]]), np.array([[0.0], [1], [25], [25]]))["recall"] == 3 / 4


def test_our_table_is_held_against_the_reference_to_the_bit() -> None:
    problem = clouds.CASES["jets"].problem(0.002)
    answer = peers.pcloud_run(problem, 1)
    assert neighbor_timing.differing(problem, answer) == (0, len(problem.pos))
    answer.distance2[3, 5] = torch.nextafter(answer.distance2[3, 5], torch.tensor(9.0))
    answer.index[7, :2] = answer.index[7, :2].flip(0)
    assert neighbor_timing.differing(problem, answer)[0] == 2


def test_the_point_itself_is_taken_out() -> None:
    index = np.array([[0, 1, 2], [0, 2, 1], [0, 1, 3]])  # the third was crowded out by its twins
    square = np.arange(9.0).reshape(3, 3)
    left, far = peers.others(index, square)
    assert left.tolist() == [[1, 2], [0, 2], [0, 1]] and far.tolist() == [[1, 2], [3, 4], [6, 7]]
    assert peers.others(index[1:2], square[1:2], np.array([1]))[0].tolist() == [[0, 2]]


SMALL = {kind: clouds.CASES[kind].problem(0.003) for kind in ("jets", "tracker", "radius3")}
SMALL["radius3"] = replace(SMALL["radius3"], r=200.0)
ASKED = [(name, kind) for kind in SMALL for name, one in peers.PEERS.items() if one.suits(SMALL[kind], True)]


@named(("name", "kind"), [one for one in ASKED if "compiled" not in one[0]])
def test_each_peer_that_is_here_finds_what_there_is(name: str, kind: str) -> None:
    peer, problem = peers.PEERS[name], SMALL[kind]
    if peer.missing():
        pytest.skip(peer.missing())
    index, square = peer.read(problem, peer.run(problem, 1))
    judged = neighbor_timing.judge(problem, index, square)
    assert index.shape == square.shape == (len(problem.pos), problem.k)
    first_met = name == "torch_cluster" and problem.r is not None  # it keeps the first that it meets, not the nearest
    assert judged["recall"] >= (0.999 if peer.exact and not first_met else 0.8) and judged["error"] < 0.02, judged
    assert ((index >= 0) == np.isfinite(square)).all() and not (index == np.arange(len(index))[:, None]).any()


# -- timing ----------------------------------------------------------------------------------------------------------------


def test_calls_alternate_after_one_round_of_warming_up() -> None:
    heard: list[str] = []
    taken = neighbor_timing.alternate([lambda: heard.append("a"), lambda: heard.append("b")], 3)
    assert heard == ["a", "b"] * 4 and [len(one) for one in taken] == [3, 3]
    assert neighbor_timing.spread([5.0, 1.0, 3.0, 2.0, 4.0]) == pytest.approx((3.0, 1.64, 4.36))


def test_peak_memory_is_what_a_call_adds() -> None:
    held = np.ones(4 << 20)  # 32 MB that were there before
    _, _, memory = neighbor_timing.peak(lambda: np.ones(8 << 20))
    _, _, passing = neighbor_timing.peak(lambda: float(np.ones(8 << 20).sum()))
    if memory is None or passing is None:
        pytest.skip("this system does not tell a process its peak")
    assert held[0] == 1 and 60e6 < memory < 90e6 and 60e6 < passing < 90e6


def test_a_process_that_fails_or_hangs_says_so_in_a_row() -> None:
    asked = {"case": "none such", "peer": "pcloud", "threads": 1, "pairs": 1, "scale": 1.0, "judged": False}
    (failed,) = neighbor_timing.rows_of("benchmarks.neighbor_timing", asked)
    assert failed["case"] == "none such" and "KeyError" in failed["failed"]
    (late,) = neighbor_timing.rows_of("benchmarks.neighbor_timing", asked, limit=0.05)
    assert late["failed"].startswith("stopped after")


def test_a_line_ends_before_it_takes_too_long() -> None:
    def of(seconds: Callable[[int], float], most: int = 10**6) -> list[int]:
        return neighbor_growth.line(3, "x", lambda problem: seconds(len(problem.pos)), most)["points"]

    assert of(lambda points: 1.0) == [1000]
    assert of(lambda points: 1e-6 * points, 10_000) == [1000, 3000, 10_000]
    assert of(lambda points: (points / 10_000) ** 2) == [1000, 3000, 10_000], "30,000 would take 9 s"


# -- what is said ----------------------------------------------------------------------------------------------------------


def row(peer: str, ours: list[float], theirs: list[float], memory: int = 8_000_000) -> dict[str, Any]:
    return {**DONE, "case": "jets", "peer": peer, "ours": ours, "theirs": theirs, "memory": memory}


def test_a_verdict_is_against_the_fastest_that_the_bar_names() -> None:
    slow, once = row("torch_cluster", [1.0] * 3, [4.0, 5, 6]), row("KeOps", [1.0], [2.0])
    first, second = neighbor_figures.verdicts([OWN, row("cKDTree", [1.0, 2, 3], [2.0, 2, 2]), slow, once])
    assert (first.rival, first.time[0], first.pairs, first.memory) == ("cKDTree", 1.0, 3, 0.5)
    assert "MISSED; memory 0.50, at most 1.5: met" in first.words()
    assert (second.rival, second.time[0], second.bar) == ("KeOps", 0.5, 0.9) and "MISSED" not in second.words()
    assert neighbor_figures.verdicts([OWN]) == []


def test_every_bar_of_the_table_names_peers_that_there_are() -> None:
    assert set(neighbor_figures.BARS) | set(neighbor_figures.GPU_BARS) <= set(clouds.CASES)
    assert {name for case in clouds.CASES for name in neighbor_figures.judged(case)} <= set(peers.PEERS)
    assert {name for case in clouds.CASES.values() for name in case.without} <= set(peers.PEERS)
    assert set(neighbor_growth.LINES) <= set(peers.PEERS) and set(neighbor_gpu.ORDER) == set(clouds.CASES)


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where results and pictures go instead of into the repository."""
    file = tmp_path / "results.json"
    monkeypatch.setattr(neighbor_figures, "record", partial(record.record, results=file))
    monkeypatch.setattr(neighbors, "PICTURE", tmp_path)
    return file


def test_a_tiny_run_from_end_to_end(tmp_path: Path, kept: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setitem(peers.PEERS, "KeOps", replace(peers.PEERS["KeOps"], needs="no_such_package"))
    file = tmp_path / "rows.json"

    def here(module: str, request: dict[str, Any], *, threads: int) -> list[dict[str, Any]]:
        whole = request["peer"] == "pcloud"  # one process started in earnest is enough
        return neighbor_timing.rows_of(module, request, threads=threads) if whole else [neighbor_timing.compare(**request)]

    monkeypatch.setattr(neighbors, "rows_of", here)
    chosen = ["--scale", "0.002", "--threads", str(torch.get_num_threads()), "--pairs", "3", "--json", str(file)]
    assert neighbors.main([*chosen, "--cases", "jets", "--peers", "cKDTree", "KeOps"]) == 0
    said = capsys.readouterr().out
    assert "no_such_package is not installed" in said and "0 of" in said and "bar:" in said
    report = json.loads(file.read_text())
    own, tree, absent = report["rows"]
    assert own["peer"] == "pcloud" and own["differing"] == 0 and own["path"]
    assert tree["recall"] == 1.0 and len(tree["ours"]) == len(tree["theirs"]) == 3 and tree["edges"] == own["edges"]
    assert set(absent) == {"case", "peer", "missing"}
    report["growth"] = [neighbor_growth.line(dim, "pcloud", lambda problem: 1e-3, 3000) for dim in (2, 3)]
    file.write_text(json.dumps(report))
    assert neighbors.main(["--from", str(file), "--record"]) == 0
    jets, growth = record.read(kept)["entries"]
    assert jets["name"] == "neighbors-jets" and "not measured: KeOps (not installed)" in jets["cuts"]
    assert {"pcloud, time", "time, pcloud / cKDTree"} <= set(jets["figures"])
    assert "N=1,000: 1 ms; N=3,000: 1 ms" in growth["figures"]["d=3, pcloud, N=3,000"]["cuts"]
    assert (tmp_path / "neighbors.png").read_bytes().startswith(b"\x89PNG")


def test_scaled_figures_are_not_recorded(capsys: Any) -> None:
    with pytest.raises(SystemExit):
        neighbors.main(["--scale", "0.1", "--record"])
    assert "leave one of them out" in capsys.readouterr().err


# -- the GPU's table, with a pretended card --------------------------------------------------------------------------------


class Pretended:
    """A CPU that answers as a card would; its replays take a tenth of a millisecond."""

    device = torch.device("cpu")

    def described(self) -> str:
        return "a pretended card, driver 1"

    def wait(self) -> None:
        pass

    def captured(self, call: Callable[[], Any]) -> tuple[Any, Callable[[int], float]]:
        return call(), lambda times: 1e-4

    def peak(self, call: Callable[[], Any]) -> tuple[Any, int]:
        return call(), 1_000_000


def refuses(problem: Problem, threads: int) -> Any:
    raise RuntimeError("out of memory\nand more")


@pytest.fixture
def pretended(monkeypatch: pytest.MonkeyPatch) -> Pretended:
    plain = peers.CUDA_PEERS["cdist+topk"]
    absent = replace(plain, needs="no_such_package")
    few = {"cdist+topk": plain, "torch_cluster": absent, "faiss-gpu flat": replace(plain, run=refuses)}
    monkeypatch.setattr(neighbor_gpu, "CUDA_PEERS", few)
    return Pretended()


@named("case", ["jets", "radius3"])
def test_the_gpu_table_holds_ours_against_the_cpu_and_survives_its_peers(case: str, pretended: Pretended) -> None:
    made = {one["peer"]: one for one in neighbor_gpu.rows(case, pretended, scale=0.003)}
    ours = made["pcloud"]
    unequal = [ours[key] for key in ours if key.startswith("unequal")]
    assert len(unequal) == 3 and all(one == {"index": 0, "distance2": 0, "truncated": 0} for one in unequal)
    assert ours["replay"] == [1e-4] * 11 and ours["differing"] == 0 and ours["path"] and len(ours["eager"]) >= 3
    assert made["cdist+topk"]["recall"] > 0.99 and "replay" in made["cdist+topk"]
    assert made["torch_cluster"]["missing"] == "no_such_package is not installed"
    assert made["faiss-gpu flat"]["failed"] == "RuntimeError: out of memory"


def test_a_graph_that_can_not_be_captured_hides_nothing_else(pretended: Pretended, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Pretended, "captured", lambda *_: refuses(LINE, 1))
    ours = neighbor_gpu.our_row(clouds.CASES["jets"].problem(0.003), pretended)
    assert ours["trouble"] == "replay: RuntimeError: out of memory; " and "replay" not in ours
    assert ours["differing"] == 0 and not sum(ours["unequal to the CPU"].values())
    said = neighbor_figures._gpu_line({**ours, "peer": "pcloud"}, "jets")
    assert "out of memory" in said and "eager, unchecked" in said and "bar" not in said


def test_an_unequal_bit_on_the_gpu_is_counted() -> None:
    one = peers.pcloud_run(LINE, 1)
    other = replace(one, distance2=one.distance2.clone())
    other.distance2[2, 1] += 1
    assert neighbor_gpu.rows_unequal(one, other) == {"index": 0, "distance2": 1, "truncated": 0}


def test_the_gpu_table_is_kept_case_by_case_and_ends_in_time(
    pretended: Pretended, kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    def here(module: str, request: dict[str, Any], *, limit: float) -> list[dict[str, Any]]:
        made = neighbor_gpu.growth_rows(pretended, 1000) if request["case"] == "growth" else None
        return list(made or neighbor_gpu.rows(request["case"], pretended, scale=request["scale"]))

    monkeypatch.setattr(neighbor_gpu, "Cuda", Pretended)
    monkeypatch.setattr(neighbor_gpu, "rows_of", here)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setenv("OUT", str(tmp_path / "out"))
    assert neighbors.main(["--gpu", "--scale", "0.003", "--cases", "growth", "tracker", "jets"]) == 0
    report = json.loads((tmp_path / "out" / "neighbors.json").read_text())
    assert [one["case"] for one in report["rows"]] == ["jets"] * 4 + ["tracker"] * 4, "what a bar names comes first"
    assert "bar 50 us: MISSED" in capsys.readouterr().out and len(report["growth"]) == 2 * len(clouds.GROWING)
    report["scale"] = 1.0
    (tmp_path / "rows.json").write_text(json.dumps(report))
    assert neighbors.main(["--from", str(tmp_path / "rows.json"), "--record"]) == 0
    entries = {one["name"]: one for one in record.read(kept)["entries"]}
    assert set(entries) == {"neighbors-gpu-jets", "neighbors-gpu-tracker", "neighbors-gpu-growth"}
    assert "a pretended card, driver 1" in entries["neighbors-gpu-jets"]["data"]
    assert entries["neighbors-gpu-jets"]["figures"]["pcloud, rows unequal to the CPU"]["value"] == 0
    assert neighbors.main(["--gpu", "--scale", "0.003", "--limit", "1", "--cases", "jets"]) == 0
    assert "no time left" in capsys.readouterr().out


@pytest.mark.skipif(torch.cuda.is_available(), reason="a CUDA device is here")
def test_without_a_card_the_gpu_table_says_so_in_one_line(capsys: Any) -> None:
    assert neighbors.main(["--gpu"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device is here")
def test_a_real_card_replays_what_it_computes() -> None:
    card = neighbor_gpu.Cuda()
    assert "driver" in card.described()
    ours = neighbor_gpu.our_row(clouds.CASES["jets"].problem(0.05), card)
    assert not sum(sum(ours[key].values()) for key in ours if key.startswith("unequal")) and min(ours["replay"]) > 0
