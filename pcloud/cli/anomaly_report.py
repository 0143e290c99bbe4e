"""What ``pcloud evaluate`` says of an autoencoder: what its scores find, whether they follow the mass, and what it rebuilt.

``judgement(rows)`` goes into report.json, ``sections(judged, rows, examples)`` into report.html.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pcloud.cloud import PointCloud
from pcloud.metrics.anomaly import search_figures, sic_curve
from pcloud.metrics.estimates import ends
from pcloud.pretrained import Model
from pcloud.tasks import Rows

if TYPE_CHECKING:
    from pcloud.plots.report import Section

SCORES = {"score": "error of what came back", "score_latent": "distance to known latents"}
EXAMPLES = 4
LEAST = 1000  # background jets, for a judgement of what a cut does to their mass
HUNTED, BINS, WIDTHS, TOYS = (0.5, 0.995), 40, (3, 5), 300  # quantiles of the mass between which a bump is looked for; how
STRANGE = 10  # one in so many, of the largest errors, passes the cut before a hunt


def is_search(rows: Rows) -> bool:
    """Whether these rows hold anomaly scores."""
    return "score" in rows and "track_id" not in rows


def judgement(rows: Rows) -> dict[str, Any]:
    """Of each score: auc, e10, e100 and the SIC curve where rows of label 0 and of others are there; and, of the rows of label
    0 (all, without labels), what a cut does to their mass. Weights that differ are taken for one where pulls would need more.
    And ``hunts`` for a bump in the mass of all rows."""
    from pcloud.anomaly.sculpting import sculpting

    found: dict[str, Any] = {"jets": len(rows["score"]), "scores": {}, "notes": []}
    signal = np.asarray(rows.get("label", np.zeros(len(rows["score"])))) != 0
    names = [name for name in SCORES if name in rows]
    tables = {name: np.asarray(rows[name], np.float64) for name in names}
    if "jet_mass" in rows and signal.any():
        tables["jet_mass"] = np.asarray(rows["jet_mass"], np.float64)  # the cut that a score has to beat
    for name, score in tables.items():
        one: dict[str, Any] = {}
        if signal.any() and not signal.all():
            weight = rows.get("weight")
            one["figures"] = {key: value.as_dict() for key, value in search_figures(score, signal, weight).items()}
            one["sic"] = sic_curve(score, signal, weight)
        if name in SCORES and "jet_mass" in rows and int((~signal).sum()) >= LEAST:
            passed, mass = score[signal] if signal.any() else None, np.asarray(rows["jet_mass"])[~signal]
            try:
                one["sculpting"] = sculpting(score[~signal], mass, signal_score=passed, fakes=False)
            except ValueError as error:
                found["notes"].append(f"{name}: no judgement of the mass: {error}")
        found["scores"][name] = one
    if "jet_mass" in rows and len(rows["score"]) >= LEAST:
        found["hunts"] = _hunts(np.asarray(rows["score"]), np.asarray(rows["jet_mass"]), rows.get("weight"), found["notes"])
    return found


def _hunts(score: Any, mass: Any, weight: Any, notes: list[str]) -> dict[str, Any]:
    """Bump hunts in the mass, from its median on, where spectra mostly fall: of all, and of the strangest. No label is read."""
    from pcloud.anomaly.hunting import hunt
    from pcloud.anomaly.spectrum import Spectrum

    low, high = np.rint(np.quantile(mass, HUNTED)).tolist()
    high = low + BINS * max(1, round((high - low) / BINS))  # GeV, bins of a whole number
    strange = score > np.quantile(score, 1 - 1 / STRANGE)
    made: dict[str, Any] = {}
    for words, some in (("all", np.ones(len(score), bool)), (f"the strangest of {STRANGE}", strange)):
        try:
            spectrum = Spectrum.of(mass[some], low=low, high=high, bins=BINS, weight=None if weight is None else weight[some])
            made[words] = hunt(spectrum, widths=WIDTHS, toys=TOYS).as_dict()
        except ValueError as error:
            notes.append(f"no bump hunt of {words}: {error}")
    return made


def examples(model: Model, clouds: Sequence[PointCloud]) -> list[tuple[str, Any, Any]]:
    """A few sets and what the model made of them, as ``plots.rebuilt.rebuilt`` draws; nothing of a model that makes no sets."""
    if not hasattr(model.task, "decode"):
        return []
    found = []
    for cloud in clouds:
        output = model.network(cloud)
        jet, back = ((one.pos.cpu().numpy(), one.share.cpu().numpy()) for one in (output.given, output.made))
        found.append((f"event {int(cloud.event['event_id'][0])}", jet, back))
    return found


def sections(judged: Mapping[str, Any], rows: Rows, pairs: Sequence[Any], classes: Sequence[str]) -> list[Section]:
    """The part of the page that shows a search."""
    from pcloud.plots import anomaly as draw
    from pcloud.plots import rebuilt as sets
    from pcloud.plots.report import Picture, Section, Table, Text

    words = {**SCORES, "jet_mass": "mass (the plain cut)"}
    table = [
        [words[name], key, figure["value"], ends(figure), figure["definition"]]
        for name, one in judged["scores"].items()
        for key, figure in one.get("figures", {}).items()
    ]
    parts: list[Any] = [Text(one) for one in judged["notes"]]
    if table:
        parts.append(Table(("score", "figure", "value", "interval (confidence)", "definition"), table))
    curves = {words[name]: one["sic"] for name, one in judged["scores"].items() if one.get("sic", {}).get("sic")}
    if curves:
        parts.append(Picture(draw.sic(curves), "What a cut on the score does for the significance of a signal"))
    made = [Section("Search", parts)] if parts else []
    label = np.asarray(rows.get("label", np.zeros(len(rows["score"])))).astype(int)
    shown = {words[name]: np.asarray(rows[name]) for name in SCORES if name in rows}
    made.append(Section("Scores", [Picture(sets.scores(shown, label, classes), "How the scores lie, unit area")]))
    for name, one in judged["scores"].items():
        if "sculpting" in one:
            report = one["sculpting"]
            pictures: list[Any] = [
                Text(report["verdict"]),
                Picture(draw.profile(report), "Mean score of the background against its mass"),
                Picture(draw.sculpted(report), "The background's mass before and after cuts on the score"),
            ]
            made.append(Section(f"Mass: {words[name]}", pictures))
    for name, one in judged.get("hunts", {}).items():
        told: list[Any] = [Text(note) for note in one["notes"]]
        told.append(Picture(draw.bump(one), "The mass, and the window that stands out most"))
        made.append(Section(f"Bump hunt: {name}", told))
    if pairs:
        made.append(Section("Rebuilt", [Picture(sets.rebuilt(pairs), "Above: what went in; below: what came back")]))
    return made
