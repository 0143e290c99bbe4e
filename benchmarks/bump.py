"""Searches for a bump after a cut on a score, as an experiment would do them: many data sets, with and without a signal.

``level(score, mass, known_score, known_mass)`` flattens a score in mass by background that is in no data set; ``search(shares,
mass, signal)`` gives the significance in a window fixed beforehand, before and after cuts on such shares; ``sculpted`` what a cut
does to the mass of background.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.anomaly_table import tame
from benchmarks.record import Figure
from pcloud.anomaly.flattening import flattened
from pcloud.anomaly.hunting import hunt
from pcloud.anomaly.scanning import scan, window_of
from pcloud.anomaly.sculpting import sculpting
from pcloud.anomaly.shapes import Shape
from pcloud.anomaly.spectrum import Spectrum

LOW, HIGH = 1000.0, 2600.0  # GeV; top pairs fall smoothly there
EDGES = np.linspace(LOW, HIGH, 33)
WINDOW = (1300.0, 1600.0)  # GeV, about a Z' of 1500
INJECTED = 150  # events within LOW to HIGH
KEPT = (0.5, 0.1)  # of the background
NEIGHBORS = 1000  # that flattening reads: some 100 GeV, so that its own chance is smooth where a bump is not
TRIALS, TOYS, WIDTHS = 50, 300, (4, 6)
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


def level(score: Floats, mass: Floats, known_score: Floats, known_mass: Floats) -> Floats:
    """Share of known background of about the same mass whose score is lower, [rows]. Data must not flatten themselves: a cut
    would then keep the same share of them everywhere, that is no more of a bump than of anything else."""
    return flattened(tame(score), np.log(mass), tame(known_score), np.log(known_mass), neighbors=NEIGHBORS)


def search(shares: dict[str, Floats], mass: Floats, signal: Mask, *, trials: int = TRIALS, seed: int = 1) -> dict[str, Any]:
    """Each of ``trials`` data sets is a random half of the background, alone or with INJECTED events of signal: the local z in
    WINDOW without a cut, and of what is stranger, by each score as `level` gives it, than all but KEPT of the background.
    ``rise``: of z by the signal, on the same background. All data sets share the chance of the sample they are drawn from,
    which moves every z and no rise. Of the first data sets, without a cut and after the tightest, also a hunt through all.
    """
    draw = np.random.default_rng(seed)
    spectra: dict[str, list[Floats]] = {}
    survivors: dict[str, list[float]] = {}
    places = np.flatnonzero(~signal), np.flatnonzero(signal)
    for _ in range(trials):
        half = places[0][draw.random(len(places[0])) < 0.5]
        some = draw.choice(places[1], INJECTED, replace=False)
        for injected in (0, INJECTED):
            data = np.concatenate([half, some[:injected]])
            spectra.setdefault(_key("no cut", 1.0, injected), []).append(_counts(mass[data]))
            for name, share in shares.items():
                for kept in KEPT:
                    passed = data[share[data] > 1 - kept]
                    spectra.setdefault(_key(name, kept, injected), []).append(_counts(mass[passed]))
                    if injected:
                        survivors.setdefault(f"{name}|{kept:g}", []).append(signal[passed].sum() / injected)
    window = window_of(EDGES, *WINDOW)[None]
    z = {key: scan(np.stack(counts), EDGES, window, Shape()).z[:, 0] for key, counts in spectra.items()}
    found: dict[str, Any] = {}
    for name, kept in [("no cut", 1.0), *((name, kept) for name in shares for kept in KEPT)]:
        one: dict[str, Any] = {"signal kept": float(np.mean(survivors[f"{name}|{kept:g}"])) if name in shares else 1.0}
        none, some = (z[_key(name, kept, injected)] for injected in (0, INJECTED))
        for words, values in (("none", none), ("some", some), ("rise", some - none)):
            one[words] = np.quantile(values, (0.5, 0.16, 0.84)).tolist()
        for words, injected in (("none", 0), ("some", INJECTED)):
            if kept in (1.0, min(KEPT)):
                one[f"hunt {words}"] = _hunted(spectra[_key(name, kept, injected)][0])
        found[f"{name}, {kept:.0%} kept" if name in shares else name] = one
    return found


def sculpted(score: Floats, mass: Floats) -> str:
    """The verdict on a score of background, with its rank correlation."""
    report = sculpting(score, mass, mass_range=(LOW, HIGH), bins=len(EDGES) - 1, fakes=False)
    return f"{report['verdict']}; Spearman's {report['spearman']['value']:+.3f}"


def _key(name: str, kept: float, injected: int) -> str:
    return f"{name}|{kept:g}|{injected}"


def _counts(mass: Floats) -> Floats:
    return np.histogram(mass, EDGES)[0].astype(np.float64)


def _hunted(counts: Floats) -> str:
    """The best window of one data set and how often chance alone does as well."""
    try:
        return str(hunt(Spectrum(EDGES, counts), widths=WIDTHS, toys=TOYS))
    except ValueError as error:
        return f"no hunt: {error}"


def search_figures(found: dict[str, Any]) -> dict[str, Figure]:
    """Of each cut: what a signal does for the local z, and the z without one, as figures to record."""
    made = {}
    for name, one in found.items():
        for words, label in (("rise", f"rise of z by {INJECTED} Z'"), ("none", "z of none")):
            middle, low, high = one[words]
            made[f"{name}: {label}"] = Figure(middle, "", low, high, f"68% of {TRIALS} data sets")
    return made


def search_text(found: dict[str, Any]) -> str:
    """The same as a table to read, with the hunts of the first data sets below."""

    def words(z: list[float]) -> str:
        return "{:+.2f} [{:+.2f}, {:+.2f}]".format(*z)

    columns = ("rise", "some", "none")
    heads = dict(zip(columns, ("rise of local z", "z with signal", "z without"), strict=True))
    lines = [f"{'':52s}{'signal kept':14s}" + "".join(f"{heads[key]:24s}" for key in columns)]
    for name, one in found.items():
        lines.append(f"{name:52s}{one['signal kept']:<14.3f}" + "".join(f"{words(one[key]):24s}" for key in columns))
    for name, one in found.items():
        lines += [f"{name}, {label}: {one[f'hunt {label}']}" for label in ("some", "none") if f"hunt {label}" in one]
    return "\n".join(lines)
