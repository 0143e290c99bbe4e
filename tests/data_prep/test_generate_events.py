"""Whole events of Pythia as clouds of their jets: in their window, of the right mass, the same from the same seed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pythia8mc", reason="pythia8mc is not installed (extra jets)")
pytest.importorskip("fastjet", reason="fastjet is not installed (extra jets)")

from data_prep.generate import clusters, top_pairs, whole  # noqa: E402
from data_prep.generate.parts import Parts  # noqa: E402
from data_prep.generate.recipe import Recipe  # noqa: E402
from data_prep.generate.response import Objects  # noqa: E402
from data_prep.jets import from_pt_eta_phi  # noqa: E402
from pcloud.data.store import Store  # noqa: E402


def test_all_jets_of_an_event_within_the_window() -> None:
    """Two near objects are one jet; a soft one and a forward one are none; an event may be empty."""
    pt, eta, phi = (np.array(one) for one in ([100, 50, 20, 80, 60], [0.1, 0.2, 1.5, 3.0, -1.0], [3.1, -3.1, 1.0, 0.0, 0.5]))
    made = Objects(from_pt_eta_phi(pt, eta, phi), np.array([0, 4, 4, 5]), {})
    p4, event = clusters.jets(made, radius=0.4, low=30, high=5000, eta=2.5)
    assert event.tolist() == [0, 2]
    np.testing.assert_allclose(p4, [made.p4[:2].sum(0), made.p4[4]])


def test_events_of_either_class() -> None:
    recipe = Recipe.of("top-pairs", seed=2026)
    jets, again = recipe.chunk(0, 40), recipe.chunk(0, 40)
    assert np.array_equal(jets.p4, again.p4) and jets.event_id.tolist() == list(range(40))
    assert not np.array_equal(jets.p4[:50], recipe.chunk(1, 40).p4[:50])
    assert jets.label is not None and np.bincount(jets.label).tolist() == [20, 20] and jets.axis is not None
    pt = np.hypot(jets.p4[:, 0], jets.p4[:, 1])
    assert pt.min() > 30 and np.abs(np.arcsinh(jets.p4[:, 2] / pt)).max() < 2.5
    assert np.diff(jets.offsets).min() >= whole.LEAST_JETS
    total = np.add.reduceat(jets.p4, jets.offsets[:-1])
    np.testing.assert_allclose(jets.event["jet_mass"], np.sqrt(total[:, 3] ** 2 - (total[:, :3] ** 2).sum(1)))
    np.testing.assert_allclose(jets.axis[:, 0], np.add.reduceat(pt, jets.offsets[:-1]))
    true = jets.truth["pair_mass"]
    assert 1300 < np.median(true[jets.label == 1]) < 1530 and np.median(true[jets.label == 0]) < 1200
    assert 1200 < np.median(jets.event["jet_mass"][jets.label == 1]) < 1700


def test_a_store_and_the_chunks_it_is_made_of(tmp_path: Path) -> None:
    store = Store.open(top_pairs(tmp_path / "s", events=12, seed=4, process=("ttbar",), pt=(25, 5000))[0])
    assert store.source["classes"] == ["ttbar"] and store.source["recipe"]["pt"] == [25, 5000] and len(store) == 12
    event = store.read(3)
    assert event.point["is_jet"].all() and event.event_truth["pair_mass"][0] > 500
    np.testing.assert_allclose(event.point["deta"], np.arcsinh(event.point["pz"] / np.exp(event.point["log_pt"])), rtol=1e-3)
    made = Recipe.of("top-pairs", seed=4, process=("ttbar",), pt=(25, 5000)).chunk(0, 12)
    parts = Parts(tmp_path / "t", {"seed": 4})
    parts.keep(0, made)
    back = parts.read(0)
    assert back.axis is not None and made.axis is not None and np.array_equal(back.axis, made.axis)
    for name, columns in (("event", made.event), ("truth", made.truth), ("point", made.point)):
        kept = getattr(back, name)
        assert kept.keys() == columns.keys() and all(np.array_equal(kept[key], one) for key, one in columns.items())


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"process": ("qcd",)}, "process: 'qcd' came, each once of ttbar, zprime expected"),
        ({"generator": "toy"}, "generator: 'toy' came, expected one of pythia8"),
    ],
)
def test_what_is_not_of_this_kind(given: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Recipe.of("top-pairs", seed=1, **given)


def test_a_window_that_holds_no_event_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whole, "PATIENCE", 100)
    with pytest.raises(ValueError, match="process ttbar: none of 100 events has 4 jets within pt 4000:5000, eta 2.5, radius 0.4"):
        Recipe.of("top-pairs", seed=1, process=("ttbar",), pt=(4000, 5000)).chunk(0, 2)
