"""The store gives back what was put in, bit by bit."""

from __future__ import annotations

import json
import pickle
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from store_events import COLUMNS, assert_same, make, write

from pcloud.data import store as store_module
from pcloud.data.event import Block, Event
from pcloud.data.schema import DTYPES, SCOPES, Column, Moments
from pcloud.data.store import Store, StoreWriter


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sizes=st.lists(st.tuples(st.integers(0, 40), st.integers(0, 5)), max_size=12), shard_bytes=st.integers(1, 3000))
def test_any_events_come_back_bit_by_bit(tmp_path: Path, sizes: list[tuple[int, int]], shard_bytes: int) -> None:
    shutil.rmtree(tmp_path / "s", ignore_errors=True)
    events = [make(100 - number, *size) for number, size in enumerate(sizes)]
    store = write(tmp_path / "s", events, shard_bytes=shard_bytes)
    assert len(store) == len(events) and store.sizes.tolist() == [size[0] for size in sizes]
    assert store.event_ids.tolist() == [event.event_id for event in events]
    for number, event in reversed(list(enumerate(events))):
        assert_same(store.read(number), event)
    store.verify()


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_type_of_column_comes_back(tmp_path: Path, dtype: str) -> None:
    values = np.random.default_rng(0).integers(0, 2, 11).astype(dtype)
    with StoreWriter(tmp_path / "s", [Column("point", "a", dtype), Column("event", "b", dtype)]) as writer:
        writer.add(Event(1, point={"a": values[:5]}, event={"b": values[:1]}))
        writer.add(Event(2, point={"a": values[5:]}, event={"b": values[1:2]}))
    came = Store.open(tmp_path / "s").read(1)
    assert came.point["a"].dtype == np.dtype(dtype) and came.point["a"].tolist() == values[5:].tolist()
    assert came.event["b"].tolist() == values[1:2].tolist()


def test_what_leaves_the_store_is_owned_and_writable(tmp_path: Path) -> None:
    store = write(tmp_path / "s", [make(1)])
    first = store.read(0)
    for scope in SCOPES:
        for column in getattr(first, scope).values():
            assert column.flags.owndata and column.flags.writeable
            column[:] = 0
    assert_same(store.read(0), make(1))


def test_truth_stays_on_disk_when_not_asked_for(tmp_path: Path) -> None:
    event = write(tmp_path / "s", [make(1)]).read(0, truth=False)
    assert not event.point_truth and not event.event_truth and not event.particle
    assert event.point["x"].tobytes() == make(1).point["x"].tobytes()


def test_negative_numbers_count_from_the_end_and_others_raise(tmp_path: Path) -> None:
    store = write(tmp_path / "s", [make(1), make(2)])
    assert store.read(-1).event_id == 2 and store.read(np.int64(0)).event_id == 1
    for wrong in (2, -3):
        with pytest.raises(IndexError, match=f"event number {wrong} came, the store has 2"):
            store.read(wrong)


def test_mean_and_width_are_those_of_all_values(tmp_path: Path) -> None:
    events = [make(number, points) for number, points in enumerate([5, 0, 17, 1])]
    events[2].point["x"][3] = np.nan
    schema = write(tmp_path / "s", events).schema
    x = np.concatenate([event.point["x"] for event in events]).astype(float)
    mean, width = schema.moments(["x", "layer"])
    layer = np.concatenate([event.point["layer"] for event in events])
    np.testing.assert_allclose(mean, [np.nanmean(x), layer.mean()], rtol=1e-12)
    np.testing.assert_allclose(width, [np.nanstd(x), layer.std()], rtol=1e-12)
    assert schema.column("point", "x").unit == "mm"
    with pytest.raises(ValueError, match="'hit_id' has no mean: it holds ids"):
        schema.moments(["hit_id"])
    with pytest.raises(ValueError, match="no point column 'y'; there are: hit_id, x, layer"):
        schema.moments(["y"])


def test_moments_of_far_off_values_keep_their_digits() -> None:
    moments = Moments()
    for block in np.split(1e9 + np.arange(1000.0), 10):
        moments.add(block)
    assert moments.mean == pytest.approx(1e9 + 499.5, rel=1e-15)
    assert moments.width == pytest.approx(np.arange(1000.0).std(), rel=1e-9)


def test_equal_events_make_equal_bytes(tmp_path: Path) -> None:
    events = [make(1), make(2)]
    assert write(tmp_path / "a", events).checksum == write(tmp_path / "b", events).checksum
    assert write(tmp_path / "c", events[:1]).checksum != write(tmp_path / "d", events).checksum


