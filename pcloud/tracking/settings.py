"""All that can be tuned about the classical track finder, in one place: what a pass looks for and what counts as a track.

`Settings()` is the default; `dataclasses.replace(DEFAULT, ...)` varies it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

UNCONFIRMED = -1e9  # of `confirm`: seeds are followed without a fourth hit


class Cuts(NamedTuple):
    """One pass: numbers that compiled code reads."""

    beam: float  # 1 if tracks come from the beam line, 0 if from anywhere
    doubled: float  # 1 if seeds begin with two hits of one layer, 0 if each of their hits is on another
    pt_min: float  # GeV, softest track sought
    first_step: float  # seeds skip up to this many layers between their hits (0 or 1)
    start_r: float  # mm, seeds start at hits with a radius below
    z_low: float  # mm, range of the beam spot
    z_high: float
    window: float  # standard deviations, of the third hit's window
    impact: float  # mm, largest distance from the beam line of displaced seeds
    gate: float  # largest chi2 of a hit in following
    miss: float  # log likelihood lost with a layer without hit
    misses: float  # layers in a row without hit that end a track
    double: float  # log likelihood ratio that a second hit on a layer needs
    inner: float  # and a hit inside of the seed
    confirm: float  # log likelihood ratio that a fourth hit near the seed's circle needs; UNCONFIRMED for none
    seed_gain: float  # log likelihood ratio that the third hit of a seed must bring
    hits_min: float  # fewest hits of a candidate
    accept: float  # log likelihood ratio that a candidate needs
    accept_hit: float  # and on average per hit
    sure: float  # log likelihood ratio from which a candidate's hits are not tried as the beginning of another one
    field_slack: float  # relative error of the curvature taken from three points


BEAM_PASS = Cuts(
    beam=1.0, doubled=0.0, pt_min=0.4, first_step=0.0, start_r=90.0, z_low=-200.0, z_high=200.0, window=3.0, impact=1.0,
    gate=25.0, miss=2.5, misses=2.0, double=0.5, inner=0.0, confirm=-5.0, seed_gain=0.0, hits_min=6.0, accept=18.0,
    accept_hit=2.5, sure=1e9, field_slack=0.03,
)  # fmt: skip
FREE_PASS = BEAM_PASS._replace(
    beam=0.0, pt_min=0.25, start_r=500.0, impact=60.0, inner=2.0, confirm=1.0, hits_min=5.0, accept=12.0,
    z_low=-300.0, z_high=300.0,
)  # fmt: skip
_SOFT = BEAM_PASS._replace(pt_min=0.14, confirm=0.0, hits_min=5.0, accept=14.0, accept_hit=2.0)
_SHORT = BEAM_PASS._replace(pt_min=0.14, confirm=UNCONFIRMED, start_r=130.0, hits_min=4.0, accept=10.0, accept_hit=1.5)


@dataclass(frozen=True)
class Settings:
    """All cuts of the finder."""

    spot_share: float = 0.04  # of the first pass's tracks that may start outside of the range stretched into the beam spot
    spot_stretch: float = 1.6
    spot_slack: float = 10.0  # mm on each side
    spot_tracks: int = 30  # fewest tracks to measure the beam spot with
    loose: float = 0.1  # T, error of the sideways field 2 m from the middle where the detector is turned by an angle not known
    adopt: float = 1.0  # log likelihood ratio from which a hit left over joins a finished track; infinite: none is looked at

    passes: tuple[Cuts, ...] = (
        BEAM_PASS._replace(pt_min=2.0, start_r=45.0, hits_min=8.0, accept=30.0, sure=40.0),
        BEAM_PASS._replace(sure=40.0),
        _SOFT._replace(confirm=1.0, sure=30.0),
        _SHORT._replace(start_r=60.0),
        FREE_PASS._replace(accept=8.4, accept_hit=1.75),
        _SOFT._replace(accept=7.0, accept_hit=1.0),  # once more, on what is left
        _SHORT._replace(accept=5.0, accept_hit=0.75),
        FREE_PASS._replace(pt_min=0.14, impact=120.0, hits_min=4.0, accept=4.5, accept_hit=1.25, seed_gain=0.5),
        BEAM_PASS._replace(pt_min=0.3, confirm=UNCONFIRMED, start_r=45.0, hits_min=3.0, accept=3.0, accept_hit=0.0),
        BEAM_PASS._replace(doubled=1.0, pt_min=0.14, confirm=UNCONFIRMED, start_r=60.0, hits_min=4.0, accept=5.0, accept_hit=0.0),
    )


DEFAULT = Settings()

# The graphs of the learned finder: what a triplet of hits may look like, pass by pass.
_GRAPH = BEAM_PASS._replace(start_r=5000.0, confirm=0.0)
GRAPHS = (
    _GRAPH._replace(pt_min=0.25, window=4.0),
    _GRAPH._replace(pt_min=0.14, window=6.0),
    _GRAPH._replace(beam=0.0, pt_min=0.16, window=4.0, seed_gain=0.75, impact=80.0, z_low=-300.0, z_high=300.0),
)


def changed(settings: Settings, cuts: Mapping[str, float]) -> Settings:
    """The settings with some cuts in place of theirs: "PASS.NAME" -> value. ValueError names what there is no such cut of."""
    passes = list(settings.passes)
    for key, value in cuts.items():
        number, _, name = key.partition(".")
        if not (number.isdigit() and int(number) < len(passes) and name in Cuts._fields):
            known = ", ".join(Cuts._fields)
            raise ValueError(f"cuts: {key!r} came; expected PASS.NAME with a pass below {len(passes)} and one of {known}")
        passes[int(number)] = passes[int(number)]._replace(**{name: float(value)})
    return replace(settings, passes=tuple(passes))
