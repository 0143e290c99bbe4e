"""Weights to begin from: those of another run or of a shipped model, with a new head where the classes differ.

``begin(task, "runs/teacher", inputs)`` puts them in place and returns what the run folder must remember of where they come from.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from pcloud.data.event import Inputs
from pcloud.pretrained import load

Origin = dict[str, Any]


def begin(task: nn.Module, model: str | Path, inputs: Inputs) -> tuple[Origin, list[str]]:
    """Copy the weights that fit; what is outside the encoder and does not fit begins anew and is named in the notes.

    The encoder, the statistics it standardises with included, must fit as a whole: ValueError of one line where it does not.
    The origin holds name, sha256 and the events the weights have seen.
    """
    found = load(model, "cpu")
    for name in ("pos", "feat"):
        if (mine := getattr(inputs, name)) != (theirs := getattr(found.inputs, name)):
            raise ValueError(f"--from {model}: it reads data.{name} = {list(theirs)}, this run {list(mine)}; give the same")
    own, given = task.state_dict(), found.task.state_dict()
    shapes = [{name: list(value.shape) for name, value in state.items()} for state in (own, given)]
    unlike = [name for name in sorted(own.keys() | given.keys()) if shapes[0].get(name) != shapes[1].get(name)]
    if wrong := [name for name in unlike if name.startswith("encoder.")]:
        mine, theirs = (one.get(wrong[0], "nothing") for one in shapes)
        raise ValueError(f"--from {model}: another encoder: {wrong[0]} is {theirs}, this run has {mine}; give the same")
    if not any(name.startswith("encoder.") and name not in unlike for name in own):
        raise ValueError(f"--from {model}: it has no weights of an encoder; begin from a trained model with the same one")
    task.load_state_dict({name: value for name, value in given.items() if name in own and name not in unlike}, strict=False)
    fresh = [name for name in unlike if name in own]
    training = found.card.training
    origin = {"name": str(model), "sha256": found.card.sha256, "events": training.events, "fingerprints": training.fingerprints}
    return origin, [f"weights from {model}" + (f"; begun anew: {', '.join(fresh)}" if fresh else "")]
