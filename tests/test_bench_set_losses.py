"""The benchmark of set losses: every way answers, ours are true to what they stand for, and its figures have what a bar asks."""

from __future__ import annotations

import pytest

from benchmarks import set_losses
from pcloud.losses.sets import SET_LOSSES


@pytest.fixture(scope="module")
def truth() -> dict[str, dict[str, float]]:
    return set_losses.truth(3, 8)


def test_every_loss_is_there_and_true(truth: dict[str, dict[str, float]]) -> None:
    assert set(SET_LOSSES) <= set(truth)
    assert all(truth[name]["error"] < 1e-5 for name in SET_LOSSES if name not in ("sliced", "sinkhorn"))
    assert truth["sinkhorn"]["error"] < 1e-3 and truth["emd"]["bias"] == pytest.approx(0, abs=1e-6)


def test_peers_agree_where_installed(truth: dict[str, dict[str, float]]) -> None:
    if "geomloss sinkhorn" not in truth or "ot.emd2" not in truth:
        pytest.skip("POT or geomloss is not installed")
    assert truth["geomloss sinkhorn"]["apart"] < 1e-6 and truth["ot.sliced"]["apart"] < 1e-6
    assert truth["ot.emd2"]["error"] < 1e-9


def test_figures_say_settings_value_and_bias(truth: dict[str, dict[str, float]]) -> None:
    times = {name: [2.0, 2.0] if name in SET_LOSSES else [6.0, 6.0] for name in set_losses.ways()}
    memory = {name: {"bytes": 1e6, "pairs": 3} for name in times}
    figures = set_losses.figures_of({"truth": truth, "times": times, "memory": memory}, 2)
    assert "epsilon" in figures["sinkhorn"].cuts and "off exact transport" in figures["sinkhorn"].cuts
    assert figures["sliced: peak memory"].value == 1
    if "ot.emd2" in times:
        assert figures["sliced: speed / ot.emd2's"].value == 3


def test_only_the_full_problem_is_recorded() -> None:
    with pytest.raises(SystemExit):
        set_losses.options_of(["--record", "--pairs", "5"])
