"""What is seen of a run: plain lines where nobody watches a terminal, a bar where someone does."""

from __future__ import annotations

import pytest

from pcloud.train.progress import Show


def test_plain_lines_at_validations_and_after_silence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    show = Show(total=40, done=10)
    show.start()
    for step in range(11, 16):  # 3 s a step; step 12 is validated, and the silence after it is shorter than 10 s
        clock[0] += 3.0
        show.step(step, {"train/loss": 0.5, **({"val/score": 0.25} if step == 12 else {})})
    show.close()
    said = capsys.readouterr().err.splitlines()
    assert said == ["step 12/40  loss 0.5  0.333 steps/s  val/score 0.25"]
    show = Show(total=40, done=0)
    show.start()
    clock[0] += 11
    show.step(1, {"train/loss": 0.5})
    assert capsys.readouterr().err.splitlines() == ["step 1/40  loss 0.5  0.0909 steps/s"]


def test_a_bar_in_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    show = Show(total=40, done=0)
    show.start()
    show.step(30, {"train/loss": 0.5, "val/score": 0.25})
    show.close()
    said = capsys.readouterr().err
    assert "30/40" in said and "━" in said and "val/score 0.25" in said
