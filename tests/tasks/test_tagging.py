"""Tagging: weights of any sign against repeated events, classes that are missing, features that are hidden, rows by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from cases import encoder, tagging
from clouds import BIG, jets
from torch import Tensor

from pcloud.cloud import PointCloud
from pcloud.losses import tagging as losses
from pcloud.tasks import Tagging

LOGITS = torch.tensor([[0.0, 1.0], [2.0, 0.0], [0.5, 0.5], [-1.0, 1.0]])
LABEL = torch.tensor([1, 0, 0, 1])


def weighing(cloud: PointCloud, **columns: Any) -> PointCloud:
    return replace(cloud, event_truth={**cloud.event_truth, **columns})


def test_an_event_of_weight_n_is_n_events() -> None:
    weight = torch.tensor([1.0, 3.0, 2.0, 0.0])
    rows = torch.tensor([0, 1, 1, 1, 2, 2])
    for loss, truth in ((losses.cross_entropy, LABEL), (_soft, torch.rand(4, 2, generator=torch.Generator().manual_seed(0)))):
        weighted, repeated = LOGITS.clone().requires_grad_(), LOGITS.clone().requires_grad_()
        one, many = loss(weighted, truth, weight), loss(repeated[rows], truth[rows], torch.ones(6))
        one.backward()
        many.backward()
        torch.testing.assert_close(one, many)
        torch.testing.assert_close(weighted.grad, repeated.grad)


def _soft(logits: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    return losses.distillation(logits, truth, weight, temperature=2.0)


def test_a_negative_weight_takes_an_equal_event_away() -> None:
    """Three events of which two cancel pull as the third does alone; what is divided by, the sum of |w|, is 3."""
    logits = LOGITS[[0, 0, 1]].clone().requires_grad_()
    loss = losses.cross_entropy(logits, LABEL[[0, 0, 1]], torch.tensor([1.0, -1.0, 1.0]))
    alone = losses.cross_entropy(LOGITS[1:2], LABEL[1:2], torch.ones(1))
    torch.testing.assert_close(3 * loss, alone)
    loss.backward()
    torch.testing.assert_close(logits.grad[0], -logits.grad[1])


def test_losses_by_hand() -> None:
    """ln 1/p is ln(1 + e^-1) and ln(1 + e^-2); a teacher at even odds, T = 2: 4 KL of (1/2, 1/2) to p = softmax(0, 1/2)."""
    first, second = np.log1p(np.exp(-1)), np.log1p(np.exp(-2))
    came = losses.cross_entropy(LOGITS[:2], LABEL[:2], torch.tensor([1.0, 3.0]))
    assert came.item() == pytest.approx((first + 3 * second) / 4)
    p = np.exp([0, 0.5]) / np.exp([0, 0.5]).sum()
    soft = losses.distillation(LOGITS[:1], torch.tensor([[0.5, 0.5]]), torch.ones(1), temperature=2.0)
    assert soft.item() == pytest.approx(4 * (0.5 * np.log(0.5 / p)).sum(), rel=1e-5)
    sure = losses.distillation(torch.tensor([[90.0, -90.0]]), torch.tensor([[1.0, 0.0]]), torch.ones(1), temperature=1.0)
    assert sure.item() == pytest.approx(0, abs=1e-6), "a teacher without doubt is no infinity"


def test_teacher_and_label_share_the_loss() -> None:
    cloud, task = jets(6), tagging("deepsets", teacher=0.25, temperature=3.0)
    output = task(cloud)
    taught = weighing(cloud, teacher_0=torch.full((6,), 0.3), teacher_1=torch.full((6,), 0.7))
    terms, weight = task.loss(output, taught), cloud.event_truth["weight"]
    plain = losses.cross_entropy(output, cloud.event_truth["label"], weight)
    soft = losses.distillation(output, torch.tensor([[0.3, 0.7]]).expand(6, 2), weight, temperature=3.0)
    torch.testing.assert_close(terms["label"], 0.75 * plain)
    torch.testing.assert_close(terms["teacher"], 0.25 * soft)
    with pytest.raises(ValueError, match="event_truth column teacher_0 is missing; the events have: label, weight"):
        task.loss(output, cloud)
    assert tagging("deepsets", teacher=1).loss(output, taught).keys() == {"teacher"}


def test_a_class_that_no_event_of_the_batch_has_is_no_error() -> None:
    cloud, task = jets(4), tagging("deepsets", classes=["qcd", "top", "w"])
    terms = task.loss(task(cloud), cloud)
    terms["label"].backward()
    assert bool(torch.isfinite(task.head.weight.grad).all())
    figures = task.summarize(task.tabulate(task(cloud), cloud))
    assert 0 <= figures["accuracy"] <= 1
    only = jets(5).select([0, 2])
    alone = tagging("deepsets")
    assert np.isnan(alone.summarize(alone.tabulate(alone(only), only))["auc"])


def test_rows() -> None:
    cloud, task = jets(5), tagging("deepsets", classes=["qcd", "top"])
    rows = task.tabulate(task(cloud), cloud)
    assert list(rows) == ["event_id", "label", "weight", "jet_pt", "jet_mass", "p_qcd", "p_top"]
    kinds = ["int64", "int64", "float32", "float32", "float32", "float32", "float32"]
    assert [str(column.dtype) for column in rows.values()] == kinds
    assert rows["event_id"].tolist() == [BIG + n for n in range(5)] and rows["label"].tolist() == [0, 1, 0, 1, 0]
    np.testing.assert_allclose(rows["p_qcd"] + rows["p_top"], 1, rtol=1e-6)
    bare = replace(cloud.without_truth(), event={"event_id": cloud.event["event_id"]})
    assert list(task.tabulate(task(bare), bare)) == ["event_id", "p_qcd", "p_top"]


def test_figures_of_weights_are_those_of_repeated_rows() -> None:
    chance = np.random.default_rng(1)
    score = chance.integers(0, 40, 400) / 40  # with ties
    rows = {"label": chance.integers(0, 2, 400), "p_0": 1 - score, "p_1": score, "weight": chance.integers(0, 4, 400) * 1.0}
    times = rows["weight"].astype(int)
    repeated = {name: np.repeat(column, times) for name, column in rows.items() if name != "weight"}
    task = tagging("deepsets")
    whole, parts = task.summarize(rows), task.summarize(repeated)
    assert whole.keys() == parts.keys() >= {"accuracy", "auc", "rejection_50", "rejection_30"}
    assert whole == pytest.approx(parts)
    taken = {name: np.concatenate([column, column[:50]]) for name, column in rows.items()}
    taken["weight"][400:] *= -1
    rest = task.summarize({name: column[50:] for name, column in rows.items()})
    assert task.summarize(taken) == pytest.approx(rest), "negative rows take equal ones away"


def test_perfect_output() -> None:
    cloud, task = jets(8), tagging("deepsets")
    output = 20.0 * torch.stack([1.0 - cloud.event_truth["label"], cloud.event_truth["label"]], 1)
    figures = task.summarize(task.tabulate(output, cloud))
    assert figures["auc"] == pytest.approx(1) == figures["accuracy"] and figures["rejection_50"] == np.inf
    assert abs(task.loss(output, cloud)["label"].item()) < 1e-6


def test_balance_makes_classes_weigh_the_same() -> None:
    """Weights 3 of class 0 and 1 of class 1, none of class 2: times 2/3 and 2, so that both are half of 4."""
    task = tagging("deepsets", classes=3, balance=True)
    told = task.begin([], {"label": np.array([0, 0, 1]), "weight": np.array([1.0, 2.0, 1.0], np.float32)})
    assert told == ["no training event is of class 2"]
    torch.testing.assert_close(task.class_weight, torch.tensor([2 / 3, 2.0, 1.0]))
    cloud = weighing(jets(3), label=torch.tensor([0, 0, 1]), weight=torch.tensor([1.0, 2.0, 1.0]))
    scaled = losses.cross_entropy(task(cloud), cloud.event_truth["label"], torch.tensor([2 / 3, 4 / 3, 2.0]))
    torch.testing.assert_close(task.loss(task(cloud), cloud)["label"], scaled)
    with pytest.raises(ValueError, match="task.balance: the weights of class 1 do not add up to more than 0"):
        task.begin([], {"label": np.array([0, 1]), "weight": np.array([1.0, -1.0])})


def test_hidden_groups_are_zero_for_whole_jets_and_only_in_training() -> None:
    cloud, task = jets(200), tagging("deepsets", hide={"pid": 0.5, "displacement": 0.1})
    task.begin(["log_pt", "charge", "is_muon", "d0", "dr", "deta", "dphi"], {"label": np.array([0, 1])})
    seen = task._hide(cloud).feat.reshape(200, 12, 7)
    whole = cloud.feat.reshape(200, 12, 7)
    hidden = (seen == 0).all(1)
    assert torch.equal(hidden[:, 1], hidden[:, 2]) and 60 < int(hidden[:, 1].sum()) < 140
    assert 5 < int(hidden[:, 3].sum()) < 40 and not bool(hidden[:, [0, 4, 5, 6]].any())
    for channel in range(7):
        assert torch.equal(seen[~hidden[:, channel], :, channel], whole[~hidden[:, channel], :, channel])
    task.eval()
    assert torch.equal(task(cloud), task(cloud))
    with pytest.raises(ValueError, match="task.hide: displacement: no feature of this group is read"):
        task.begin(["charge"], {"label": np.array([0, 1])})


def test_turned_jets_keep_their_distances_and_only_training_turns_them() -> None:
    cloud, task = jets(200), tagging("deepsets", turn=True)
    task.begin(["log_pt", "dphi", "deta", "d0", "dr", "log_e", "dz"], {"label": np.array([0, 1])})
    seen = task._turn(cloud)
    first, second = (one.pos.reshape(200, 12, 2) for one in (cloud, seen))
    torch.testing.assert_close(torch.cdist(first, first), torch.cdist(second, second), atol=1e-5, rtol=0)
    torch.testing.assert_close(first.norm(dim=2), second.norm(dim=2), atol=1e-6, rtol=0)

    def sense(pos: Tensor) -> Tensor:  # from the first constituent to the second, left or right
        return torch.sign(pos[:, 0, 0] * pos[:, 1, 1] - pos[:, 0, 1] * pos[:, 1, 0])

    assert 60 < int((sense(first) != sense(second)).sum()) < 140
    others, angles = [0, 3, 4, 5, 6], [2, 1]
    assert torch.equal(seen.feat[:, others], cloud.feat[:, others])
    before, after = (one.feat[:, angles].reshape(200, 12, 2) for one in (cloud, seen))
    torch.testing.assert_close(torch.cdist(before, before), torch.cdist(after, after), atol=1e-5, rtol=0)
    assert not torch.equal(before, after)
    task.eval()
    assert torch.equal(task(cloud), task(cloud))
    with pytest.raises(ValueError, match="task.turn: data.feat has one of deta, dphi"):
        task.begin(["deta"], {"label": np.array([0, 1])})
    with pytest.raises(ValueError, match="task.turn: data.pos has 3 columns"):
        task.train().forward(replace(cloud, pos=torch.zeros(cloud.points, 3)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": 1}, "classes = 1 came; two or more expected"),
        ({"classes": ["a", "a"]}, "their names all different"),
        ({"hide": {"pdi": 0.1}}, "hide: group 'pdi' came, one of pid, displacement expected"),
        ({"hide": {"pid": 2}}, "hide, pid: 2 came, a share from 0 to 1"),
        ({"teacher": -1}, "teacher: -1 came, a share"),
        ({"temperature": 0}, "temperature = 0 came, more than 0"),
    ],
)
def test_bad_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tagging("deepsets", **options)


def test_what_it_cannot_work_with() -> None:
    with pytest.raises(ValueError, match="tagging needs an encoder with features of events; InteractionNetwork has none"):
        Tagging(encoder("interaction", 7))  # type: ignore[arg-type]
    task = tagging("deepsets")
    with pytest.raises(ValueError, match="event_truth column label is missing; the store has: weight"):
        task.begin([], {"weight": np.ones(2)})
    with pytest.raises(ValueError, match="labels run from 0 to 2; task.classes expects 0 to 1"):
        task.begin([], {"label": np.array([0, 2])})