def test_the_manifest_keeps_what_was_said(tmp_path: Path) -> None:
    store = write(tmp_path / "s", [make(1)], source={"name": "here"}, geometry="abc", phase=2)
    assert (store.source, store.geometry, store.phase) == ({"name": "here"}, "abc", 2)
    about = json.loads((tmp_path / "s" / "manifest.json").read_text())
    assert (about["events"], about["points"], about["particles"], about["version"]) == (1, 4, 2, 1)


def test_other_tools_read_a_shard_as_it_is(tmp_path: Path) -> None:
    write(tmp_path / "s", [make(1), make(2)])
    table = pa.ipc.open_file(str(tmp_path / "s" / "shard-00000.arrow")).read_all()
    assert table.column("point").to_pylist()[1][0]["x"] == make(2).point["x"][0]
    field = table.schema.field("point").type.value_type.field("x")
    assert field.metadata == {b"unit": b"mm", b"description": b"position"}


def test_an_opened_store_travels_to_another_process(tmp_path: Path) -> None:
    store = write(tmp_path / "s", [make(1)])
    store.read(0)
    twin = pickle.loads(pickle.dumps(store))
    assert_same(twin.read(0), make(1))
    kept = pickle.dumps(store)
    write(tmp_path / "s", [make(3)], overwrite=True)
    with pytest.raises(ValueError, match="replaced while it was in use"):
        pickle.loads(kept)


def test_more_shards_than_files_may_be_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "_OPEN_SHARDS", 2)
    store = write(tmp_path / "s", [make(number) for number in range(6)], shard_bytes=1)
    for number in (0, 5, 1, 4, 0, 3):
        assert_same(store.read(number), make(number))
    assert len(store._open) == 2


# ---------------------------------------------------------------- writing


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda e: e.point.pop("x"), "event 2: point columns differ from those of the store in: x"),
        (lambda e: e.particle.update(odd=e.particle["q"]), "particle columns differ from those of the store in: odd"),
        (
            lambda e: e.point.update(x=e.point["x"].astype(float)),
            r"point\['x'\] is float64, the store declares float32",
        ),
        (lambda e: setattr(e, "event_id", 1), "event 1 comes twice"),
    ],
)
def test_an_event_that_does_not_fit_leaves_nothing(tmp_path: Path, change: object, line: str) -> None:
    odd = make(2)
    change(odd)
    with pytest.raises(ValueError, match=line):
        write(tmp_path / "s", [make(1), odd], shard_bytes=1)
    assert list(tmp_path.iterdir()) == []


def test_a_store_is_not_overwritten_unless_asked_and_other_folders_never(tmp_path: Path) -> None:
    write(tmp_path / "s", [make(1)])
    with pytest.raises(ValueError, match="exists already; choose another name, or ask to overwrite"):
        write(tmp_path / "s", [make(2)])
    assert Store.open(tmp_path / "s").event_ids.tolist() == [1]
    assert write(tmp_path / "s", [make(2)], overwrite=True).event_ids.tolist() == [2]
    (tmp_path / "mine").mkdir()
    with pytest.raises(ValueError, match="it is no store"):
        write(tmp_path / "mine", [make(2)], overwrite=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mine", "s"]


def test_a_failed_overwrite_keeps_the_old_store(tmp_path: Path) -> None:
    write(tmp_path / "s", [make(1)])
    with pytest.raises(ValueError, match="comes twice"):
        write(tmp_path / "s", [make(2), make(2)], overwrite=True)
    assert_same(Store.open(tmp_path / "s").read(0), make(1))
    assert [p.name for p in tmp_path.iterdir()] == ["s"]


def test_an_overwrite_that_fails_at_the_last_step_puts_the_old_store_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "s", [make(1)])
    rename = Path.rename

    def refuse(self: Path, target: Path) -> Path:
        if self.name.startswith("s.partial-") and not self.name.endswith(".old"):
            raise OSError(5, "Input/output error")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(OSError, match="Input/output error: the store was not written"):
        write(tmp_path / "s", [make(2)], overwrite=True)
    assert_same(Store.open(tmp_path / "s").read(0), make(1))
    assert [p.name for p in tmp_path.iterdir()] == ["s"]


@pytest.mark.parametrize("shard_bytes", [1 << 20, 1 << 30])
def test_a_full_disk_gives_an_os_error_and_leaves_nothing(tmp_path: Path, shard_bytes: int) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, before[1]))
    try:
        with pytest.raises(OSError, match="the store was not written and nothing of it is left: .*/s'") as caught:
            write(tmp_path / "s", [make(1, 200_000)], shard_bytes=shard_bytes)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "\n" not in str(caught.value) and list(tmp_path.iterdir()) == []


