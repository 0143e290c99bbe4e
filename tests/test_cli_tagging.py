"""A tagger is evaluated by the same verb as a track finder: report, page, rows, robustness."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from data_prep.jets import Jets, write_store
from pcloud import segments
from pcloud.cli import evaluation
from pcloud.cli.evaluation import evaluate
from pcloud.cli.tagger_report import judgement, read_scores, sections
from pcloud.cloud import PointCloud
from pcloud.data.schema import VERSION
from pcloud.data.store import Store
from pcloud.metrics.seeds import ensemble
from pcloud.metrics.tagging import summary
from pcloud.plots.report import write_report
from pcloud.pretrained import Card, Model, Training, fingerprint

JETS = 700


class Mass(nn.Module):
    """A tagger by hand: the jet's width, the pT-weighted mean of dr, decides; its rows are those of any tagging task."""

    def forward(self, cloud: PointCloud) -> Tensor:
        share = segments.softmax(cloud.feat[:, 0], cloud.offsets)
        width = segments.sum(share * cloud.feat[:, 1], cloud.offsets)
        return torch.stack([-width, width], dim=1) * 20 + torch.tensor([4.6, -4.6])

    def tabulate(self, output: Tensor, cloud: PointCloud) -> dict[str, np.ndarray]:
        p = output.softmax(1)
        rows = {"event_id": cloud.event["event_id"], **cloud.event_truth}
        rows |= {name: cloud.event[name] for name in ("jet_pt", "jet_mass")} | {"p_qcd": p[:, 0], "p_top": p[:, 1]}
        return {name: column.numpy() for name, column in rows.items()}

    def summarize(self, rows: dict[str, np.ndarray]) -> dict[str, float]:
        return summary(rows)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Broad and narrow jets, some of negative weight, pT ~ 600 GeV."""
    chance = np.random.default_rng(0)
    label, counts = chance.integers(0, 2, JETS), chance.integers(2, 40, JETS)
    owner = np.repeat(np.arange(JETS), counts)
    width = np.where(label == 1, 0.21, 0.17)[owner]
    pt = chance.gamma(1, size=len(owner)) + 0.05
    pt *= (600 / np.bincount(owner, pt))[owner]
    eta, phi = chance.normal(0, width), chance.normal(0, width)
    p4 = np.stack([pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta), pt * np.cosh(eta)], axis=1)
    weight = np.where(chance.random(JETS) < 0.05, -1.0, 1.0)
    block = Jets(p4, np.append(0, counts.cumsum()), np.arange(JETS) + 10, label, weight)
    path = tmp_path_factory.mktemp("jets") / "store"
    write_store(path, [block], source={"name": "test", "classes": ["qcd", "top"]})
    return path


@pytest.fixture
def tagger(monkeypatch: pytest.MonkeyPatch) -> Model:
    training = Training(steps=0, seed=0, seconds=0.0, source={}, events="", fingerprints="", cuts="none")
    pos, feat = ["deta", "dphi"], ["log_pt", "dr"]
    card = Card({"name": "tracking"}, {}, pos, feat, {}, None, VERSION, "0", None, training)
    model = Model("by-hand", Mass(), card, "cpu")
    monkeypatch.setattr(evaluation, "load", lambda run, device: model)
    monkeypatch.setattr(evaluation.config, "dump", lambda parts: "by hand")
    return model


def test_a_tagger_is_judged(tagger: Model, store: Path, tmp_path: Path) -> None:
    report = evaluate("by-hand", store=store, out=tmp_path / "e", robust=True)
    told = json.loads((tmp_path / "e" / "report.json").read_text())
    rows = read_scores(tmp_path / "e")
    assert told["summary"] == pytest.approx(summary(rows)) and len(rows["label"]) == JETS
    judged = told["tagging"]
    assert judged["classes"] == ["qcd", "top"] and sum(judged["jets"].values()) == JETS and judged["negative_weights"] > 10
    auc = judged["figures"]["auc"]
    assert 0.6 < auc["low"] < auc["value"] < auc["high"] < 0.99
    assert judged["figures"]["auc"]["value"] == pytest.approx(told["summary"]["auc"])
    # batches are not seen: each row is that of its event alone
    alone = evaluation.infer_many(tagger, [evaluation.Input.open(store).read(600, True)], True, {})
    place = int(np.flatnonzero(rows["event_id"] == 600)[0])
    assert rows["p_top"][place] == pytest.approx(alone["p_top"][0], abs=1e-6)
    assert report["tagging"]["robustness"].keys() == {
        "energies smeared by 10 %", "angles smeared by 0.01 rad", "10 % of the constituents lost",
    }  # fmt: skip
    lost = judged["robustness"]["10 % of the constituents lost"]
    assert lost["auc_gap"]["value"] == pytest.approx(lost["auc"] - told["summary"]["auc"])
    page = (tmp_path / "e" / "report.html").read_text()
    assert page.count("data:image/png") == 4 and "Poisson bootstrap" in page and "rejection 50" in page
    assert "10 % of the constituents lost" in page and f"{judged['negative_weights']} jets of negative weight" in page


def test_a_jet_of_one_constituent_is_not_taken_for_another(store: Path, tagger: Model, tmp_path: Path, monkeypatch: Any) -> None:
    """All of them lie at their own axis, so that where they lie tells nothing."""
    p4 = np.array([[600.0, 0, 10, 601], [0, 580.0, 0, 580.5], [0, 20.0, 1, 21]])
    write_store(tmp_path / "few", [Jets(p4, np.array([0, 1, 3]), np.arange(2), np.arange(2))], source={"name": "few"})
    seen = [fingerprint(Store.open(tmp_path / "few").read(place), ["deta", "dphi"]) for place in range(2)]
    for name, known in (("alone", seen[0]), ("both", " ".join(seen))):
        training = replace(tagger.card.training, fingerprints=known)
        monkeypatch.setattr(tagger, "card", replace(tagger.card, training=training))
        report = evaluate("by-hand", store=tmp_path / "few", out=tmp_path / name, allow_trained_events=True)
        assert report["trained_events"] == ([] if name == "alone" else [1])


def test_kept_rows_make_an_ensemble(tagger: Model, store: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        evaluate("by-hand", store=store, out=tmp_path / name / "evaluation")
    tables = [read_scores(tmp_path / name) for name in ("a", "b")]
    assert summary(ensemble(tables)) == pytest.approx(summary(tables[0]))
    with pytest.raises(FileNotFoundError, match=r"holds no scores\.parquet; make it with pcloud evaluate"):
        read_scores(tmp_path)


def test_many_classes_and_one_that_is_missing_have_their_page(tmp_path: Path) -> None:
    chance = np.random.default_rng(1)
    p = chance.dirichlet(np.ones(4), 300)
    rows = {"label": p[:, :3].argmax(axis=1), **{f"p_{name}": p[:, c] for c, name in enumerate(("qcd", "w", "z", "h"))}}
    parts = sections(judgement(rows), rows)
    page = write_report(tmp_path / "r.html", "r", parts).read_text()
    assert page.count("data:image/png") == 3 and "class h: no jets with weight" in page  # nothing is known of the jets
    assert "rejection 50, w" in page and "auc ovo" in page and "∞" in page


def test_robust_is_for_taggers(tagger: Model, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def hits(output: Any, cloud: PointCloud) -> dict[str, np.ndarray]:
        return {"event_id": np.zeros(1)}

    monkeypatch.setattr(tagger, "link", SimpleNamespace(__call__=hits).__call__)
    with pytest.raises(ValueError, match="told of taggers; model by-hand finds no classes"):
        evaluate("by-hand", store=store, out=tmp_path / "e", robust=True)
