"""ACTS csv: a hand-worked event, its geometry, the same columns as TrackML's, one line for every mistake; the sample."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from acts_event import DETECTORS, DISC, HITS, LINK, MEASUREMENTS, ONE, PARTICLES, TWO, WHOLE, lay
from trackml_event import assert_same

from data_prep import acts, trackml
from pcloud.cli.sources import Input, kind_of
from pcloud.metrics.particles import Fiducial, Particles
from pcloud.metrics.tracking import match, tracking_figures
from pcloud.scorer.weights import order_weight
from pcloud.tracking.detector import COLUMNS, Table, trackml_detector, write_detectors
from pcloud.tracking.finding import find_tracks
from pcloud.tracking.layers import layers_of


def rows(table: Table, name: str) -> list[float]:
    return [float(one) for one in table[name]]


def with_column(text: str, name: str, values: list[str]) -> str:
    lines = text.splitlines()
    return "\n".join(f"{line},{one}" for line, one in zip(lines, [name, *values], strict=True)) + "\n"


# ---------------------------------------------------------------- what is read


def test_measurements_are_placed_by_their_modules(tmp_path: Path) -> None:
    event = acts.open_event(lay(tmp_path / "e"))
    assert event.event_id == 3 and event.point["hit_id"].tolist() == [0, 1, 2, 3, 9]
    np.testing.assert_allclose(event.point["x"], [30, 70, 110, 170, 50 - 2.5])
    np.testing.assert_allclose(event.point["y"], [0, 0.1, 0.2, 0.3, -1.5], atol=1e-6)
    np.testing.assert_allclose(event.point["z"], [0, -0.1, -0.2, -0.3, 600], atol=1e-6)
    assert event.point["volume_id"].tolist() == [17] * 4 + [18] and event.point["layer_id"].tolist() == [2, 4, 6, 8, 2]
    assert event.point["module_id"].tolist() == [5] * 4 + [3]


def test_truth_in_trackmls_columns(tmp_path: Path) -> None:
    event = acts.open_event(lay(tmp_path / "e"))
    assert event.particle["particle_id"].tolist() == [TWO, ONE, ONE + 1] and event.particle["nhits"].tolist() == [1, 4, 0]
    assert event.particle["particle_type"].tolist() == [211, -13, 22] and event.particle["vz"].tolist() == [-1, 2, 0]
    assert event.point_truth["particle"].tolist() == [1, 1, 1, 1, 0], "a measurement of two goes to the first in the map"
    np.testing.assert_allclose(event.point_truth["tx"], [30, 70, 110, 170, 50])
    np.testing.assert_allclose(event.point_truth["tpz"], [0.5] * 4 + [6])
    # |tz - vz| of the muon's hits, 2, 1, 0, 1: ranks 3, 1 (rounded down from 1.5), 0, 1 among four hits.
    order = order_weight(np.array([3, 1, 0, 1]), np.full(4, 4))
    np.testing.assert_allclose(event.point_truth["weight"], [*(order / order.sum()), 0])


def test_global_positions_are_taken_as_they_are(tmp_path: Path) -> None:
    text = MEASUREMENTS
    for axis, values in (("x", "12345"), ("y", "54321"), ("z", "11111")):
        text = with_column(text, f"global_{axis}", list(values))
    for detectors in (DETECTORS, None):
        folder = lay(tmp_path / f"e{detectors is None}", detectors, measurements=text)
        event = acts.open_event(folder)
        assert event.point["x"].tolist() == [1, 2, 3, 4, 5] and event.point["y"].tolist() == [5, 4, 3, 2, 1]
    assert len(acts.notes(folder)) == 1 and "no detectors.csv" in acts.notes(folder)[0]


def test_without_a_table_hits_lie_where_they_were_simulated_and_show_the_layers(tmp_path: Path) -> None:
    folder = lay(tmp_path / "e", None)
    np.testing.assert_allclose(acts.open_event(folder).point["x"], [30, 70, 110, 170, 50])
    table = acts.read_detectors(folder)
    layers = layers_of(table)
    assert layers.disc.tolist() == [False] * 4 + [True] and table["field_z"].tolist() == [2.0] * 20
    np.testing.assert_allclose(layers.at, [np.hypot(r, 0.25) for r in (30, 70, 110, 170)] + [600])
    np.testing.assert_allclose(layers.error_u[0] ** 2, 0.0003)
    np.testing.assert_allclose(layers.error_v[0] ** 2, 0.0012)
    assert len(acts.notes(folder)) == 2 and "simulation put them" in acts.notes(folder)[1]
    assert acts.notes(lay(tmp_path / "f")) == ()


def test_modules_of_a_table(tmp_path: Path) -> None:
    table = acts.read_detectors(lay(tmp_path / "e"))
    assert set(COLUMNS) < set(table) and rows(table, "volume_id") == [17] * 4 + [18], "passive surfaces are left out"
    assert rows(table, "module_minhu") == [8.4] * 4 + [8.5] and rows(table, "module_maxhu") == [8.4] * 4 + [14.5]
    assert rows(table, "module_hv") == [36] * 4 + [34] and table["field_z"].tolist() == [2.0] * 5
    np.testing.assert_allclose(table["pitch_u"], [np.sqrt(12 * 0.0003)] * 4 + [0.04])
    np.testing.assert_allclose(table["pitch_v"], [np.sqrt(12 * 0.0012)] * 4 + [acts.PITCH[1]])


def test_strips_that_tell_one_coordinate_are_as_long_as_their_module(tmp_path: Path) -> None:
    folder = lay(tmp_path / "e", measurements=MEASUREMENTS.replace("1.5,-2.5", "1.5,0"))
    assert acts.read_detectors(folder)["pitch_v"][-1] == 2 * 34


def test_a_table_may_carry_its_field_and_be_of_trackmls_form(tmp_path: Path) -> None:
    folder = lay(tmp_path / "e", with_column(DETECTORS, "field_z", ["3.8"] * 6))
    assert acts.read_detectors(folder)["field_z"].tolist() == [3.8] * 5
    write_detectors(tmp_path / "mine.csv", acts.read_detectors(folder))
    again = acts.read_detectors(lay(tmp_path / "f", None), tmp_path / "mine.csv")
    np.testing.assert_allclose(again["field_z"], 3.8)
    assert_same(acts.open_event(tmp_path / "f", detectors=tmp_path / "mine.csv"), acts.open_event(folder))


def test_particle_ids_in_parts(tmp_path: Path) -> None:
    names = "particle_id_pv,particle_id_sv,particle_id_part,particle_id_gen,particle_id_subpart"
    parts = {"particle_id": names, str(ONE): "1,0,1,0,0", str(TWO): "1,0,2,0,0", str(ONE + 1): "1,0,1,0,1"}
    changed = {}
    for kind, text in (("hits", HITS), ("particles_initial", PARTICLES)):
        lines = [line.split(",", 1) for line in text.splitlines()]
        changed[kind] = "\n".join(f"{parts[first]},{rest}" for first, rest in lines) + "\n"
    assert_same(acts.open_event(lay(tmp_path / "parts", **changed)), acts.open_event(lay(tmp_path / "whole")))


@pytest.mark.parametrize("kind", ["particles_simulated", "particles"])
def test_particles_under_other_names(tmp_path: Path, kind: str) -> None:
    folder = lay(tmp_path / "e", particles_initial=None, **{kind: PARTICLES})
    assert acts.open_event(folder).particles == 3


def test_without_truth_nothing_that_tells_it_is_read(tmp_path: Path) -> None:
    blank = HITS.replace(f"{ONE},", "x,").replace(f"{TWO},", "x,").replace(",1,0,0.5,", ",x,x,x,")
    for detectors in (DETECTORS, None):
        folder = lay(tmp_path / f"e{detectors is None}", detectors, hits=blank, particles_initial="rubbish")
        event = acts.open_event(folder, truth=False)
        assert event.points == 5 and not event.point_truth and not event.particle
    alone = lay(tmp_path / "alone", hits=None, link=None, particles_initial=None)
    assert acts.open_event(alone).points == 5 and not acts.open_event(alone).particle


def test_a_store_holds_events_detector_and_notes(tmp_path: Path) -> None:
    folder = lay(tmp_path / "e", None)
    store = acts.prepare(folder, tmp_path / "s")
    assert_same(store.read(0), acts.open_event(folder))
    assert store.phase is None and store.source["name"] == "acts"
    known = Input.open(tmp_path / "s")
    assert known.detector is not None and known.notes == acts.notes(folder)
    for name, column in acts.read_detectors(folder).items():
        np.testing.assert_array_equal(known.detector[name], column)
    assert len(acts.prepare(folder, tmp_path / "t", truth=False).read(0).point_truth) == 0


def test_a_folder_is_recognised(tmp_path: Path, raw_events: Path) -> None:
    assert acts.recognises(lay(tmp_path / "e")) and acts.recognises(tmp_path / "e" / "event000000003")
    assert not acts.recognises(raw_events) and not acts.recognises(tmp_path)
    assert kind_of(raw_events) == "trackml" and trackml.recognises(raw_events) and not trackml.recognises(tmp_path / "e")


# ---------------------------------------------------------------- what is wrong gives one line


def told(text: str, old: object, new: object) -> str:
    assert str(old) in text
    return text.replace(str(old), str(new), 1)


LAST = DETECTORS.splitlines()[-1]
WRONG: dict[str, tuple[str, str | None, str]] = {
    "no column": ("measurements", told(MEASUREMENTS, "local0,", "l,"), "measurements.csv: line 1: column 'local0' missing"),
    "nan": ("measurements", told(MEASUREMENTS, "1.5,-2.5", "nan,0"), "line 6: column 'local0' holds nan, expected a finite"),
    "text": ("measurements", told(MEASUREMENTS, "1.5,-2.5", "x,0"), "line 6: 'x' came, expected a number"),
    "twice": ("measurements", told(MEASUREMENTS, "\n9,", "\n3,"), "line 6: measurement_id 3 came already further up"),
    "no module": ("measurements", told(MEASUREMENTS, DISC, 77), "line 6: geometry_id 77, expected that of a module"),
    "other detector": ("measurements", told(MEASUREMENTS, DISC, DISC + 256), r"module \(18, 2, 4\) is no module"),
    "huge id": ("measurements", told(MEASUREMENTS, "\n9,", f"\n{1 << 63},"), "'measurement_id' holds 9223372036854775808"),
    "not linked": ("link", told(LINK, "9,4\n9,0\n", ""), "measurements.csv: line 6: measurement_id 9 has no row in"),
    "linked to nothing": ("link", told(LINK, "9,4", "9,7"), "line 6: hit_id 7, expected a row of .*counted from 0 to 4"),
    "link of nothing": ("link", told(LINK, "9,0", "8,0"), "line 7: measurement_id 8, which .*measurements.csv lacks"),
    "unknown particle": ("particles_initial", told(PARTICLES, ONE, 5), "hits.csv: particle_id .* in no row of the particles"),
    "particle twice": ("particles_initial", told(PARTICLES, ONE + 1, ONE), "line 4: particle_id .* came already"),
    "noise": ("particles_initial", told(PARTICLES, ONE + 1, 0), "line 4: particle_id 0, expected a number above 0"),
    "no particle id": ("hits", told(HITS, "particle_id", "p"), "hits.csv: line 1: column 'particle_id_pv' missing"),
    "annulus": ("detectors", told(DETECTORS, ",7,8.5", ",11,8.5"), "line 7: column 'bounds_type' holds 11, expected 6"),
    "off centre": ("detectors", told(DETECTORS, "6,-8.4", "6,-7.4"), "line 3: bounds .* expected a rectangle about"),
    "module twice": ("detectors", DETECTORS + LAST, r"line 8: volume, layer, module \(.*\) came already"),
    "two fields": (
        "detectors",
        with_column(DETECTORS, "field_z", ["2"] * 5 + ["3"]),
        "row 7: column 'field_z' holds 3, expected one field for all rows",
    ),
    "passive alone": ("detectors", "\n".join(DETECTORS.splitlines()[:2]), "no module among its 1 surfaces"),
}


@pytest.mark.parametrize("case", WRONG)
def test_one_line_for_each_mistake(tmp_path: Path, case: str) -> None:
    kind, text, message = WRONG[case]
    folder = lay(tmp_path / "e", **{kind: text})
    with pytest.raises(ValueError, match=message) as caught:
        acts.open_event(folder)
    assert "\n" not in str(caught.value)


def test_no_file_tells_where_hits_lie(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="neither hits nor a detectors.csv beside it"):
        acts.open_event(lay(tmp_path / "e", None, hits=None))


def test_a_wrong_source_or_event(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no folder, zip or event prefix there"):
        acts.list_events(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="no event there; expected files named like event000001000-measurements.csv"):
        acts.list_events(tmp_path)
    folder = lay(tmp_path / "e")
    with pytest.raises(ValueError, match="event 4 came, expected one of the 1 there: 3"):
        acts.open_event(folder, 4)
    with pytest.raises(ValueError, match="no event chosen"):
        acts.prepare(folder, tmp_path / "s", events=[])
    assert not (tmp_path / "s").exists() and set(WHOLE) <= set(acts.acts_files.KINDS)


# ---------------------------------------------------------------- real files


def test_tracks_of_the_sample(shared_data: Path) -> None:
    """1,000 muons of 0.5 to 10 GeV in the OpenDataDetector, without matter: found from layers and a field alone."""
    folder = shared_data / "other_detectors" / "acts"
    if not folder.is_dir():
        pytest.skip(f"no ACTS sample: {folder}")
    event, detector = acts.open_event(folder), acts.read_detectors(folder)
    assert event.points == 11_862 and event.particles == 1_000 and int(event.particle["nhits"].sum()) == 11_862
    assert len(layers_of(detector).at) == 48 and event.point_truth["weight"].sum() == pytest.approx(1)
    track = find_tracks(event.point, detector)
    ids = event.particle["particle_id"]
    kinematics = {name: event.particle[name] for name in ("vx", "vy", "px", "py", "pz")}
    particles = Particles.from_kinematics(0, ids, event.particle["nhits"], **kinematics)
    matches = match(np.zeros(event.points, np.int64), track, ids[event.point_truth["particle"]], particles, unassigned=-1)
    figures = tracking_figures(matches, particles, Fiducial(pt_min=0.5))
    assert figures["double_majority_efficiency"].value > 0.98 and figures["fake_rate"].value < 0.01


def test_the_detectors_file_that_acts_writes(tmp_path: Path) -> None:
    """The generic detector is TrackML's: its modules must come back where ours are."""
    examples = pytest.importorskip(
        "acts.examples", reason="pyacts is not installed: pip install 'pcloud[acts]'", exc_type=ImportError
    )
    import acts as real

    quiet = real.logging.ERROR
    world = examples.GenericDetector().trackingGeometry()
    writer = examples.CsvTrackingGeometryWriter(level=quiet, trackingGeometry=world, outputDir=str(tmp_path), writePerEvent=False)
    sequencer = examples.Sequencer(events=1, numThreads=1, logLevel=quiet)
    sequencer.addWriter(writer)
    sequencer.run()
    table, ours = acts.acts_files.detectors(acts.File(tmp_path / "detectors.csv"), {0: (0.05, 0.05)}, 2.0), trackml_detector()
    assert len(table["cx"]) == 18_728
    for name in ("cx", "cy", "cz", "rot_xu", "rot_yv", "rot_zw", "module_minhu", "module_maxhu", "module_hv"):
        np.testing.assert_allclose(np.sort(table[name]), np.sort(ours[name]), atol=5e-3, err_msg=name)
    mine, known = layers_of(table), layers_of(ours)
    np.testing.assert_allclose(mine.at, known.at, atol=5e-3)
    np.testing.assert_allclose(mine.error_u, 0.05 / np.sqrt(12), err_msg="TrackML's hit errors are not those of ACTS")
