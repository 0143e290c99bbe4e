"""PointCloud: a tiny batch worked on paper, laws of collate, split and select, and one clear line for each wrong input."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from clouds import BIG, assert_same, law, ragged
from hypothesis import given
from hypothesis import strategies as st

from pcloud.cloud import PointCloud, collate

SIZES = st.lists(st.integers(0, 4), min_size=1, max_size=5)


def tiny() -> PointCloud:
    """Events of 2, 0 and 1 points; particles 1, 2, 0."""
    return PointCloud(
        pos=torch.tensor([[1.0], [2.0], [3.0]]),
        feat=torch.zeros(3, 0),
        offsets=torch.tensor([0, 2, 2, 3]),
        point={"id": torch.tensor([10, 11, 12])},
        event={"name": torch.tensor([7, 8, 9])},
        point_truth={"particle": torch.tensor([0, -1, -1])},
        particle={"id": torch.tensor([BIG, BIG + 1, BIG + 2])},
        particle_offsets=torch.tensor([0, 1, 3, 3]),
    )


def test_counts_of_the_tiny_batch() -> None:
    cloud = tiny()
    assert (cloud.events, cloud.points, cloud.max_points) == (3, 3, 2)
    assert cloud.event_of_point.tolist() == [0, 0, 2]
    assert cloud.particle_of_point.tolist() == [0, -1, -1]


def test_particles_count_inside_their_event() -> None:
    both = collate([tiny().select([0]), tiny().select([0])])
    assert both.point_truth["particle"].tolist() == [0, -1, 0, -1]
    assert both.particle_of_point.tolist() == [0, -1, 1, -1]
    assert both.particle["id"].tolist() == [BIG, BIG]


def test_select_in_the_order_given() -> None:
    chosen = tiny().select([-1, 1, 0, 0])
    assert chosen.pos.squeeze(1).tolist() == [3, 1, 2, 1, 2]
    assert chosen.offsets.tolist() == [0, 1, 1, 3, 5]
    assert chosen.event["name"].tolist() == [9, 8, 7, 7]
    assert chosen.particle["id"].tolist() == [BIG + 1, BIG + 2, BIG, BIG]
    assert chosen.particle_offsets is not None and chosen.particle_offsets.tolist() == [0, 0, 2, 3, 4]


def test_select_of_none() -> None:
    none = tiny().select([])
    assert (none.events, none.points, none.max_points) == (0, 0, 0)
    assert_same(collate([none, tiny()]), tiny())


def test_keep_leaves_events_and_particles() -> None:
    kept = tiny().keep(torch.tensor([False, True, False]))
    assert kept.pos.tolist() == [[2.0]] and kept.offsets.tolist() == [0, 1, 1, 1] and kept.max_points == 1
    assert kept.event["name"].tolist() == [7, 8, 9] and len(kept.particle["id"]) == 3
    assert tiny().keep(torch.zeros(3, dtype=torch.bool)).offsets.tolist() == [0, 0, 0, 0]


def test_without_truth() -> None:
    blind = tiny().without_truth()
    assert not (blind.point_truth or blind.event_truth or blind.particle)
    assert blind.particle_offsets is not None and blind.particle_offsets.tolist() == [0, 0, 0, 0]
    assert list(blind.point) == ["id"] and list(blind.event) == ["name"]


def test_map_and_to_reach_every_tensor() -> None:
    seen = []
    tiny().map(lambda value: seen.append(value.shape) or value)  # type: ignore[func-returns-value]
    assert len(seen) == 8
    assert_same(tiny().to("cpu"), tiny())
    assert tiny().to("meta").point["id"].device.type == "meta"
    assert tiny().to("meta").max_points == 2


@law
@given(sizes=SIZES)
def test_split_and_collate_are_inverse(sizes: list[int]) -> None:
    cloud = ragged(sizes)
    assert_same(collate(cloud.split()), cloud)
    assert [event.points for event in cloud.split()] == sizes


@law
@given(left=SIZES, right=SIZES)
def test_collate_keeps_events_as_they_are(left: list[int], right: list[int]) -> None:
    a, b = ragged(left), ragged(right, seed=1)
    both = collate([a, b])
    assert_same(both.select(range(len(left))), a)
    assert_same(both.select(range(len(left), both.events)), b)


@law
@given(sizes=SIZES, data=st.data())
def test_select_twice_is_select_once(sizes: list[int], data: st.DataObject) -> None:
    cloud = ragged(sizes)
    first = data.draw(st.lists(st.integers(0, len(sizes) - 1), min_size=1, max_size=4))
    second = data.draw(st.lists(st.integers(0, len(first) - 1), max_size=4))
    assert_same(cloud.select(first).select(second), cloud.select([first[i] for i in second]))


@law
@given(sizes=SIZES)
def test_keep_then_split_is_split_then_keep(sizes: list[int]) -> None:
    cloud = ragged(sizes)
    mask = cloud.feat[:, 0] > 0
    kept = [event.keep(event.feat[:, 0] > 0) for event in cloud.split()]
    assert_same(cloud.keep(mask), collate(kept))


def test_ids_stay_exact() -> None:
    cloud = collate([ragged([2, 0]), ragged([1])])
    assert cloud.event["event_id"].dtype == torch.int64
    assert cloud.event["event_id"].tolist() == [BIG, BIG + 1, BIG]


GOOD: dict[str, Any] = dict(pos=torch.zeros(3, 2), feat=torch.zeros(3, 1), offsets=torch.tensor([0, 1, 3]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pos": torch.zeros(3)}, r"pos and feat are tables; came \[3\] and \[3, 1\]"),
        ({"feat": torch.zeros(2, 1)}, "feat: 2 rows came, 3 expected"),
        ({"offsets": torch.tensor([0.0, 3.0])}, "offsets are int64"),
        ({"offsets": torch.tensor([0, 1, 2])}, r"rise from 0 to the number of rows, 3; came \[0, 1, 2\]"),
        ({"offsets": torch.tensor([1, 3])}, "rise from 0"),
        ({"offsets": torch.tensor([0, 2, 1, 3])}, "rise from 0"),
        ({"offsets": torch.tensor([0, 2] * 6 + [3])}, r"came \[0, 2, 0, 2, '...', 0, 2, 3\]"),
        ({"point": {"charge": torch.zeros(2)}}, r"point\['charge'\]: 2 rows came, 3 expected"),
        ({"point_truth": {"weight": torch.zeros(4)}}, r"point_truth\['weight'\]: 4 rows came, 3 expected"),
        ({"event": {"pt": torch.zeros(3)}}, r"event\['pt'\]: 3 rows came, 2 expected"),
        ({"particle": {"q": torch.zeros(1)}}, "particle columns came without particle_offsets"),
        ({"particle": {"q": torch.zeros(1)}, "particle_offsets": torch.tensor([0, 1, 2])}, r"\['q'\]: 1 rows came, 2"),
        ({"particle_offsets": torch.tensor([0, 1])}, "particle_offsets: 2 rows came, 3 expected"),
        ({"particle_offsets": torch.tensor([0, 2, 1])}, "particle_offsets must rise"),
        ({"point_truth": {"particle": torch.tensor([-1, 0, -1])}}, r"\['particle'\] row 1 is 0: its event has no such particle"),
        ({"point_truth": {"particle": torch.tensor([-1, -2, -1])}}, "row 1 is -2"),
    ],
)
def test_wrong_input_is_one_clear_line(change: dict[str, Any], message: str) -> None:
    PointCloud(**GOOD)
    with pytest.raises(ValueError, match=message) as raised:
        PointCloud(**GOOD | change)
    assert "\n" not in str(raised.value)


def test_a_particle_of_another_event_is_refused() -> None:
    with pytest.raises(ValueError, match="row 2 is 1"):
        replace(tiny(), point_truth={"particle": torch.tensor([0, -1, 1])}, max_points=-1)


def test_select_of_what_is_not_there() -> None:
    for number in (3, -4):
        with pytest.raises(IndexError, match=f"event {number} was asked for; the cloud has 3"):
            tiny().select([number])
    with pytest.raises(ValueError, match="takes event numbers; torch.bool came"):
        tiny().select(torch.tensor([True, False, True]))
    with pytest.raises(ValueError, match="takes event numbers"):
        tiny().select(torch.tensor([1.0]))


def test_keep_takes_a_mask_of_points() -> None:
    for wrong in (torch.ones(3), torch.ones(2, dtype=torch.bool)):
        with pytest.raises(ValueError, match=r"keep takes a mask: bool \[3\]"):
            tiny().keep(wrong)


def test_collate_of_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match="no cloud"):
        collate([])
    with pytest.raises(ValueError, match="cloud 1: point columns differ from those of cloud 0 in: id"):
        collate([tiny(), replace(tiny(), point={})])
    float_id = replace(tiny(), particle={"id": torch.zeros(3).double()})
    with pytest.raises(ValueError, match=r"cloud 1: particle\['id'\] is torch.float64.*cloud 0 is torch.int64"):
        collate([tiny(), float_id])
    with pytest.raises(ValueError, match=r"cloud 1: pos is torch.float32, \[2\] a row; that of cloud 0 is torch.float32, \[1\]"):
        collate([tiny(), replace(tiny(), pos=torch.zeros(3, 2))])


def test_a_cloud_is_frozen_and_compares_by_identity() -> None:
    cloud = tiny()
    assert cloud == cloud and cloud != tiny() and len({cloud, cloud}) == 1
    with pytest.raises(AttributeError):
        cloud.max_points = 5  # type: ignore[misc]
