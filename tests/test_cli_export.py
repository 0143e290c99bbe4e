"""`pcloud export`: one file that says what the model says, or one clear line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from pcloud.cli import export, main
from pcloud.pretrained import load


def test_onnx(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The shipped tagger on jets of 1 to 200 constituents; what it reads stands in the file."""
    pytest.importorskip("onnxscript", reason="onnxscript is not installed")
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    out = tmp_path / "jets.onnx"
    assert main(["export", "jets-top", str(out)]) == 0
    assert "of 200 events compared one by one, none differs by more than 1e-4" in capsys.readouterr().out
    about = json.loads(runtime.InferenceSession(out).get_modelmeta().custom_metadata_map["pcloud"])
    assert about["classes"] == ["qcd", "top"] and about["sha256"] == load("jets-top").card.sha256
    assert [file.name for file in tmp_path.iterdir()] == ["jets.onnx"]


def test_program(tmp_path: Path) -> None:
    """A .pt2 file runs where there is no pcloud but its operator, with several jets and an empty one."""
    made = export("jets-top", tmp_path / "jets.pt2")
    assert (made.events, made.apart) == (200, []) and made.largest < 1e-5
    program = torch.export.load(tmp_path / "jets.pt2").module()
    p = program(torch.rand(9, 2), torch.rand(9, 7), torch.tensor([0, 4, 4, 9]))
    torch.testing.assert_close(p.sum(1), torch.ones(3))


@pytest.mark.parametrize(
    ("model", "name", "words"),
    [
        ("jets-top", "jets.txt", "a name that ends in .onnx or .pt2 expected"),
        ("jets-top", "nowhere/jets.onnx", "its folder does not exist"),
        ("tracks-classical", "tracks.onnx", "only taggers are exported"),
        ("no-such", "jets.onnx", "no-such"),
    ],
)
def test_what_cannot_be(model: str, name: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", model, str(tmp_path / name)]) == 2
    told = capsys.readouterr().err
    assert words in told and "Traceback" not in told
    assert not list(tmp_path.iterdir())
