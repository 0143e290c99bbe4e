"""The verbs do what they say, print what a user needs, and load nothing heavy where it is not needed, to answer at once."""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pcloud import cli, config, scorer
from pcloud.pretrained import load, save

ROOT = Path(__file__).resolve().parent.parent
Run = Callable[..., subprocess.CompletedProcess[str]]
LIGHT = """
import sys
from pcloud.cli import main
try:
    status = main(sys.argv[1:])
except SystemExit as end:
    status = end.code
assert status == 0, status
heavy = {"torch", "lightning", "matplotlib", "sklearn"} & set(sys.modules)
assert not heavy, f"imported {heavy}"
"""


@pytest.fixture(scope="module")
def submission(untrained: Path, raw_events: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("predicted") / "submission.csv"
    cli.predict(untrained, raw_events, out, device="cpu")
    return out


@pytest.fixture(scope="module")
def trained(config_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of four steps."""
    return cli.train(config_file, run=tmp_path_factory.mktemp("runs") / "short")


@pytest.mark.parametrize("what", ["help", "verb help", "score", "inspect store", "inspect model", "inspect raw"])
def test_light_verbs_import_nothing_heavy(
    what: str, raw_events: Path, store: Path, untrained: Path, submission: Path
) -> None:
    arguments = {
        "help": ["--help"],
        "verb help": ["train", "--help"],
        "score": ["score", "--truth", raw_events, "--submission", submission, "--json"],
        "inspect store": ["inspect", store],
        "inspect model": ["inspect", untrained],
        "inspect raw": ["inspect", raw_events],
    }[what]
    command = [sys.executable, "-c", LIGHT, *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_hit_is_submitted_once_and_it_can_be_scored(submission: Path, raw_events: Path) -> None:
    report = cli.score(raw_events, submission)
    assert 0 <= report["score"] <= 1 and len(report["events"]) == 6 and report["figures"]


def test_a_prediction_tells_what_it_did(untrained: Path, raw_events: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    made = cli.predict(
        untrained,
        raw_events,
        tmp_path / "s.csv.gz",
        events=[1002, 1001],
        report=tmp_path / "report.json",
        progress=lambda done, total: seen.append((done, total)),
    )
    table = scorer.read_submission(tmp_path / "s.csv.gz")
    assert list(dict.fromkeys(table["event_id"])) == [1002, 1001] == list(made.events)
    assert sum(made.events.values()) == len(table) and seen == [(1, 2), (2, 2)]
    counts = table.groupby(["event_id", "track_id"]).size()
    assert {size: int(n) for size, n in counts[counts > 1].value_counts().sort_index().items()} == made.sizes
    assert set(made.seconds) == {"read", "network", "linking", "write"} and made.peak_bytes > 10**7
    told = json.loads((tmp_path / "report.json").read_text())
    assert told["model"]["sha256"] == load(untrained).card.sha256 and told["model"]["steps"] == 0


def test_a_prediction_writes_nothing_but_the_submission(untrained: Path, store: Path, tmp_path: Path) -> None:
    cli.predict(untrained, store, tmp_path / "s.csv", events=[1000])
    assert [path.name for path in tmp_path.iterdir()] == ["s.csv"]


def test_store_and_raw_events_give_the_same_submission(
    untrained: Path, store: Path, submission: Path, tmp_path: Path
) -> None:
    cli.predict(untrained, store, tmp_path / "s.csv", device="cpu")
    assert (tmp_path / "s.csv").read_bytes() == submission.read_bytes()


@pytest.mark.parametrize("with_truth", ["deleted", "garbage"])
def test_truth_is_never_read(
    with_truth: str, untrained: Path, raw_events: Path, submission: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "raw"
    shutil.copytree(raw_events, folder)
    for kind in ("truth", "particles"):
        for file in folder.glob(f"*-{kind}.csv.gz"):
            file.unlink() if with_truth == "deleted" else file.write_bytes(b"not a table")
    cli.predict(untrained, folder, tmp_path / "s.csv", device="cpu")
    assert (tmp_path / "s.csv").read_bytes() == submission.read_bytes()


def test_the_real_event_is_predicted_and_scored(untrained: Path, shared_data: Path, tmp_path: Path) -> None:
    event = shared_data / "trackml" / "small_event"
    made = cli.predict(untrained, event, tmp_path / "s.csv")
    assert made.events == {1: 5527} and not made.notes, "the simulated and the real detector are the same"
    assert cli.score(event, tmp_path / "s.csv")["events"][0]["hits"] == 5527


def test_a_store_without_a_column_is_named(untrained: Path, store: Path, tmp_path: Path) -> None:
    model = load(untrained, "cpu")
    card = json.loads(model.card.to_json())
    (tmp_path / "other").mkdir()
    save(tmp_path / "other", model.task, type(model.card)(**{**vars(model.card), "feat": ["r", "z", "colour"]}))
    assert card["feat"] == ["r", "z", "eta"]
    with pytest.raises(ValueError, match="point columns missing: colour; there are: .*model other reads them"):
        cli.predict(tmp_path / "other", store, tmp_path / "s.csv")
    with pytest.raises(ValueError, match="event 1000: point columns missing: colour"):
        cli.predict(tmp_path / "other", store.parent / "raw", tmp_path / "s.csv")


def test_another_detector_is_refused_with_both_hashes(untrained: Path, raw_events: Path, tmp_path: Path) -> None:
    folder = tmp_path / "raw"
    shutil.copytree(raw_events, folder)
    lines = (folder / "detectors.csv").read_text().splitlines()
    cells = lines[1].split(",")
    cells[3] = str(float(cells[3]) + 1)
    (folder / "detectors.csv").write_text("\n".join([lines[0], ",".join(cells), *lines[2:]]) + "\n")
    trained_on = load(untrained).card.geometry
    assert trained_on is not None
    with pytest.raises(
        ValueError, match=f"geometry [0-9a-f]{{16}} came, .* trained on {trained_on[:16]}.*--allow-geometry"
    ):
        cli.predict(untrained, folder, tmp_path / "s.csv")
    made = cli.predict(untrained, folder, tmp_path / "s.csv", allow_geometry=True)
    assert made.notes and "another detector, as allowed" in made.notes[0]


def test_an_unknown_detector_is_noted(untrained: Path, raw_events: Path, tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "raw"
    shutil.copytree(raw_events, folder, ignore=shutil.ignore_patterns("detectors.csv", "*-cells*", "*-truth*"))
    made = cli.predict(untrained, folder, tmp_path / "s.csv")
    assert made.notes == ["geometry not checked: no detectors.csv came with the events (--detectors F names one)"]
    assert not cli.predict(untrained, folder, tmp_path / "s.csv", detectors=raw_events / "detectors.csv").notes


def test_an_event_that_is_not_there(untrained: Path, store: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="event 7 came, expected one of the 6 there: 1000, 1001"):
        cli.predict(untrained, store, tmp_path / "s.csv", events=[7])


def test_an_untrained_model_is_evaluated_on_any_store(untrained: Path, store: Path, tmp_path: Path) -> None:
    report = cli.evaluate(untrained, store=store, out=tmp_path / "report")
    assert report["trained_events"] == [] and report["figures"]["double_majority_efficiency"]["denominator"] > 0
    page = (tmp_path / "report" / "report.html").read_text()
    assert report["model"]["sha256"] in page and "origin of the cuts" in page
    assert json.loads((tmp_path / "report" / "report.json").read_text())["summary"] == report["summary"]
    with pytest.raises(ValueError, match="name a store with --store"):
        cli.evaluate(untrained)


def test_a_run_is_evaluated_on_what_it_held_out_and_refuses_what_it_saw(
    trained: Path, store: Path, tmp_path: Path
) -> None:
    split = json.loads((trained / "split.json").read_text())
    report = cli.evaluate(trained)
    assert report["events"]["ids"] == split["validation"] and report["trained_events"] == []
    assert (trained / "evaluation" / "report.html").exists()
    with pytest.raises(ValueError, match=rf"trained on event {split['train'][0]}; .*--allow-trained-events"):
        cli.evaluate(trained, store=store, out=tmp_path / "r")
    assert not (tmp_path / "r").exists()
    report = cli.evaluate(trained, store=store, out=tmp_path / "r", allow_trained_events=True)
    assert report["trained_events"] == split["train"] and "TRAINED ON" in report["notes"][-1]
    assert "TRAINED ON" in (tmp_path / "r" / "report.html").read_text()


def test_trained_events_are_known_again_under_other_names(trained: Path, raw_events: Path, tmp_path: Path) -> None:
    """Renumbered events with shuffled rows are still the events that the model has seen."""
    seen = json.loads((trained / "split.json").read_text())["train"][0]
    for kind in ("hits", "truth", "particles"):
        with gzip.open(raw_events / f"event{seen:09d}-{kind}.csv.gz", "rt") as file:
            head, *rows = file.read().splitlines()
        (tmp_path / f"event000000005-{kind}.csv").write_text("\n".join([head, *reversed(rows)]) + "\n")
    cli.prepare(tmp_path, tmp_path / "renamed", detectors=raw_events / "detectors.csv")
    with pytest.raises(ValueError, match="trained on event 5;"):
        cli.evaluate(trained, store=tmp_path / "renamed", out=tmp_path / "r")


def test_a_run_folder_says_what_it_was_made_of(trained: Path, config_file: Path) -> None:
    card = load(trained).card
    assert config.read(trained / "config.yaml") == config.read(config_file)
    assert card.training.steps == 4 and card.training.seconds > 0 and card.training.source["name"] == "trackml"
    assert card.training.events.split() == [
        str(one) for one in json.loads((trained / "split.json").read_text())["train"]
    ]
    assert len(card.training.knows()) == len(card.training.events.split())
    assert card.training.cuts == "task.threshold of the configuration" and card.geometry
    facts = cli.inspect(trained)
    assert facts["kind"] == "run" and facts["model"]["trained"]["steps"] == 4


@pytest.mark.parametrize("file", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda file: file.stem)
def test_every_shipped_configuration_builds_and_takes_a_step(
    file: Path, store: Path, jets_store: Path, tmp_path: Path
) -> None:
    lines = [line for line in file.read_text().splitlines() if line.strip()]
    assert len(lines) < 40, "a configuration is short"
    small = [f"data.store={jets_store if file.stem.startswith(('tagging', 'anomaly')) else store}", "train.events=20"]
    small += ["data.validation=0.5", "data.split_seed=1", "train.steps=1", "train.device=cpu"]
    assert load(cli.train(file, run=tmp_path / "run", overrides=small)).card.training.steps == 1


def test_evaluate_and_score_agree(
    untrained: Path, raw_events: Path, store: Path, submission: Path, tmp_path: Path
) -> None:
    """One route: what evaluation says of an event is what the scorer says of the submission file."""
    evaluated, scored = cli.evaluate(untrained, store=store, out=tmp_path / "r"), cli.score(raw_events, submission)
    assert evaluated["summary"]["score"] == pytest.approx(scored["score"], abs=1e-12)
    assert evaluated["figures"] == scored["figures"]


def test_display_draws_from_raw_files_and_from_a_store(
    raw_events: Path, store: Path, submission: Path, tmp_path: Path
) -> None:
    pytest.importorskip("plotly")
    made = cli.display(raw_events / "event000001000", submission=submission, out=tmp_path / "a")
    assert [path.name for path in made] == ["event000001000.png", "event000001000.html"]
    assert made[0].read_bytes()[:4] == b"\x89PNG" and "TrackML score" in made[1].read_text()
    assert cli.display(store, event_id=1001, out=tmp_path / "b", html=False) == [tmp_path / "b" / "event000001001.png"]
    with pytest.raises(ValueError, match="it holds 6 events; choose one with --event"):
        cli.display(store, out=tmp_path)
    with pytest.raises(ValueError, match="no row of event 1003"):
        one = tmp_path / "one.csv"
        one.write_text("event_id,hit_id,track_id\n1,1,1\n")
        cli.display(store, event_id=1003, submission=one, out=tmp_path)


def test_display_takes_partial_truth(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "trackml" / "full_events"
    truth = folder / "event000001001-partial_truth_pixel_pt1GeV.csv.gz"
    made = cli.display(folder / "event000001001", truth=truth, out=tmp_path, html=False)
    assert [path.name for path in made] == ["event000001001.png"]


def test_inspect_tells_kinds_apart(
    raw_events: Path, store: Path, untrained: Path, shared_data: Path, tmp_path: Path
) -> None:
    kinds = [
        cli.inspect(path)["kind"] for path in (raw_events, store, untrained, shared_data / "trackml" / "small_event")
    ]
    assert kinds == ["raw events", "store", "model", "raw events"]
    assert cli.inspect(raw_events / "event000001003")["events"] == 1
    with pytest.raises(ValueError, match="neither a store, a run, a model nor raw events"):
        cli.inspect(tmp_path)


def test_a_generator_and_a_source_of_somebody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, raw_events: Path
) -> None:
    place = tmp_path / "site" / "their_source-1.0.dist-info"
    place.mkdir(parents=True)
    (place.parent / "their_source.py").write_text(
        "def prepare(source, store, **options):\n    return (source, store, options['workers'])\n"
    )
    (place / "METADATA").write_text("Metadata-Version: 2.1\nName: their-source\nVersion: 1.0\n")
    (place / "entry_points.txt").write_text("[pcloud.sources]\ntheirs = their_source:prepare\n")
    monkeypatch.syspath_prepend(str(place.parent))
    assert cli.prepare("a", "b", kind="theirs", workers=3) == ("a", "b", 3)
    with pytest.raises(ValueError, match="source: 'trakml' came, expected one of .*; did you mean trackml?"):
        cli.prepare("a", "b", kind="trakml")


def test_the_doors_name_what_there_is() -> None:
    with pytest.raises(AttributeError, match="it offers display, evaluate"):
        cli.fly  # noqa: B018
    for name in cli.__all__:
        assert callable(getattr(cli, name)) and getattr(cli, name).__doc__


def test_the_whole_way_on_the_command_line(tmp_path: Path, config_file: Path, pcloud_run: Run) -> None:
    def ok(*arguments: object) -> str:
        done = pcloud_run(*arguments, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "2 synthetic events" in ok("simulate", "raw", "--events", 2, "--pileup", 1, "--seed", 9, "--first-event", 70)
    assert "2 events" in ok("prepare", "trackml", "raw", "store", "--workers", 2)
    assert "kind: store" in ok("inspect", "store")
    assert "model.safetensors" in ok("train", config_file, "--run", "run", "--train.steps=2")
    assert "steps: 2" in ok("inspect", "run")
    out = ok("evaluate", "run")
    assert "double_majority_efficiency" in out and "pT >= 0.9 GeV" in out and "GB at its peak" in out
    out = ok("predict", "run", "raw", "--out", "s.csv", "--device", "cpu")
    assert "each once" in out and "network" in out and "device      cpu" in out and "sha256" in out
    assert "TrackML score" in ok("score", "--truth", "raw", "--submission", "s.csv")
    assert "event000000070.png" in ok(
        "display", "raw/event000000070", "--submission", "s.csv", "--png-only", "--out", "shown"
    )
    assert "encoder: {name: interaction" in ok("train", config_file, "--print_config")
    with gzip.open(tmp_path / "raw" / "event000000070-hits.csv.gz", "rt") as file:
        assert np.loadtxt(file, delimiter=",", skiprows=1).shape[0] > 0