def test_ctrl_c_leaves_nothing(tmp_path: Path) -> None:
    script = (
        "import sys, time\nsys.path[:0] = sys.argv[2:]\nfrom test_store import *\n"
        "with StoreWriter(sys.argv[1], COLUMNS, shard_bytes=1) as writer:\n"
        "    writer.add(make(1)); print('on', flush=True); time.sleep(60)\n"
    )
    here = [str(Path(__file__).parent), str(Path(__file__).parents[2])]
    process = subprocess.Popen([sys.executable, "-c", script, str(tmp_path / "s"), *here], stdout=-1, stderr=-1, text=True)
    assert process.stdout is not None and process.stdout.readline() == "on\n"
    assert [p.name.startswith("s.partial-") for p in tmp_path.iterdir()] == [True]
    process.send_signal(signal.SIGINT)
    start = time.monotonic()
    assert "KeyboardInterrupt" in process.communicate(timeout=30)[1] and time.monotonic() - start < 30
    assert list(tmp_path.iterdir()) == []


def blocks(events: list[Event]) -> tuple[np.ndarray, Block]:
    """The ids of these events, and the events laid end to end."""
    columns = {
        scope: {name: np.concatenate([getattr(one, scope)[name] for one in events]) for name in getattr(events[0], scope)}
        for scope in SCOPES
    }
    points, particles = (np.array([getattr(one, rows) for one in events]) for rows in ("points", "particles"))
    return np.array([one.event_id for one in events]), Block(points, particles, **columns)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sizes=st.lists(st.tuples(st.integers(0, 20), st.integers(0, 4)), min_size=1, max_size=8), data=st.data())
def test_many_events_written_and_read_at_once_are_those_of_singles(
    tmp_path: Path, sizes: list[tuple[int, int]], data: st.DataObject
) -> None:
    """A block beside single events, over several shards; any events in any order, some twice, some of the columns."""
    shutil.rmtree(tmp_path / "s", ignore_errors=True)
    events = [make(number, *size) for number, size in enumerate(sizes)]
    with StoreWriter(tmp_path / "s", COLUMNS, shard_bytes=300) as writer:
        writer.add(make(77, 3))
        writer.add_many(*blocks(events))
        writer.add(make(78, 0))
    store = Store.open(tmp_path / "s")
    store.verify()
    events = [make(77, 3), *events, make(78, 0)]
    places = data.draw(st.lists(st.integers(-len(events), len(events) - 1), max_size=9))
    came, truth = store.read_many(places), store.read_many(places, truth=False, point={"x"})
    assert len(came.points) == len(places) and list(truth.point) == ["x"] and not truth.point_truth and not truth.particle
    if places:
        expected = blocks([events[place] for place in places])[1]
        for scope in SCOPES:
            for name, column in getattr(expected, scope).items():
                other = getattr(came, scope)[name]
                assert other.dtype == column.dtype and other.tobytes() == column.tobytes() and other.flags.writeable
        assert came.points.tolist() == expected.points.tolist() and came.particles.tolist() == expected.particles.tolist()
        assert truth.point["x"].tobytes() == expected.point["x"].tobytes()


def test_blocks_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    ids, block = blocks([make(1), make(2)])
    with StoreWriter(tmp_path / "s", COLUMNS) as writer:
        writer.add(make(2))
        with pytest.raises(ValueError, match="event 2 comes twice"):
            writer.add_many(ids, block)
        with pytest.raises(ValueError, match="event 1 comes twice"):
            writer.add_many(np.array([1, 1]), block)
        with pytest.raises(ValueError, match="1 event ids came with a block of 2 events"):
            writer.add_many(np.array([1]), block)
        block.point["x"] = block.point["x"].astype(np.float64)
        with pytest.raises(ValueError, match=r"block of 2 events: point\['x'\] is float64, the store declares float32"):
            writer.add_many(np.array([3, 4]), block)
    store = Store.open(tmp_path / "s")
    assert store.event_ids.tolist() == [2]
    with pytest.raises(ValueError, match=r"block of 2 events: point\['x'\] has shape \[3\], expected \[2\]"):
        Block(np.array([1, 1]), np.zeros(2, np.int64), point={"x": np.zeros(3)})
    with pytest.raises(IndexError, match="event numbers 0 to 1 came, the store has 1"):
        store.read_many([0, 1])
