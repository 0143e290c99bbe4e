"""``score_files`` on whole folders: figures, their JSON form, and one line for every mistake."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pcloud.metrics.challenge import score_files
from pcloud.metrics.particles import Fiducial
from pcloud.scorer import read_hit_ids, read_table, write_submission

BIG = 1 << 60

# Two events with the same ids. Particle A: 4 hits, pT 2; B: 3 hits, pT 1; hit 8 is noise.
HITS = [1, 2, 3, 4, 5, 6, 7, 8]
OWNERS = [BIG, BIG, BIG, BIG, BIG + 1, BIG + 1, BIG + 1, 0]
WEIGHTS = [1, 1, 1, 1, 2, 2, 2, 0]
PARTICLES = "particle_id,vx,vy,vz,px,py,pz,q,nhits\n" + f"{BIG},0,0,0,2,0,0,1,4\n{BIG + 1},0,0,0,0,1,0,-1,3\n"
FOUND = {1: [1, 1, 1, 1, 2, 2, 2, 3], 2: [1, 1, 1, 4, 2, 9, 8, 2]}  # in event 2 only A, 3 of 4, is found: 3 of 10


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    events = tmp_path / "events"
    events.mkdir()
    truth = pd.DataFrame({"hit_id": HITS, "particle_id": OWNERS, "weight": WEIGHTS})
    for event, suffix in ((1, ".csv"), (2, ".csv.gz")):
        truth.to_csv(events / f"event{event:09d}-truth{suffix}", index=False)
        (events / f"event{event:09d}-particles.csv").write_text(PARTICLES)
    return events


@pytest.fixture
def submission(tmp_path: Path) -> Path:
    event = np.repeat([1, 2], 8)
    return write_submission(tmp_path / "sub.csv", event, HITS * 2, FOUND[1] + FOUND[2])


def test_folder(folder: Path, submission: Path) -> None:
    report = json.loads(json.dumps(score_files(folder, submission), allow_nan=False))
    assert [(one["event_id"], one["score"], one["hits"], one["weight_sum"]) for one in report["events"]] == [
        (1, 1.0, 8, 10.0),
        (2, pytest.approx(0.3), 8, 10.0),
    ]
    assert report["score"] == pytest.approx(0.65)
    assert report["score_error"] == pytest.approx(0.35)  # deviations 0.35: sqrt(2 * 0.35^2 / 1) / sqrt(2)
    assert report["weights"] == "divided by their sum in each event"
    counts = {name: (one["numerator"], one["denominator"]) for name, one in report["figures"].items()}
    # Candidates of >= 3 hits: A and B in event 1, the piece of A in event 2.
    assert counts == {
        "double_majority_efficiency": (3, 4),
        "lhc_efficiency": (3, 4),
        "perfect_efficiency": (2, 4),
        "fake_rate": (0, 3),
        "duplicate_rate": (0, 3),
    }
    assert report["fiducial"] == "pT >= 0.9 GeV, |eta| < 4, >= 3 hits"
    filled = [one for one in report["binned"]["pt"] if one["denominator"]]
    assert [(one["low_edge"], one["numerator"], one["denominator"]) for one in filled] == [(0.9, 1, 2), (1.6, 2, 2)]
    assert "pT >= 0 GeV" in filled[0]["definition"]
    only_a = score_files(folder, submission, fiducial=Fiducial(pt_min=1.5))
    assert only_a["figures"]["double_majority_efficiency"]["denominator"] == 2


def test_one_truth_file_and_no_particles(folder: Path, tmp_path: Path) -> None:
    alone = write_submission(tmp_path / "one.csv.gz", 2, HITS, FOUND[2])
    report = score_files(folder / "event000000002-truth.csv.gz", alone)
    assert (report["score"], report["score_error"], len(report["events"])) == (pytest.approx(0.3), None, 1)
    assert report["figures"]["double_majority_efficiency"]["numerator"] == 1
    plain = shutil.copy(folder / "event000000001-truth.csv", tmp_path / "truth.csv")  # a name without event number
    report = score_files(plain, alone)
    assert (report["figures"], report["note"]) == (None, "no particles file beside the truth of event 2: score only")
    assert report["score"] == pytest.approx(0.3)


Change = Callable[[Path, Path], object]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f, s: s.write_text(s.read_text().replace("1,3,1\n", "")), "sub.csv: event 1 lacks 1 of its 8 hits"),
        (lambda f, s: s.write_text(s.read_text() + "1,3,1\n"), "sub.csv: line 18: hit_id 3 of event 1 is listed twice"),
        (lambda f, s: s.write_text(s.read_text() + "1,9,1\n"), "sub.csv: line 18: hit_id 9 is no hit of event 1"),
        (
            lambda f, s: s.write_text(s.read_text() + "3,1,1\n"),
            "sub.csv: line 18: event_id 3 is unknown; expected 1, 2",
        ),
        (lambda f, s: s.write_text(s.read_text() + "1,9,\n"), "sub.csv: line 18: track_id is nothing"),
        (lambda f, s: s.write_text(""), "sub.csv: the file is empty"),
        (lambda f, s: s.unlink(), "sub.csv: no such file"),
        (lambda f, s: shutil.rmtree(f), "events: no such file or folder"),
        (lambda f, s: [one.unlink() for one in f.glob("*truth*")], "no event%09d-truth.csv"),
        (
            lambda f, s: (f / "event000000001-truth.csv").write_text("hit_id,particle_id,weight\n1,1,0\n"),
            "event000000001-truth.csv: all weights are 0",
        ),
        (
            lambda f, s: (f / "event000000001-particles.csv").write_text(PARTICLES.replace(str(BIG + 1), "77")),
            f"events: particle {BIG + 1} of event 1 has hits but no row",
        ),
        (
            lambda f, s: shutil.copy(f / "event000000002-truth.csv.gz", f / "event000000001-truth.csv.gz"),
            "event 1 has another truth file",
        ),
        (
            lambda f, s: (f / "event000000002-truth.csv.gz").write_bytes(b"\x1f\x8b\x08\0"),
            "event000000002-truth.csv.gz: gzip is truncated or damaged",
        ),
    ],
)
def test_mistakes(folder: Path, submission: Path, change: Change, message: str) -> None:
    change(folder, submission)
    with pytest.raises((ValueError, FileNotFoundError)) as caught:
        score_files(folder, submission)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_which_event_is_it(folder: Path, submission: Path, tmp_path: Path) -> None:
    plain = shutil.copy(folder / "event000000001-truth.csv", tmp_path / "truth.csv")
    with pytest.raises(ValueError, match="which of the 2 submitted events is it"):
        score_files(plain, submission)
    with pytest.raises(ValueError, match="event_id 2 is unknown; expected 1"):
        score_files(folder / "event000000001-truth.csv", submission)


def partial(folder: Path, *, hits_file: bool = True) -> Path:
    """The folder of event 5: ten hits, four of track 0 and three of track 1 labelled."""
    folder.mkdir()
    stem = f"event{5:09d}"
    path = folder / f"{stem}-partial_truth_pixel_pt1GeV.csv"
    path.write_text("hit_id,track_index\n12,0\n11,0\n13,0\n14,0\n15,1\n16,1\n17,1\n")
    if hits_file:
        (folder / f"{stem}-hits.csv").write_text("hit_id,x,y,z\n" + "".join(f"{hit},0,0,0\n" for hit in range(20, 10, -1)))
    (folder / f"{stem}-particles.csv").write_text(PARTICLES.replace(",4\n", ",6\n"))
    return path


@pytest.mark.parametrize("hits_file", [True, False])
def test_partial_truth(tmp_path: Path, hits_file: bool) -> None:
    path = partial(tmp_path / "events", hits_file=hits_file)
    # One candidate of six hits holds track 0 and two others; track 1 is cut 1 + 1 + 1.
    found = write_submission(tmp_path / "sub.csv", 5, range(11, 21), [1, 1, 1, 1, 2, 3, 4, 1, 1, 2])
    for truth in (path, path.parent):
        report = json.loads(json.dumps(score_files(truth, found), allow_nan=False))
        assert (report["kind"], "score" in report) == ("partial truth", False)
        counts = {name: (one["numerator"], one["denominator"]) for name, one in report["figures"].items()}
        assert counts == {"captured": (1, 2), "perfect": (1, 2), "candidates_per_particle": (1, 1)}
        assert report["events"][0]["figures"] == report["figures"]
        assert report["events"][0]["hits"] == 10


def test_partial_truth_mistakes(tmp_path: Path) -> None:
    path = partial(tmp_path / "events")
    short = write_submission(tmp_path / "sub.csv", 5, range(11, 20), range(9))
    with pytest.raises(ValueError, match="event 5 lacks 1 of its 10 hits, first hit_id 20"):
        score_files(path, short)
    path.write_text("hit_id,track_index\n12,0\n99,0\n")
    with pytest.raises(ValueError, match=r"GeV.csv: line 3: hit_id 99 is not in event000000005-hits.csv"):
        score_files(path, short)


def test_real_event(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "trackml/small_event"
    truth = read_table(folder / "event000000001-truth.csv.gz", {"hit_id": int, "particle_id": int})
    found = write_submission(tmp_path / "sub.csv", 1, truth["hit_id"], truth["particle_id"])
    report = score_files(folder, found)
    assert report["score"] == pytest.approx(1, abs=1e-12)
    assert report["events"][0]["weight_sum"] == pytest.approx(0.0513, abs=1e-4)
    assert all(report["figures"][f"{rule}_efficiency"]["value"] == 1 for rule in ("double_majority", "lhc", "perfect"))
    assert report["figures"]["fake_rate"]["numerator"] == 1, "the noise hits, submitted as one track"


def test_real_partial_truth(shared_data: Path, tmp_path: Path) -> None:
    name = "event000001001"
    folder = shared_data / "trackml/full_events"
    hits = read_hit_ids(folder / f"{name}-hits.csv.gz")
    found = write_submission(tmp_path / "sub.csv", 1001, hits, np.arange(hits.size) // 10)
    report = score_files(folder / f"{name}-partial_truth_pixel_pt1GeV.csv.gz", found)
    assert report["figures"]["captured"]["denominator"] == 827
    # 93,680 hits in tens: 9,368 candidates.
    assert report["figures"]["candidates_per_particle"]["numerator"] == 9368
