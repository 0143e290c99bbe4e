"""Jets as events of a store: order, labels, weights, particle flags, and features relative to the whole jet."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from data_prep.jets import Jets, events, pid_columns, write_store

P4 = np.array([[1.0, 0, 0, 1], [0, 3.0, 0, 3], [2.0, 0, 0, 2], [5.0, 0, 0, 5.1]])


def some(**given: object) -> Jets:
    return Jets(P4, np.array([0, 3, 3, 4]), np.array([7, 8, 9]), np.array([0, 1, 1]), **given)  # type: ignore[arg-type]


def test_hardest_first_and_relative_to_the_whole_jet() -> None:
    whole, empty, single = events(some(), most=2)
    assert whole.point["energy"].tolist() == [3, 2] and empty.points == 0 and single.points == 1
    assert np.isclose(whole.event["jet_pt"], np.hypot(3, 3)) and np.isclose(whole.event["jet_mass"], np.sqrt(36 - 18))
    assert np.allclose(whole.point["log_pt_rel"], np.log([3 / np.hypot(3, 3), 2 / np.hypot(3, 3)]))
    assert whole.event_truth["label"].dtype == np.int64 and whole.event_truth["weight"].tolist() == [1]


def test_every_particle_has_one_flag() -> None:
    flags = pid_columns(np.array([211, -321, 130, 22, 11, -13, 2112]), np.array([1, -1, 0, 0, -1, 1, 0]))
    assert (sum(np.int64(flags[name]) for name in flags if name != "charge") == 1).all()
    assert flags["is_neutral_hadron"].tolist() == [False, False, True, False, False, False, True]


def test_a_store_of_jets(tmp_path: Path) -> None:
    rows = {"charge": np.array([1, 0, -1, 0]), "d0": np.array([0.0, 1, 2, 3]), "dz": np.zeros(4)}
    blocks = [some(weight=np.array([1.0, -0.5, 2]), point=rows)]
    store = write_store(tmp_path / "s", blocks, source={"name": "toy", "classes": ["qcd", "top"]})
    assert len(store) == 3 and store.event_ids.tolist() == [7, 8, 9] and store.sizes.tolist() == [3, 0, 1]
    event = store.read(0)
    assert event.point["charge"].tolist() == [0, -1, 1] and np.allclose(event.point["tanh_d0"], np.tanh([1.0, 2, 0]))
    assert store.read(1).event_truth["weight"].tolist() == [-0.5]
    assert store.schema.column("point", "dphi").unit == "rad"


def test_no_jet_is_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no jet passed"):
        write_store(tmp_path / "s", [], source={"name": "toy", "classes": []})
    assert not (tmp_path / "s").exists()
