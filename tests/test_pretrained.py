"""A model on disk comes back as it was, knows what it was trained on, and never runs or swallows what a file says."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import pcloud
from pcloud import config, pretrained
from pcloud.data.event import Event, to_cloud
from pcloud.data.store import Store
from pcloud.pretrained import Card, Model, fingerprint, load, save, shipped


@pytest.fixture
def model(untrained: Path) -> Model:
    return load(untrained, "cpu")


@pytest.fixture
def copy(untrained: Path, tmp_path: Path) -> Path:
    """A model folder that a test may spoil."""
    return Path(shutil.copytree(untrained, tmp_path / "copy"))


def test_saved_and_loaded_it_says_the_same(model: Model, store: Path, tmp_path: Path) -> None:
    cloud = to_cloud(Store.open(store).read(0), model.inputs)
    before = model(cloud)
    (tmp_path / "again").mkdir()
    save(tmp_path / "again", model.task, model.card)
    after = load(tmp_path / "again", "cpu")(cloud)
    assert before.keys() == after.keys()
    assert all(np.array_equal(before[name], after[name]) for name in before)
    assert load(tmp_path / "again").card == model.card


def test_a_prefix_names_both_files(model: Model, tmp_path: Path) -> None:
    assert save(tmp_path / "mine", model.task, model.card) == tmp_path / "mine.json"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.json", "mine.safetensors"]


def test_rows_are_the_same_with_and_without_truth(model: Model, store: Path) -> None:
    held = Store.open(store)
    with_truth, without = (model(to_cloud(held.read(1, truth=t), model.inputs, truth=t)) for t in (True, False))
    assert "weight" in with_truth and "weight" not in without
    assert np.array_equal(with_truth["track_id"], without["track_id"])


def test_the_package_door_loads_it(untrained: Path) -> None:
    assert isinstance(pcloud.load(str(untrained)), Model)


def test_an_unknown_name_lists_what_is_shipped(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="trcks: no such folder.*shipped models: (none|.*tracks)"):
        load("trcks")
    with pytest.raises(FileNotFoundError, match="without model.json"):
        load(tmp_path)


@pytest.mark.parametrize("name", shipped() or [pytest.param("", marks=pytest.mark.skip("no model is shipped yet"))])
def test_a_shipped_model_loads_and_its_card_is_whole(name: str) -> None:
    card = load(name).card
    assert card.training.cuts
    if card.encoder:
        assert card.training.steps > 0 and card.training.fingerprints
        assert card.geometry or card.task["name"] in ("tagging", "autoencoding")  # jets are of no detector
    assert set(card.units) == {*card.pos, *card.feat}


def edited(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        card = json.loads((folder / "model.json").read_text())
        change(card)
        (folder / "model.json").write_text(json.dumps(card))

    return spoil


def bytes_of(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        file = folder / "model.safetensors"
        file.write_bytes(change(file.read_bytes()))

    return spoil


SPOILT = {
    "unknown key": (edited(lambda c: c.update(colour="red")), "model.json: key colour: unknown"),
    "missing key": (edited(lambda c: c.pop("pos")), "model.json: key pos: missing"),
    "wrong type": (edited(lambda c: c.update(feat="r")), "model.json: key feat: 'r' came"),
    "training": (
        edited(lambda c: c["training"].update(steps="many")),
        "model.json: key steps: 'many' came, int expected",
    ),
    "version": (edited(lambda c: c.update(version=99)), "model.json: card version 99 came"),
    "other json": (edited(lambda c: c.pop("format")), "not the card of a model"),
    "unknown encoder": (edited(lambda c: c["encoder"].update(name="os.system")), "encoder.name: 'os.system' came"),
    "class path": (edited(lambda c: c["encoder"].update(class_path="antigravity")), "key encoder.class_path: unknown"),
    "larger model": (edited(lambda c: c["encoder"].update(channels=64)), "has shape"),
    "huge model": (edited(lambda c: c["encoder"].update(channels=2**20)), "has shape"),
    "other depth": (edited(lambda c: c["encoder"].update(layers=3)), "missing for the model of its card"),
    "other feat": (edited(lambda c: c.update(feat=["r"])), "has shape"),
    "no json": (lambda folder: (folder / "model.json").write_text("{"), "model.json: not JSON"),
    "no weights": (lambda folder: (folder / "model.safetensors").unlink(), "the weights are missing"),
    "flipped byte": (bytes_of(lambda data: data[:-5] + bytes([data[-5] ^ 1]) + data[-4:]), "its sha256 is not the one"),
    "cut off": (bytes_of(lambda data: data[:-100]), "cut off, or damaged"),
    "longer": (bytes_of(lambda data: data + b"x"), "cut off, or damaged"),
    "empty": (bytes_of(lambda data: b""), "not a weights file, or cut off"),
    "header claims 2^60": (
        bytes_of(lambda data: (2**60).to_bytes(8, "little") + data[8:]),
        "not a weights file, or cut off",
    ),
    "a pickle": (bytes_of(lambda data: b"\x80\x04\x95" + b"\0" * 4096), "not a weights file, or cut off"),
    "no header": (bytes_of(lambda data: (8).to_bytes(8, "little") + b"nonsense"), "not one of safetensors"),
}


@pytest.mark.parametrize("kind", SPOILT)
def test_a_spoilt_model_is_refused_in_one_line(kind: str, copy: Path) -> None:
    spoil, words = SPOILT[kind]
    spoil(copy)
    with pytest.raises((ValueError, FileNotFoundError)) as caught:
        load(copy, "cpu")
    assert words in str(caught.value) and str(copy) in str(caught.value) and "\n" not in str(caught.value)


def test_a_failed_save_leaves_the_former_model(copy: Path, model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    before = {path.name: path.read_bytes() for path in copy.iterdir()}
    monkeypatch.setattr("pcloud.pretrained.files.os.replace", full)
    with pytest.raises(OSError, match="No space"):
        save(copy, model.task, model.card)
    assert {path.name: path.read_bytes() for path in copy.iterdir()} == before


def test_a_cloud_of_other_channels_is_refused(model: Model, store: Path) -> None:
    cloud = to_cloud(Store.open(store).read(0), replace(model.inputs, feat=("r",)))
    with pytest.raises(ValueError, match="feat has 1 columns; model untrained reads 3: r, z, eta"):
        model(cloud)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_a_device_that_is_not_there_is_named(untrained: Path) -> None:
    with pytest.raises(ValueError, match="device cuda came; this torch .* finds cpu"):
        load(untrained, "cuda")


@pytest.mark.parametrize(
    "error", [NotImplementedError("aten::x is not implemented for MPS"), TypeError("no float64 on MPS")]
)
def test_an_operation_that_mps_lacks_is_named(error: Exception, model: Model, store: Path) -> None:
    def refuse(_: object) -> None:
        raise error

    cloud = to_cloud(Store.open(store).read(0), model.inputs)
    model.task.forward = refuse
    with pytest.raises(type(error)):
        model(cloud)
    model.device = "mps"
    with pytest.raises(ValueError, match="mps lacks an operation: .*; use --device cpu"), model._limits(cloud):
        refuse(None)


def test_a_fingerprint_knows_the_event_whatever_the_order_and_the_ids() -> None:
    rng = np.random.default_rng(1)
    point = {name: rng.normal(size=50).astype(np.float32) for name in "xyz"} | {"hit_id": np.arange(50)}
    order = rng.permutation(50)
    shuffled = {name: column[order] for name, column in point.items() if name != "hit_id"} | {
        "hit_id": np.arange(50) + 7
    }
    moved = point | {"x": point["x"] + np.float32(1e-3)}
    first, second, other = (
        fingerprint(Event(n, point=columns), "xyz") for n, columns in enumerate((point, shuffled, moved))
    )
    assert first == second != other and len(first) == 16


def test_the_card_survives_json(model: Model, tmp_path: Path) -> None:
    card = replace(
        model.card, training=replace(model.card.training, events="1 2", fingerprints="aa bb", source={"kind": "x"})
    )
    (tmp_path / "card.json").write_text(card.to_json())
    assert Card.read(tmp_path / "card.json") == card and card.training.knows() == {"aa", "bb"}


def test_importing_the_package_is_light() -> None:
    assert set(pretrained.__all__) >= {"load", "save"}
    with pytest.raises(AttributeError, match="it offers"):
        pretrained.nothing  # noqa: B018


def test_an_untrained_model_is_made_of_a_checked_configuration(config_file: Path, model: Model) -> None:
    assert model.card.encoder == config.read(config_file).as_dict()["encoder"]
