"""Doors: every guest gives back the cloud to the bit, and the guests' own ways of batching and slicing change no value."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest
import torch
from clouds import BIG, assert_same, law, ragged
from hypothesis import given
from hypothesis import strategies as st

from pcloud import doors
from pcloud.cloud import PointCloud, collate

SIZES = st.lists(st.integers(0, 4), min_size=1, max_size=5)
EMPTY = [[0, 3, 2], [3, 0, 2], [3, 2, 0], [0], [0, 0, 0], [1], [4, 1]]


def plain(sizes: list[int]) -> PointCloud:
    """No column at all, no feature, no particle."""
    return PointCloud(torch.randn(sum(sizes), 2), torch.zeros(sum(sizes), 0), torch.tensor([0, *sizes]).cumsum(0))


@pytest.mark.parametrize("sizes", EMPTY)
@pytest.mark.parametrize("make", [ragged, plain])
@pytest.mark.parametrize("guest", ["pyg", "awkward", "pandas"])
def test_there_and_back(guest: str, make: Any, sizes: list[int]) -> None:
    pytest.importorskip({"pyg": "torch_geometric", "awkward": "awkward", "pandas": "pandas"}[guest])
    cloud = make(sizes)
    assert_same(getattr(doors, f"from_{guest}")(getattr(doors, f"to_{guest}")(cloud)), cloud)


@law
@given(sizes=SIZES, seed=st.integers(0, 9))
def test_pyg_batch_and_back(sizes: list[int], seed: int) -> None:
    """Columns named hit_index and batch go through PyG's own batching unshifted."""
    data = pytest.importorskip("torch_geometric.data")
    cloud = ragged(sizes, seed=seed)
    batch = data.Batch.from_data_list(doors.to_pyg(cloud))
    assert batch.num_nodes == cloud.points and batch.batch.tolist() == cloud.event_of_point.tolist()
    for scope in ("point", "event", "point_truth", "event_truth", "particle"):
        for name, column in getattr(cloud, scope).items():
            assert torch.equal(batch[doors._pyg_name(scope, name)], column), name
    assert_same(doors.from_pyg(batch), cloud)


def test_pyg_would_have_shifted() -> None:
    """The names that doors hides are those that PyG moves: else hiding them would be idle."""
    data = pytest.importorskip("torch_geometric.data")
    for name in ("hit_index", "batch_number"):
        seen = data.Batch.from_data_list([data.Data(pos=torch.zeros(2, 3), **{name: torch.tensor([0, 1])})] * 2)
        assert seen[name].tolist() != [0, 1, 0, 1], name
    assert doors._pyg_name("point", "hit_index") == "point__hit_i~ndex"


def test_pyg_loader() -> None:
    loader = pytest.importorskip("torch_geometric.loader")
    cloud = ragged([2, 0, 3, 1])
    batches = [doors.from_pyg(batch) for batch in loader.DataLoader(doors.to_pyg(cloud), batch_size=3)]
    assert [batch.events for batch in batches] == [3, 1]
    assert_same(collate(batches), cloud)


def test_a_data_made_elsewhere() -> None:
    data = pytest.importorskip("torch_geometric.data")
    edge_index = torch.tensor([[0, 1], [1, 0]])
    cloud = doors.from_pyg(data.Data(pos=torch.ones(2, 3), edge_index=edge_index, y=torch.tensor([1])))
    assert cloud.feat.shape == (2, 0) and not cloud.point and cloud.events == 1
    with pytest.raises(ValueError, match="Data 1 has no pos"):
        doors.from_pyg([data.Data(pos=torch.ones(2, 3)), data.Data(x=torch.ones(2, 3))])


def test_a_tilde_is_refused() -> None:
    pytest.importorskip("torch_geometric")
    with pytest.raises(ValueError, match=r"point\['a~b'\]: a '~'"):
        doors.to_pyg(replace(plain([1]), point={"a~b": torch.zeros(1)}))


def test_awkward_reads_as_events() -> None:
    ak = pytest.importorskip("awkward")
    cloud = ragged([2, 0, 1])
    events = doors.to_awkward(cloud)
    assert len(events) == 3 and ak.num(events.point.hit_id).tolist() == [2, 0, 1]
    assert events.point.pos[2].tolist() == cloud.pos[2:].tolist()
    assert events.event.event_id.tolist() == [BIG, BIG + 1, BIG + 2]
    assert ak.num(events.particle.particle_id).tolist() == [3, 3, 3]


