"""Event displays: whole files or none, offline pages, captions that tell the truth, every kind of input."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text

from pcloud.plots import canvas, event_html, event_png
from pcloud.plots.event_display import display
from pcloud.plots.scene import build

PNG = b"\x89PNG\r\n\x1a\n"
BIG = 2**53


def event(tracks: int = 12, noise: int = 20) -> tuple[pd.DataFrame, np.ndarray, pd.DataFrame]:
    """Straight tracks of 6 hits through three barrels and three disks, noise on top; hits, perfect track ids, truth."""
    rng = np.random.default_rng(0)
    step = np.tile(np.arange(1, 7), tracks)
    owner = np.repeat(np.arange(tracks), 6)
    phi, slope = rng.uniform(-3, 3, tracks)[owner], rng.uniform(-1, 1, tracks)[owner]
    r = 30.0 * step
    xyz = np.stack([r * np.cos(phi), r * np.sin(phi), 4 * slope * r], 1)
    xyz = np.concatenate([xyz, rng.uniform(-100, 100, (noise, 3))])
    n = len(xyz)
    hits = pd.DataFrame({"hit_id": np.arange(n) + 7, "x": xyz[:, 0], "y": xyz[:, 1], "z": xyz[:, 2]})
    hits["volume_id"], hits["layer_id"] = 8, np.append(step, np.ones(noise, int))
    particle = np.append(owner + BIG, np.zeros(noise, np.int64))
    truth = pd.DataFrame({"hit_id": hits["hit_id"], "particle_id": particle})
    return hits, np.append(owner, np.full(noise, -1)), truth


def traces(page: str) -> tuple[list[dict[str, Any]], str]:
    """What the page hands to plotly, and the rest of the call."""
    call = page[page.rindex("Plotly.newPlot(") :]
    data, end = json.JSONDecoder().raw_decode(call, call.index("[{"))
    return data, call[end:]


def test_picture_and_page(tmp_path: Path, links_of: Any) -> None:
    hits, track, truth = event()
    track[:2] = -1  # still a match of particle 0
    track[6:10] = 50  # so is 50 of particle 1, whose other 2 hits are too few for a candidate
    png, html = tmp_path / "e.png", tmp_path / "e.html"
    written = display(hits, track_id=track, truth=truth, event_id=3, score=0.5, out_png=png, out_html=html, title="<b>")
    assert written == [png, html] and sorted(tmp_path.iterdir()) == [html, png]
    assert png.read_bytes().startswith(PNG)
    page = html.read_text()
    links = links_of(page)
    assert links.found == [] and "default-src 'none'" in links.policy and "connect" not in links.policy
    assert "<h1>&lt;b&gt;</h1>" in page
    data, rest = traces(page)
    names = [trace["name"] for trace in data]
    assert names == ["detector layers", "hit (72)", "noise hit (20)", "truth, found (12)", "candidate, matched (12)"]
    assert '"showSendToCloud": false' in rest
    assert f"particle {BIG}, hit 7" in data[3]["text"]  # an id above 2^53, exact
    assert "Event 3: 92 hits, 12 candidates of ≥ 3 hits, TrackML score 0.5000." in page


def test_wrong_missed_and_stray() -> None:
    hits, track, truth = event()
    track[:3] = 99  # half of particle 0 each: neither half is more than half
    track[3:6] = 98
    track[-1] = 4  # noise in candidate 4
    scene = build(hits, track, truth)
    assert {kind: lines.ids.tolist() for kind, lines in scene.found.items() if kind == "wrong"} == {"wrong": [98, 99]}
    assert scene.true["missed"].ids.tolist() == [BIG] and len(scene.true["found"]) == 11
    assert scene.stray.tolist() == [len(hits) - 1]
    assert len(hits) - 1 not in scene.found["matched"].rows
    assert "11 found, 1 missed; candidates: 11 matched, 2 wrong." in " ".join(scene.caption)
    words = {text.get_text() for text in event_png.draw(scene).findobj(Text)}
    assert {"missed", "wrong candidate", "stray hit in a match", "matched candidate", "true track, found"} <= words


def test_lines_run_inside_out() -> None:
    hits, track, truth = event(tracks=3, noise=0)
    lines = build(hits.sample(frac=1, random_state=1), None, truth).true["true"]
    assert lines.offsets.tolist() == [0, 6, 12, 18]
    scene = build(hits, track)
    r = np.hypot(*scene.pos[scene.found["candidate"].rows, :2].T).reshape(3, 6)
    assert (np.diff(r, axis=1) > 0).all()


def test_large_events_are_thinned_by_a_rule_the_caption_tells() -> None:
    hits, track, truth = event(tracks=90)
    scene = build(hits, track, truth, max_tracks=40)
    assert len(scene.true["found"]) == 30 and len(scene.found["matched"]) == 30
    assert (scene.true["found"].ids - BIG == scene.found["matched"].ids).all()  # the same particles on both sides
    assert "Drawn: every hit, 1 in 3 particles with the candidates it leads, 1 in 3 other candidates." in scene.caption
    heap = build(hits, np.zeros(len(hits), int), truth)
    assert not heap.found and "No line for 1 candidates of > 100 hits." in heap.caption[-1]


def test_radius_cuts_the_drawing_not_the_verdict() -> None:
    hits, track, truth = event(noise=0)
    near = build(hits, track, truth, r_max=100)
    assert len(near.pos) == 36 and "r ≤ 100 mm" in near.caption[-1]
    assert near.caption[:2] == build(hits, track, truth).caption[:2]
    nothing = build(hits, track, truth, r_max=1)
    event_png.draw(nothing)
    assert len(nothing.pos) == 0 and "Plotly.newPlot" in event_html.page(nothing)


def test_every_word_is_readable_and_every_axis_has_a_unit() -> None:
    hits, track, truth = event()
    drawn = event_png.draw(build(hits, track, truth), "title")
    drawn.set_dpi(40)
    drawn.canvas.draw()
    assert {axes.get_xlabel() for axes in drawn.axes} == {"x (mm)", "z (mm)"}
    assert {axes.get_ylabel() for axes in drawn.axes} == {"y (mm)", "r (mm)"}
    assert min(text.get_fontsize() for text in drawn.findobj(Text) if text.get_text()) >= 8


@pytest.mark.parametrize("truth", [True, False])
@pytest.mark.parametrize("tracks", [None, "none", "some"])
@pytest.mark.parametrize("size", [0, 92])
def test_draws_whatever_there_is(tmp_path: Path, truth: bool, tracks: str | None, size: int) -> None:
    hits, track, full = event()
    hits, track, full = hits[:size], track[:size], full[:size]
    track_id = None if tracks is None else track if tracks == "some" else np.full(size, -1)
    scene = build(hits, track_id, full if truth else None)
    drawn = event_png.draw(scene)
    drawn.set_dpi(40)
    drawn.canvas.draw()
    assert len(drawn.axes) == (4 if truth and tracks else 2)
    assert "Plotly.newPlot" in event_html.page(scene)


def test_hits_need_no_layers() -> None:
    hits, track, _ = event()
    assert build(hits[["hit_id", "x", "y", "z"]], track).layers == []
    with pytest.raises(ValueError, match="hits lack column 'z'"):
        build(hits[["hit_id", "x", "y"]])


def test_failure_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hits, _, _ = event()
    target = tmp_path / "e.png"
    target.write_bytes(b"old")

    def full_disk(self: Path, data: bytes) -> int:
        with open(self, "wb") as file:
            file.write(data[:100])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(OSError, match=r"could not be written: No space left on device: .*e\.png") as error:
        display(hits, out_png=target)
    assert error.value.errno == errno.ENOSPC
    assert [path.name for path in tmp_path.iterdir()] == ["e.png"] and target.read_bytes() == b"old"


def test_mistakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hits, _, _ = event()
    with pytest.raises(ValueError, match="give out_png, out_html or both"):
        display(hits)
    with pytest.raises(FileNotFoundError, match="does not exist"):
        display(hits, out_png=tmp_path / "no" / "e.png")
    monkeypatch.setattr(event_html, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"pip install 'pcloud\[plot\]'"):
        display(hits, out_png=tmp_path / "e.png", out_html=tmp_path / "e.html")
    assert list(tmp_path.iterdir()) == []  # refused before anything was drawn


def test_picture_loads_neither_torch_nor_plotly_nor_pyplot() -> None:
    code = "import sys, pcloud.plots.event_display; print({'torch', 'plotly', 'matplotlib.pyplot'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


def test_real_event(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "trackml" / "small_event"
    hits = pd.read_csv(folder / "event000000001-hits.csv.gz")
    truth = pd.read_csv(folder / "event000000001-truth.csv.gz")
    scene = build(hits, truth.rename(columns={"particle_id": "track_id"}), truth)
    assert "431 found, 0 missed; candidates: 431 matched" in " ".join(scene.caption)
    assert sum(layer.barrel for layer in scene.layers) == 10 and len(scene.layers) == 48
    assert canvas.save(tmp_path / "e.png", event_png.draw(scene)).stat().st_size > 100_000
