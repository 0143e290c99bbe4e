"""Training taggers from the command's side: 50 jets, features that say nothing, seeds, a new head, a teacher."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pcloud import cli
from pcloud.cli.tagger_report import read_scores
from pcloud.data.event import Inputs, to_cloud
from pcloud.data.store import Store, StoreWriter
from pcloud.pretrained import fingerprint, load

KINEMATIC = "log_pt, log_e, log_pt_rel, log_e_rel, dr, deta, dphi"


@pytest.fixture
def config(jets_store: Path, tmp_path: Path) -> Path:
    file = tmp_path / "jets.yaml"
    file.write_text(
        "task: {name: tagging, balance: true}\nencoder: {name: dgcnn, channels: 8, layers: 1, k: 4}\n"
        f"data: {{store: {jets_store}, pos: [deta, dphi], feat: [{KINEMATIC}, charge, is_muon], validation: 0.2}}\n"
        "train: {steps: 30, rate: 1e-2, warmup: 2, events: 16, optimizer: ranger, schedule: flat-decay, average: 0.8, "
        "validate_every: 15, device: cpu}\n"
    )
    return file


def test_fifty_jets_are_enough_and_flags_that_are_all_zero_are_told(
    config: Path, jets_store: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = cli.train(config, run=tmp_path / "run", overrides=["train.steps=60", "train.rate=5e-2"])
    said = capfd.readouterr().err
    assert "of every point the same, so that nothing is learned from it: charge = 0, is_muon = 0\n" in said
    model = load(folder, "cpu")
    assert all(bool(torch.isfinite(value).all()) for value in model.task.state_dict().values())
    figures = model.card.figures
    assert figures["val/auc"] > 0.9 and all(math.isfinite(figures[f"val/{name}"]) for name in ("loss", "accuracy"))
    split = json.loads((folder / "split.json").read_text())
    store, inputs = Store.open(jets_store), Inputs(("deta", "dphi"))
    expected = {fingerprint(store.read(place), inputs.pos) for place in split["train"]}  # ids are places here
    assert model.card.training.knows() == expected


def test_seeds_in_sequence_go_on_after_a_stop(config: Path, tmp_path: Path) -> None:
    run, short = tmp_path / "run", ["train.steps=4"]
    cli.train(config, run=run / "seed-0", overrides=[*short, "train.seed=0"])
    first = (run / "seed-0" / "model.safetensors").read_bytes()
    with pytest.raises(ValueError, match="seed-0: a run is there already; go on with --resume"):
        cli.train_seeds(config, 2, run=run, overrides=short)
    told: list[str] = []
    assert cli.train_seeds(config, 2, run=run, resume=True, overrides=short, told=told.append) == run
    assert told == ["seed 1 of 2"] and (run / "seed-0" / "model.safetensors").read_bytes() == first
    found = json.loads((run / "seeds.json").read_text())["val/loss"]
    assert found["median"] == pytest.approx(np.mean(found["values"]))
    assert found["spread"] == pytest.approx(np.std(found["values"], ddof=1)) and found["spread"] > 0
    with pytest.raises(ValueError, match="--seeds 1: 2 or more expected"):
        cli.train_seeds(config, 1, run=run)
    with pytest.raises(ValueError, match="--train.seed=3: --seeds sets it"):
        cli.train_seeds(config, 2, run=run, overrides=["train.seed=3"])


def test_seeds_are_judged_together_beside_trees(config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.simulate(tmp_path / "jets", kind="top-tagging", events=240, seed=1, generator="toy")
    overrides = [f"data.store={tmp_path / 'jets'}", f"data.feat=[{KINEMATIC}]", "data.validation=0.4"]
    overrides += ["train.steps=60", "train.events=48", "train.optimizer=adamw", "train.average=0"]
    run = cli.train_seeds(config, 2, run=tmp_path / "run", overrides=overrides)
    assert cli.main(["evaluate", str(run), "--trees"]) == 0
    said = capsys.readouterr().out
    folder = run / "evaluation"
    report = json.loads((folder / "report.json").read_text())
    each = [json.loads((folder / f"seed-{seed}" / "report.json").read_text()) for seed in range(2)]
    assert report["seeds"] == {f"seed-{seed}": one["summary"] for seed, one in enumerate(each)}
    areas = [one["summary"]["auc"] for one in each]
    assert report["failed"] == {} and min(areas) > 0.6
    assert report["spread"]["auc"]["median"] == pytest.approx(np.mean(areas))
    p = [read_scores(folder / f"seed-{seed}")["p_1"] for seed in range(2)]
    np.testing.assert_allclose(read_scores(folder)["p_1"], np.mean(p, 0))
    gap = report["high_level"]["gap"]["value"]
    theirs = report["high_level"]["figures"]["auc"]["value"]
    assert gap == pytest.approx(report["tagging"]["figures"]["auc"]["value"] - theirs)
    assert "AUC beyond that of trees" in said and "mean as one: auc" in said
    page = (folder / "report.html").read_text()
    assert "Beside observables" in page and 'href="seed-1/report.html"' in page


def test_what_trees_and_seeds_cannot_do(config: Path, jets_store: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no finished seeds; train with --seeds"):
        cli.evaluate_seeds(tmp_path)
    (tmp_path / "seeds" / "seed-0").mkdir(parents=True)
    for name in ("seed-0/model.json", "seeds.json"):
        (tmp_path / "seeds" / name).write_text("{}")
    with pytest.raises(FileNotFoundError, match="the folder above it does not exist; name another with --out"):
        cli.evaluate_seeds(tmp_path / "seeds", out=tmp_path / "nowhere" / "out")
    run = cli.train(config, run=tmp_path / "run", overrides=["train.steps=2"])
    with pytest.raises(ValueError, match="weights: negative ones came, which trees can't learn from"):
        cli.evaluate(run, trees=True)
    (run / "split.json").unlink()
    with pytest.raises(ValueError, match="run: trees learn what a run learned; name the folder of a run"):
        cli.evaluate(run, store=jets_store, allow_trained_events=True, trees=True)


def test_classes_are_those_of_the_store(config: Path, tmp_path: Path) -> None:
    for wrong in ("[top, qcd]", "3"):
        with pytest.raises(ValueError, match="its labels stand for qcd, top; task.classes = .* came: give the same"):
            cli.train(config, run=tmp_path / "run", overrides=[f"task.classes={wrong}"])


def test_from_another_run_with_a_new_head(
    config: Path, jets_store: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    first = load(cli.train(config, run=tmp_path / "first", overrides=["train.steps=3"]), "cpu")
    store = Store.open(jets_store)
    wider = tmp_path / "three"
    columns = [replace(column, mean=None, width=None) for column in store.schema.columns]
    with StoreWriter(wider, columns, source={"classes": ["qcd", "top", "w"]}) as writer:
        writer.add_many(store.event_ids, store.read_many(range(len(store))))
    still = ["task.classes=3", f"data.store={wider}", "train.steps=1", "train.rate=1e-12", "train.average=0"]
    second = load(cli.train(config, start=tmp_path / "first", run=tmp_path / "second", overrides=still), "cpu")
    assert "begun anew: class_weight, head.bias, head.weight" in capfd.readouterr().err
    assert second.task.head.weight.shape == (3, 8)
    own, given = second.task.encoder.state_dict(), first.task.encoder.state_dict()
    for name, value in given.items():
        if "running" not in name and "num_batches" not in name:
            torch.testing.assert_close(own[name], value, msg=name)
    assert second.card.training.source["begun_from"]["sha256"] == first.card.sha256
    assert second.card.training.knows() == first.card.training.knows()
    with pytest.raises(ValueError, match=r"--from .*first: another encoder: encoder\..* is .*, this run has"):
        cli.train(config, start=tmp_path / "first", run=tmp_path / "x", overrides=["encoder.channels=9"])
    with pytest.raises(ValueError, match=r"--from .*: it reads data.feat = .*; give the same"):
        cli.train(config, start=tmp_path / "first", run=tmp_path / "x", overrides=["data.feat=[dr]"])
    assert not (tmp_path / "x").exists()


def test_a_student_learns_what_its_teachers_say(config: Path, jets_store: Path, tmp_path: Path) -> None:
    runs = [cli.train(config, run=tmp_path / name, overrides=[f"train.seed={name}"]) for name in "12"]
    taught = cli.teach(jets_store, runs, tmp_path / "taught", device="cpu")
    cloud = to_cloud(taught.read(7), load(runs[0], "cpu").inputs)
    says = torch.cat([cloud.event_truth["teacher_0"], cloud.event_truth["teacher_1"]])
    expected = np.mean([[rows[f"p_{c}"][0] for c in (0, 1)] for rows in (load(run, "cpu")(cloud) for run in runs)], axis=0)
    np.testing.assert_allclose(says, expected, atol=1e-6)
    assert [one["name"] for one in taught.source["teachers"]] == ["1", "2"]
    assert taught.event_ids.tolist() == Store.open(jets_store).event_ids.tolist()
    overrides = [f"data.store={tmp_path / 'taught'}", "task.teacher=1", "task.balance=false"]
    student = load(cli.train(config, run=tmp_path / "student", overrides=overrides), "cpu")
    assert student.card.figures["val/loss"] < 0.1
    with pytest.raises(ValueError, match="event_truth column teacher_0 is missing"):
        cli.train(config, run=tmp_path / "y", overrides=["task.teacher=0.5"])


def test_torch_compile_trains_alike(config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Traced and run by the tracer's own backend, which needs no compiler: nearly the same weights."""
    real = torch.compile
    monkeypatch.setattr(torch, "compile", lambda what, **how: real(what, backend="aot_eager", **how))
    weights = []
    for flag in ("true", "false"):
        folder = cli.train(config, run=tmp_path / flag, overrides=["train.steps=3", f"train.compile={flag}"])
        weights.append(load(folder, "cpu").task.head.weight)
    torch.testing.assert_close(weights[0], weights[1], rtol=1e-3, atol=1e-4)