def test_awkward_sliced_and_masked() -> None:
    pytest.importorskip("awkward")
    cloud = ragged([2, 0, 3, 1])
    events = doors.to_awkward(cloud)
    assert_same(doors.from_awkward(events[1:3]), cloud.select([1, 2]))
    assert_same(doors.from_awkward(events[[3, 0]]), cloud.select([3, 0]))
    assert_same(doors.from_awkward(events[events.event.event_id > BIG + 1]), cloud.select([2, 3]))


def test_awkward_of_something_else() -> None:
    ak = pytest.importorskip("awkward")
    with pytest.raises(ValueError, match=r"field point.pos was expected; came fields \['pt'\]"):
        doors.from_awkward(ak.Array([{"pt": 1.0}]))


def test_awkward_from_lists() -> None:
    ak = pytest.importorskip("awkward")
    hits = [[{"pos": [1.0, 2.0], "id": 1}], [], [{"pos": [3.0, 4.0], "id": 2}, {"pos": [5.0, 6.0], "id": 3}]]
    cloud = doors.from_awkward(ak.Array([{"point": event} for event in hits]))
    assert cloud.offsets.tolist() == [0, 1, 1, 3] and cloud.pos.tolist() == [[1, 2], [3, 4], [5, 6]]
    assert cloud.point["id"].tolist() == [1, 2, 3] and cloud.feat.shape == (3, 0)


def test_guests_own_their_numbers() -> None:
    """Writing into what came out of a guest does not write into the guest."""
    events = doors.to_pandas(ragged([2]))
    cloud = doors.from_pandas(events)
    cloud.point["hit_id"][0] = 99
    assert events["point"]["hit_id"].tolist() == [1, 2]


def test_pandas_reads_as_tables() -> None:
    frames = doors.to_pandas(ragged([2, 0, 1], dim=2, channels=1))
    assert list(frames["point"]) == ["pos.0", "pos.1", "feat.0", "hit_id", "hit_index", "shape.0", "shape.1"]
    assert frames["point"].index.tolist() == [(0, 0), (0, 1), (2, 0)]
    assert frames["event"].index.tolist() == [0, 1, 2] and frames["event"]["event_id"].dtype == "int64"


def test_pandas_rows_dropped() -> None:
    cloud = ragged([2, 0, 3])
    frames = doors.to_pandas(cloud)
    good = frames["point"]["hit_id"] != 2
    cut = doors.from_pandas(frames | {"point": frames["point"][good], "point_truth": frames["point_truth"][good]})
    assert_same(cut, cloud.keep(cloud.point["hit_id"] != 2))


def test_pandas_some_events() -> None:
    """The frame of events says which there are; its order is the cloud's."""
    cloud = ragged([2, 1, 3])
    late = {name: frame[frame.index.get_level_values("event") > 0] for name, frame in doors.to_pandas(cloud).items()}
    assert_same(doors.from_pandas(late), cloud.select([1, 2]))


def test_pandas_that_do_not_fit() -> None:
    frames = doors.to_pandas(ragged([2, 0, 1]))
    cases: list[tuple[dict[str, pd.DataFrame], str]] = [
        ({"point": frames["point"]}, "frame 'event' is missing; came point"),
        (frames | {"event": frames["event"].iloc[:2], "event_truth": frames["event_truth"].iloc[:2]}, "has rows of event 2"),
        (frames | {"point_truth": frames["point_truth"].iloc[1:]}, "must have the same rows"),
        (frames | {"point": frames["point"][::-1], "point_truth": frames["point_truth"][::-1]}, "events out of order"),
        (frames | {"point": frames["point"][["hit_id"]]}, "needs columns pos.0, pos.1 ...; came hit_id"),
    ]
    for case, message in cases:
        with pytest.raises(ValueError, match=message):
            doors.from_pandas(case)
    for name, column in {"cube": torch.zeros(1, 2, 2), "none": torch.zeros(1, 0), "a.0": torch.zeros(1)}.items():
        with pytest.raises(ValueError, match=f"column '{name}'"):
            doors.to_pandas(replace(plain([1]), point={name: column}))


@pytest.mark.parametrize("to", [doors.to_awkward, doors.to_pandas])
def test_a_column_called_pos(to: Any) -> None:
    with pytest.raises(ValueError, match=r"point\['pos'\] has the name of the cloud's own pos"):
        to(replace(plain([1]), point={"pos": torch.zeros(1)}))


@pytest.mark.parametrize(("guest", "library", "extra"), [("pyg", "torch_geometric", "geometric"), ("awkward", "awkward", "hep")])
def test_a_missing_library_names_its_extra(guest: str, library: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == library]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ImportError, match=rf"{library} is not installed; it comes with: pip install 'pcloud\[{extra}\]'"):
        getattr(doors, f"to_{guest}")(plain([1]))
