"""The laws that every task keeps: finite named losses, learning, rows that concatenate, and no look at truth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from cases import CASES, FIGURE, events_of, rows_of
from clouds import jets, permute, shuffled, tracks

from pcloud.cloud import PointCloud, collate
from pcloud.tasks import TASKS, concatenate

every = pytest.mark.parametrize("case", CASES)


def noise(hits: int) -> PointCloud:
    """An event of that many hits and no particle."""
    event = tracks(1, tracks=1, layers=1, noise=hits, seed=hits)
    return event.keep(event.point_truth["particle"] < 0)


MIXED = collate([noise(0), *tracks(2).split(), noise(1), noise(6), tracks(1, tracks=1, layers=1, noise=0), noise(0)])
JETS = collate([jets(1, constituents=n, seed=n) for n in (0, 12, 1, 3, 40, 0)])
MIX = {"tracking": MIXED, "tagging": JETS, "autoencoding": JETS}
ONE, WIDE = JETS.select([2]), JETS.keep(JETS.pos[:, 0] > 9)
POOR = {
    "tracking": {"no event": MIXED.select([]), "empty": noise(0), "one": noise(1), "dull": noise(9), "one of each": MIXED},
    "tagging": {"no event": JETS.select([]), "empty": JETS.select([0]), "one": ONE, "dull": WIDE, "one of each": JETS},
}


POOR["autoencoding"] = POOR["tagging"]


def mixed(case: str) -> PointCloud:
    return MIX[case.split()[0]]


def poor(case: str, events: str) -> PointCloud:
    return POOR[case.split()[0]][events]


def test_every_task_has_a_case() -> None:
    assert {case.split()[0] for case in CASES} == set(TASKS)


@every
@pytest.mark.parametrize("events", POOR["tracking"])
def test_losses_are_named_finite_and_can_be_descended(case: str, events: str) -> None:
    task, cloud = CASES[case](), poor(case, events)
    terms = task.loss(task(cloud), cloud)
    assert terms and all(isinstance(name, str) and name for name in terms)
    for name, term in terms.items():
        assert term.shape == () and bool(torch.isfinite(term)), name
    sum(terms.values()).backward()
    for name, parameter in task.named_parameters():
        assert parameter.grad is None or bool(torch.isfinite(parameter.grad).all()), name


@every
def test_every_parameter_learns(case: str) -> None:
    """A task that reads edges or events may leave the encoder's last word on points unread, and nothing else."""
    task, cloud = CASES[case]().train(), events_of(case, 4)
    sum(task.loss(task(cloud), cloud).values()).backward()
    idle = {n for n, p in task.named_parameters() if p.grad is None or not bool((p.grad != 0).any())}
    if case == "tracking edges interaction":
        idle = {name for name in idle if not name.startswith("encoder.interact.1.")}
    if case == "tagging deepsets":
        idle = {name for name in idle if not name.startswith("encoder.rho.")}
    assert not idle


@every
def test_it_learns_eight_events_by_heart(case: str) -> None:
    """80 steps take the loss to less than a third, and the figure that the task is about well up."""
    task, cloud = CASES[case]().train(), events_of(case, 8)
    if "weight" in cloud.event_truth:  # a loss of negative weight has no lowest value, and nothing to learn by heart
        cloud = replace(cloud, event_truth=cloud.event_truth | {"weight": cloud.event_truth["weight"].abs()})
    optimizer = torch.optim.Adam(task.parameters(), lr=1e-2)
    course = []
    for _ in range(80):
        loss = sum(task.loss(task(cloud), cloud).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        course.append(loss.item())
    assert course[-1] < course[0] / 3
    with torch.no_grad():
        figures = task.summarize(task.tabulate(task.eval()(cloud), cloud))
    name, well = FIGURE[case.split()[0]]
    assert well(figures[name])


@every
def test_rows_concatenate(case: str) -> None:
    """The rows of a batch are those of its events one after the other, truth or not."""
    task = CASES[case]().eval()
    for cloud in (mixed(case), mixed(case).without_truth()):
        with torch.no_grad():
            whole = task.tabulate(task(cloud), cloud)
            parts = concatenate([task.tabulate(task(event), event) for event in cloud.split()])
        assert whole.keys() == parts.keys() and len({len(column) for column in whole.values()}) == 1
        for name, column in whole.items():
            assert isinstance(column, np.ndarray) and column.dtype == parts[name].dtype
            if column.dtype.kind == "f":
                np.testing.assert_allclose(column, parts[name], atol=1e-5, err_msg=name)
            else:
                np.testing.assert_array_equal(column, parts[name], err_msg=name)
        assert all(isinstance(figure, float) for figure in task.summarize(whole).values())


@every
@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("events", POOR["tracking"])
def test_poor_events_have_rows_and_figures(case: str, events: str) -> None:
    task, cloud = CASES[case]().eval(), poor(case, events)
    with torch.no_grad():
        rows = task.tabulate(task(cloud), cloud)
    assert all(len(column) == rows_of(case, cloud) for column in rows.values())
    task.summarize(rows)


@every
def test_truth_changes_no_output(case: str) -> None:
    task = CASES[case]().eval()
    with torch.no_grad():
        seen, blind = (task.tabulate(task(cloud), cloud) for cloud in (mixed(case), mixed(case).without_truth()))
    for name, column in blind.items():
        np.testing.assert_array_equal(column, seen[name])
    assert set(seen) > set(blind)


@every
def test_the_order_of_hits_moves_no_figure(case: str) -> None:
    """Shuffled rows and new hit_ids: the same score."""
    task, cloud = CASES[case]().eval(), events_of(case, 6)
    moved = permute(cloud, shuffled(cloud))
    if "hit_id" in moved.point:
        moved = replace(moved, point={**moved.point, "hit_id": moved.point["hit_id"] + 1000})
    with torch.no_grad():
        before, after = (task.summarize(task.tabulate(task(c), c)) for c in (cloud, moved))
    assert after == pytest.approx(before, abs=0.02)


@every
def test_half_precision_goes_all_the_way(case: str) -> None:
    """What mixed precision gives out is tabulated too."""
    task, cloud = CASES[case]().eval(), events_of(case, 2)
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        output = task(cloud)
        rows = task.tabulate(output, cloud)
        terms = task.loss(output, cloud)
    assert all(bool(torch.isfinite(term)) for term in terms.values()) and len(rows["event_id"]) == rows_of(case, cloud)
