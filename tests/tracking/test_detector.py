"""The TrackML geometry is the published one to the digit, whatever way it comes in, and wrong files say where they are wrong."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from data_prep import trackml_files
from pcloud.tracking.detector import COLUMNS, IDS, Table, geometry_hash, read_detectors, trackml_detector, write_detectors
from pcloud.tracking.layers import MATTER_UNKNOWN, layers_of

MODULES = {7: 756, 8: 2492, 9: 756, 12: 1020, 13: 5796, 14: 1020, 16: 588, 17: 5712, 18: 588}


@pytest.fixture(scope="module")
def detector() -> Table:
    return trackml_detector()


def row(table: Table, *ids: int) -> dict[str, float]:
    chosen = np.flatnonzero(np.all([table[name] == value for name, value in zip(IDS, ids, strict=True)], axis=0))
    assert chosen.size == 1
    return {name: float(table[name][chosen[0]]) for name in COLUMNS}


def test_counts(detector: Table) -> None:
    volumes, counts = np.unique(detector["volume_id"], return_counts=True)
    assert dict(zip(volumes.tolist(), counts.tolist(), strict=True)) == MODULES
    assert len(np.unique(detector["volume_id"] * 100 + detector["layer_id"])) == 48


def test_a_barrel_module_by_hand(detector: Table) -> None:
    # first of 16 in phi: -pi + pi/16; first of 14 rows: z = -6.5 * 70, radius 32 + 0.25; normal turned on by 0.14
    phi = -np.pi + np.pi / 16
    module = row(detector, 8, 2, 1)
    assert [module[c] for c in ("cx", "cy", "cz")] == pytest.approx([32.25 * np.cos(phi), 32.25 * np.sin(phi), -455], abs=1e-4)
    assert [module[c] for c in ("rot_xw", "rot_yw", "rot_zw")] == pytest.approx(
        [np.cos(phi + 0.14), np.sin(phi + 0.14), 0], abs=1e-5
    )
    assert [module[c] for c in ("rot_xv", "rot_yv", "rot_zv")] == [0, 0, 1]
    assert row(detector, 8, 2, 17)["cz"] == -385 and np.hypot(row(detector, 8, 2, 17)["cx"], row(detector, 8, 2, 17)["cy"]) < 32


def test_a_disc_module_by_hand(detector: Table) -> None:
    # the outermost disc on the left has layer id 2; module 3 sits on the outer ring of 60, the first in phi
    phi = -np.pi + np.pi / 60
    module = row(detector, 12, 2, 3)
    assert [module[c] for c in ("cx", "cy", "cz")] == pytest.approx([622 * np.cos(phi), 622 * np.sin(phi), -2948.5], abs=1e-3)
    assert [module[c] for c in ("rot_xv", "rot_yv", "rot_zw")] == pytest.approx([np.cos(phi), np.sin(phi), -1], abs=1e-5)
    assert [module[c] for c in ("module_minhu", "module_maxhu", "module_hv", "pitch_u")] == [32.2, 40.0, 78.0, 0.08]
    assert row(detector, 14, 12, 3)["cz"] == 2948.5, "the right side mirrors the left"


def test_axes_are_right_handed_and_of_length_one(detector: Table) -> None:
    axes = np.stack([detector[name] for name in COLUMNS[6:15]], axis=1).reshape(-1, 3, 3)
    assert np.abs(np.swapaxes(axes, 1, 2) @ axes - np.eye(3)).max() < 1e-5
    assert np.abs(np.linalg.det(axes) - 1).max() < 1e-5


def test_equals_the_published_table(detector: Table, shared_data: Path) -> None:
    real = read_detectors(shared_data / "trackml" / "detectors.csv")
    for name in COLUMNS:
        np.testing.assert_allclose(detector[name], real[name], rtol=1e-12, atol=1e-9, err_msg=name)


def test_one_hash_for_every_shape_of_the_published_table(detector: Table, shared_data: Path) -> None:
    plain, indexed = shared_data / "trackml" / "detectors.csv", shared_data / "trackml" / "small_event" / "detectors.csv.gz"
    assert geometry_hash(read_detectors(plain)) == geometry_hash(read_detectors(indexed)) == geometry_hash(detector)


def test_hash_ignores_order_and_types(detector: Table) -> None:
    order = np.random.default_rng(0).permutation(len(detector["cx"]))
    shuffled = {name: column[order].astype(np.float64) for name, column in detector.items()}
    assert geometry_hash(shuffled) == geometry_hash(detector)


@pytest.mark.parametrize(("column", "change"), [("cx", 0.01), ("rot_xu", 1e-4), ("pitch_u", 1e-3), ("module_id", 1000)])
def test_hash_sees_one_changed_module(detector: Table, column: str, change: float) -> None:
    moved = dict(detector)
    moved[column] = detector[column].astype(np.float64)
    moved[column][777] += change
    assert geometry_hash(moved) != geometry_hash(detector)


@pytest.mark.parametrize("name", ["detectors.csv", "detectors.csv.gz"])
def test_written_and_read_again(tmp_path: Path, detector: Table, name: str) -> None:
    write_detectors(tmp_path / name, detector)
    again = read_detectors(tmp_path / name)
    assert geometry_hash(again) == geometry_hash(detector)
    assert all(again[column].dtype == detector[column].dtype for column in COLUMNS)
    assert [file.name for file in tmp_path.iterdir()] == [name], "no temporary file stays"


def with_field(table: Table, strength: float) -> Table:
    return table | {"field_z": np.full(len(table["cx"]), strength)}


def test_a_field_travels_with_the_table(tmp_path: Path, detector: Table) -> None:
    write_detectors(tmp_path / "two.csv", with_field(detector, 2.0))
    again = read_detectors(tmp_path / "two.csv")
    assert set(again["field_z"]) == {2.0} and geometry_hash(again) == geometry_hash(with_field(detector, 2.0))
    assert len({geometry_hash(one) for one in (detector, again, with_field(detector, 3.0))}) == 3, "the hash sees the field"
    assert trackml_files.read_detectors(trackml_files.File(tmp_path / "two.csv"))["field_z"].tolist() == again["field_z"].tolist()


@pytest.mark.parametrize(
    ("values", "told"), [("2,3", "row 3: .* holds 3, expected one field"), ("50,50", "row 2: .* at most 20 T")]
)
def test_a_field_that_cannot_be(tmp_path: Path, detector: Table, values: str, told: str) -> None:
    lines = small(detector, 2)
    text = "\n".join(f"{line},{one}" for line, one in zip(lines, ["field_z", *values.split(",")], strict=True))
    (tmp_path / "detectors.csv").write_text(text)
    for read in (read_detectors, lambda path: trackml_files.read_detectors(trackml_files.File(path))):
        with pytest.raises(ValueError, match=told) as caught:
            read(tmp_path / "detectors.csv")
        assert "\n" not in str(caught.value) and "detectors.csv" in str(caught.value)


def test_trackmls_hit_errors_are_for_its_layers_alone(detector: Table) -> None:
    ours, field = layers_of(detector), layers_of(with_field(detector, 2.0))
    renamed = layers_of(detector | {"volume_id": np.where(detector["volume_id"] == 7, 19, detector["volume_id"])})
    for other in (field, renamed):
        np.testing.assert_allclose(np.unique(other.error_u), np.array([0.05, 0.08, 0.12]) / np.sqrt(12))
        assert not other.beside.any() and ours.beside.any() and set(other.matter) == {MATTER_UNKNOWN}
    assert set(np.round(ours.error_u, 4)) == {0.0060, 0.0156, 0.0210, 0.0190, 0.0280}


def test_failed_write_leaves_nothing(tmp_path: Path, detector: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space"):
        write_detectors(tmp_path / "detectors.csv", detector)
    assert not list(tmp_path.iterdir())


def small(table: Table, rows: int = 4) -> list[str]:
    lines = [",".join(COLUMNS)]
    return lines + [",".join(f"{float(table[name][i]):.6g}" for name in COLUMNS) for i in range(rows)]


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda lines: [], "no modules"),
        (lambda lines: lines[:1], "no modules"),
        (lambda lines: [lines[0].replace("pitch_v", "pitch"), *lines[1:]], "column 'pitch_v' is missing"),
        (lambda lines: [*lines[:3], lines[3].replace("0.15", "wide"), *lines[4:]], "row 4: column 'module_t' holds 'wide'"),
        (lambda lines: [*lines[:3], lines[3].replace("0.15", "nan"), *lines[4:]], "row 4: column 'module_t' holds 'nan'"),
        (lambda lines: [*lines[:2], lines[2][:-8], *lines[3:]], "row 3: 20 cells, expected 21"),
        (lambda lines: [*lines, lines[2]], r"module \(7, 2, 2\) comes twice"),
    ],
)
def test_a_wrong_file_is_named_in_one_line(
    tmp_path: Path, detector: Table, spoil: Callable[[list[str]], list[str]], told: str
) -> None:
    path = tmp_path / "detectors.csv"
    path.write_text("\n".join(spoil(small(detector))))
    with pytest.raises(ValueError, match=told) as caught:
        read_detectors(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_truncated_gzip_is_named(tmp_path: Path, detector: Table) -> None:
    path = tmp_path / "detectors.csv.gz"
    path.write_bytes(gzip.compress("\n".join(small(detector)).encode())[:-30])
    with pytest.raises(ValueError, match="detectors.csv.gz: not a readable csv"):
        read_detectors(path)


def test_a_missing_file_is_the_usual_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere.csv"):
        read_detectors(tmp_path / "nowhere.csv")
