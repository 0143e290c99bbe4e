"""One event in memory: lengths are checked, the chosen columns become a cloud, truth stays out when asked."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pcloud.cloud import collate
from pcloud.data.event import Event, Inputs, to_cloud


def event(points: int = 3) -> Event:
    return Event(
        7,
        point={"hit_id": np.arange(points) + 10, "x": np.arange(points, dtype=np.float32), "layer": np.full(points, 4)},
        event={"event_id": np.array([7])},
        point_truth={"particle": np.array([1, -1, 0])[:points]},
        particle={"particle_id": np.array([2**60 + 1, 2**60 + 3])},
    )


def test_the_cloud_holds_the_chosen_columns_in_order() -> None:
    cloud = to_cloud(event(), Inputs(pos=("x", "layer"), feat=("layer",)))
    assert cloud.pos.dtype == cloud.feat.dtype == torch.float32
    assert cloud.pos.tolist() == [[0, 4], [1, 4], [2, 4]]
    assert cloud.feat.tolist() == [[4], [4], [4]]
    assert cloud.offsets.tolist() == [0, 3] and cloud.max_points == 3
    assert cloud.point["hit_id"].tolist() == [10, 11, 12] and cloud.point["hit_id"].dtype == torch.int64
    assert cloud.event["event_id"].tolist() == [7]
    assert cloud.particle["particle_id"].tolist() == [2**60 + 1, 2**60 + 3]
    assert cloud.particle_offsets is not None and cloud.particle_offsets.tolist() == [0, 2]
    assert cloud.particle_of_point.tolist() == [1, -1, 0]


def test_without_truth_nothing_of_it_is_there() -> None:
    cloud = to_cloud(event(), Inputs(("x",)), truth=False)
    assert not cloud.point_truth and not cloud.particle and not cloud.event_truth
    assert cloud.feat.shape == (3, 0)
    assert torch.equal(cloud.pos, to_cloud(event(), Inputs(("x",))).pos)


def test_an_empty_event_becomes_an_empty_cloud_and_collates() -> None:
    empty = to_cloud(event(0), Inputs(("x",), ("layer",)))
    batch = collate([empty, to_cloud(event(), Inputs(("x",), ("layer",)))])
    assert batch.offsets.tolist() == [0, 0, 3] and batch.particle_of_point.tolist() == [3, -1, 2]


def test_a_missing_column_is_named_beside_those_there() -> None:
    with pytest.raises(ValueError, match=r"event 7: point columns missing: charge; there are: hit_id, x, layer"):
        to_cloud(event(), Inputs(("x",), ("charge",)))


@pytest.mark.parametrize(
    ("scope", "column", "line"),
    [
        ("point", np.zeros(4), r"event 7: point\['odd'\] has shape \[4\], expected \[3\]"),
        ("point_truth", np.zeros(2), r"point_truth\['odd'\] has shape \[2\], expected \[3\]"),
        ("event", np.zeros(2), r"event\['odd'\] has shape \[2\], expected \[1\]"),
        ("particle", np.zeros((2, 2)), r"particle\['odd'\] has shape \[2, 2\], expected \[2\]"),
    ],
)
def test_columns_of_another_length_are_refused(scope: str, column: np.ndarray, line: str) -> None:
    whole = event()
    parts = {name: dict(getattr(whole, name)) for name in ("point", "event", "point_truth", "particle")}
    parts[scope]["odd"] = column
    with pytest.raises(ValueError, match=line):
        Event(7, **parts)


def test_a_read_only_column_becomes_a_tensor_that_may_be_written() -> None:
    frozen = np.arange(3)
    frozen.flags.writeable = False
    cloud = to_cloud(Event(1, point={"x": frozen}), Inputs(("x",)))
    cloud.point["x"][0] = 5
    assert frozen[0] == 0


@pytest.mark.parametrize(("pos", "feat"), [((), ()), ("xyz", ()), (("x",), "r")])
def test_inputs_are_lists_of_names(pos: tuple[str, ...], feat: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="lists of column names"):
        Inputs(pos, feat)
