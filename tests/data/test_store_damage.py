"""Whatever is not what the store wrote is refused with one line that names the file; nothing crashes, nothing is read askew."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from store_events import make, write

from pcloud.data import store as store_module
from pcloud.data.store import Store


def read_all(path: Path) -> None:
    store = Store.open(path)
    for number in range(len(store)):
        store.read(number)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path / "s", [make(number) for number in range(3)], shard_bytes=150)
    return tmp_path / "s"


NAMES = ("manifest.json", "manifest.sha256", "index.arrow", "shard-00000.arrow", "shard-00001.arrow")


@pytest.mark.parametrize("name", NAMES)
def test_a_flipped_byte_anywhere_is_caught_with_the_file_named(folder: Path, name: str) -> None:
    whole = (folder / name).read_bytes()
    for place in np.linspace(0, len(whole) - 1, 40).astype(int):
        for flip in (0x01, 0x80):
            (folder / name).write_bytes(whole[:place] + bytes([whole[place] ^ flip]) + whole[place + 1 :])
            with pytest.raises(ValueError, match="manifest" if "manifest" in name else name) as caught:
                read_all(folder)
            assert "\n" not in str(caught.value)
    (folder / name).write_bytes(whole)
    read_all(folder)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("left", [0.0, 0.5, 0.99])
def test_a_file_cut_off_or_gone_is_caught(folder: Path, name: str, left: float) -> None:
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes(whole[: int(len(whole) * left)])
    with pytest.raises(ValueError, match="manifest" if "manifest" in name else name):
        Store.open(folder)
    (folder / name).unlink()
    with pytest.raises(ValueError, match=name):
        Store.open(folder)


MODULES = {"module_id": np.arange(5), "cx": np.linspace(-1, 1, 5)}


def test_a_detector_travels_with_its_store(tmp_path: Path) -> None:
    store = write(tmp_path / "s", [make(1)], detector=MODULES)
    came = store.detector()
    assert came is not None and list(came) == list(MODULES)
    for name, column in MODULES.items():
        assert came[name].dtype == column.dtype and came[name].tobytes() == column.tobytes()
        came[name][0] = 9  # owned: writing into it harms nothing
    assert pickle.loads(pickle.dumps(store)).detector()["module_id"][0] == 0
    assert write(tmp_path / "t", [make(1)]).detector() is None


def test_a_damaged_detector_is_named(tmp_path: Path) -> None:
    write(tmp_path / "s", [make(1)], detector=MODULES)
    file = tmp_path / "s" / "detector.arrow"
    whole = file.read_bytes()
    for damage in (whole[:-1], whole[:200] + bytes([whole[200] ^ 1]) + whole[201:]):
        file.write_bytes(damage)
        with pytest.raises(ValueError, match=r"detector\.arrow: .*prepare the store again"):
            Store.open(tmp_path / "s").verify()
    file.unlink()
    with pytest.raises(ValueError, match="detector.arrow: missing from the store"):
        Store.open(tmp_path / "s").detector()
    with pytest.raises(ValueError, match="detector column 'cx' is float32, expected int64 or float64"):
        write(tmp_path / "t", [make(1)], detector={"cx": np.zeros(2, np.float32)})
    assert not (tmp_path / "t").exists()


def test_another_version_is_said_so(folder: Path) -> None:
    text = (folder / "manifest.json").read_text()
    (folder / "manifest.json").write_text(text.replace('"version": 1', '"version": 2'))
    with pytest.raises(ValueError, match=r"manifest.json: schema version 2 came, this pcloud reads 1; prepare"):
        Store.open(folder)


def seal(folder: Path, about: dict) -> None:
    """A forged but well-sealed manifest."""
    (folder / "manifest.json").write_text(json.dumps(about))
    line = f"{store_module.checksum(folder / 'manifest.json')}  manifest.json\n"
    (folder / "manifest.sha256").write_text(line)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda about: about.pop("columns"), "not as pcloud writes it"),
        (lambda about: about["columns"][0].update(dtype="object"), "dtype 'object' came, expected one of"),
        (lambda about: about["columns"][0].update(scope="edge"), "scope 'edge' came"),
        (lambda about: about["columns"].append(about["columns"][0]), "declared twice"),
        (lambda about: about["columns"][1].update(dtype="float64"), "columns differ|too short"),
        (lambda about: about["files"].pop("shard-00001.arrow"), "counts or shards"),
        (lambda about: about["files"].update(odd={"bytes": 1}), "counts or shards"),
        (lambda about: about.update(events=10**12), "the manifest says 1000000000000"),
        (lambda about: about.update(format="other"), "format 'other' came"),
        (lambda about: about["columns"][1].update(mean=float("nan")), "finite numbers"),
    ],
)
def test_a_forged_manifest_gives_one_line(folder: Path, change: object, line: str) -> None:
    about = json.loads((folder / "manifest.json").read_text())
    change(about)
    seal(folder, about)
    with pytest.raises(ValueError, match=line) as caught:
        read_all(folder)
    assert "\n" not in str(caught.value)


def test_an_index_cannot_promise_more_rows_than_the_shard_has_bytes_for(folder: Path) -> None:
    index = pa.ipc.open_file(str(folder / "index.arrow")).read_all().to_pydict()
    index["points"][0] = 2**50
    about = json.loads((folder / "manifest.json").read_text())
    batch = pa.RecordBatch.from_pydict(index, schema=store_module._INDEX)
    about["files"]["index.arrow"] = store_module.write_batch(folder / "index.arrow", batch)
    seal(folder, about)
    with pytest.raises(ValueError, match="shard-00000.arrow: too short for the events it names"):
        Store.open(folder)


def test_random_damage_under_a_right_seal_gives_one_line_or_values_never_a_crash(folder: Path) -> None:
    random = np.random.default_rng(3)
    sealed = json.loads((folder / "manifest.json").read_text())
    for _ in range(200):
        file = folder / str(random.choice(list(sealed["files"])))
        whole = file.read_bytes()
        damaged = bytearray(whole)
        damaged[random.integers(len(damaged))] = random.choice([0, 1, 127, 128, 255])
        file.write_bytes(damaged)
        about = json.loads(json.dumps(sealed))
        about["files"][file.name]["sha256"] = store_module.checksum(file)
        seal(folder, about)
        try:
            read_all(folder)
        except ValueError as error:
            assert "\n" not in str(error)
        file.write_bytes(whole)


def test_no_store_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no store there"):
        Store.open(tmp_path / "s")
    with pytest.raises(ValueError, match="not a store"):
        Store.open(tmp_path)
