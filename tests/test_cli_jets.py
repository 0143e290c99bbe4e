"""Jets on the command line: files of jets are prepared, inspected and tagged as events of trackers are."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pcloud.cli import inspect, predict, prepare
from pcloud.cli.sources import Input, kind_of, read

MAP = "px=x,py=y,pz=z,energy=e,label=kind,event.ht=ht"


@pytest.fixture
def jets(tmp_path: Path) -> Path:
    """60 jets of 1 to 12 massless constituents, of two classes of different width."""
    draw = np.random.default_rng(1)
    columns: dict[str, list[object]] = {name: [] for name in ("x", "y", "z", "e", "kind", "ht")}
    for j in range(60):
        n, wide = int(draw.integers(1, 13)), 0.1 + 0.3 * (j % 2)
        pt, eta, phi = draw.exponential(50, n) + 1, draw.normal(0, wide, n), draw.normal(0, wide, n)
        made = (pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta), pt * np.cosh(eta), j % 2, float(pt.sum()))
        for name, one in zip(columns, made, strict=True):
            columns[name].append(one)
    pq.write_table(pa.table(columns), tmp_path / "jets.parquet")
    return tmp_path / "jets.parquet"


def test_prepare_and_inspect(pcloud_run: Callable[..., object], jets: Path, tmp_path: Path) -> None:
    pytest.importorskip("uproot")
    arguments = ("--columns", MAP, "--classes", "narrow,wide", "--most", 5)
    done = pcloud_run("prepare", "table", jets, tmp_path / "s", *arguments)
    assert done.returncode == 0 and "60 events" in done.stdout and "detectors" not in done.stdout, done.stderr  # type: ignore[attr-defined]
    facts = inspect(tmp_path / "s")
    assert facts["source"]["classes"] == ["narrow", "wide"] and facts["largest event"] == 5
    source = Input.open(tmp_path / "s")
    assert source.geometry is None and len(source.ids) == 60 and read(tmp_path / "s", 7).event_truth["label"].tolist() == [1]
    wrong = pcloud_run("prepare", "table", jets, tmp_path / "t")
    assert wrong.returncode == 2 and wrong.stderr.count("\n") == 1 and "say what its columns are" in wrong.stderr  # type: ignore[attr-defined]


def test_an_option_of_jets_means_nothing_to_trackers(raw_events: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="option most came, which events of the kind trackml know nothing of"):
        prepare(raw_events, tmp_path / "s", most=3)


def test_raw_jets_are_told_from_other_files(jets: Path, tmp_path: Path) -> None:
    sys.path.insert(0, str(Path(__file__).parent / "data_prep"))
    from jet_files import lay_quark_gluon

    path = lay_quark_gluon(tmp_path / "QG.npz")
    facts = inspect(path)
    assert facts["source"] == "quark-gluon" and facts["events"] == 3 and not facts["detectors"]
    assert facts["tables of event 0"]["constituents"]["rows"] == 2
    assert len(Input.open(path).read(1, False).event_truth) == 0 and kind_of(jets) == "trackml", "a table says nothing of itself"


def test_a_tagger_predicts_probabilities(jets: Path, tmp_path: Path) -> None:
    pytest.importorskip("pcloud.tasks.tagging", reason="the task is not here yet")
    from pcloud.cli import train

    prepare(jets, tmp_path / "s", kind="table", columns=MAP, classes="narrow,wide")
    config = tmp_path / "tagger.yaml"
    config.write_text(
        "task: {name: tagging, classes: [narrow, wide]}\n"
        "encoder: {name: deepsets, channels: 8}\n"
        f"data: {{store: {tmp_path / 's'}, pos: [deta, dphi], feat: [log_pt, dr], validation: 0.3}}\n"
        "train: {steps: 3, seed: 1, device: cpu, validate_every: 3, checkpoint_every: 3}\n"
    )
    run = train(config, run=tmp_path / "run")
    made = predict(run, tmp_path / "s", tmp_path / "tags.csv", events=[3, 4, 5])
    rows = list(csv.DictReader((tmp_path / "tags.csv").open()))
    assert [int(row["event_id"]) for row in rows] == [3, 4, 5] and made.sizes == {} and list(made.events) == [3, 4, 5]
    for row in rows:
        assert float(row["p_narrow"]) + float(row["p_wide"]) == pytest.approx(1, abs=1e-5) and "label" not in row
