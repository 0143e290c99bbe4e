"""Hunts after a cut: a score that knows the signal makes its bump larger, one that knows nothing does not, and none makes one."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import bump
from benchmarks.bump import HIGH, INJECTED, LOW, level, sculpted, search, search_figures, search_text

BACKGROUND, SIGNAL = 12_000, 400


def falling(draw: np.random.Generator) -> np.ndarray:
    """Masses (GeV) of background."""
    reach = 1 - np.exp(-(HIGH - LOW) / 350)
    return LOW - 350 * np.log(1 - reach * draw.random(BACKGROUND))


def test_what_a_cut_does_for_a_bump(monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal at 1450 GeV. Scores rise with the mass; one also with the signal."""
    monkeypatch.setattr(bump, "TOYS", 20)
    draw = np.random.default_rng(7)
    mass, known = np.concatenate([falling(draw), draw.normal(1450, 60, SIGNAL)]), falling(draw)
    signal = np.arange(len(mass)) >= BACKGROUND
    scores = {name: mass * np.exp(pull * signal + draw.normal(size=len(mass))) for name, pull in (("good", 2.0), ("dull", 0.0))}
    shares = {name: level(one, mass, known * np.exp(draw.normal(size=len(known))), known) for name, one in scores.items()}
    found = search(shares, mass, signal, trials=6)
    plain, good, dull = (found[name] for name in ("no cut", "good, 10% kept", "dull, 10% kept"))
    assert abs(plain["none"][0]) < 1.5 and plain["some"][0] > plain["none"][0] + 1.5
    assert good["some"][0] > plain["some"][0] + 2 and good["signal kept"] > 0.5 and abs(good["none"][0]) < 2
    assert good["rise"][0] > plain["rise"][0] > dull["rise"][0]
    assert dull["some"][0] < plain["some"][0] and abs(dull["signal kept"] - 0.1) < 0.06
    assert "best window" in good["hunt some"] and f"{plain['some'][0]:+.2f}" in search_text(found)
    assert search_figures(found)[f"no cut: rise of z by {INJECTED} Z'"].value == plain["rise"][0]


def test_a_score_that_follows_the_mass_raises_the_alarm_until_it_is_flattened() -> None:
    draw = np.random.default_rng(7)
    mass, known = falling(draw), falling(draw)
    score, other = (one * np.exp(0.3 * draw.normal(size=len(one))) for one in (mass, known))
    assert sculpted(score[:2000], mass[:2000]).startswith("ALARM")
    share = level(score, mass, other, known)
    assert sculpted(share[:2000], mass[:2000]).startswith("no alarm")
    for low in (1000, 1400, 1800):
        assert np.mean(share[(mass > low) & (mass < low + 200)] > 0.5) == pytest.approx(0.5, abs=0.05)
