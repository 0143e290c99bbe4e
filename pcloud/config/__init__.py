"""The run configuration: a short YAML file whose schema is the constructor signatures of what it names.

``read("configs/tracking.yaml", ["encoder.k=8"])`` checks every key and type; ``build(...)`` makes the task of it.
Everything a configuration can name is in a literal dict or an installed entry point: nothing is imported by path.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pcloud.config.registry import find, names
from pcloud.config.schema import check, known_keys
from pcloud.config.text import MAX_BYTES, SECTIONS, dump, load, override, plain

if TYPE_CHECKING:
    import numpy as np
    from torch import nn

    from pcloud.train import TrainOptions

Options = dict[str, Any]
Moments = tuple["np.ndarray", "np.ndarray"]
__all__ = [
    "MAX_BYTES", "Config", "DataOptions", "build", "check", "check_model", "dump", "find", "load", "names", "read", "read_data",
]  # fmt: skip


@dataclass(frozen=True)
class DataOptions:
    """Which events and which of their columns a run reads.

    store       folder made by ``pcloud prepare`` (relative to where pcloud is started)
    pos, feat   names of point columns: coordinates, and features (standardised by the store's statistics)
    validation  share of the events held out, chosen by a hash of ``split_seed`` and the event id
    patch       train on slices in azimuth of at most so many points; 0 = on whole events. Validation is on whole events
    """

    store: str
    pos: tuple[str, ...] = ("x", "y", "z")
    feat: tuple[str, ...] = ("r", "z", "eta")
    validation: float = 0.1
    split_seed: int = 0
    patch: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.validation < 1:
            raise ValueError(f"data.validation: {self.validation} came, a share from 0 to below 1 expected")
        if self.patch < 0:
            raise ValueError(f"data.patch: {self.patch} points came, 0 or more expected")
        for name in ("pos", "feat"):
            if not getattr(self, name):
                raise ValueError(f"data.{name}: no column came, at least one name expected")


@dataclass(frozen=True)
class Config:
    """A checked configuration, defaults filled in. ``task`` and ``encoder`` hold ``name`` and the options of its class."""

    task: Options
    encoder: Options
    data: DataOptions
    train: TrainOptions

    def as_dict(self) -> dict[str, Options]:
        """Plain numbers, strings and lists, ready for YAML or JSON."""
        whole = {"task": self.task, "encoder": self.encoder, "data": asdict(self.data), "train": asdict(self.train)}
        return cast("dict[str, Options]", plain(whole))

    def to_yaml(self) -> str:
        return dump(self.as_dict())


def read(path: str | Path, overrides: Sequence[str] = ()) -> Config:
    """The configuration in a YAML file, each of ``overrides`` ("section.key=value") put in its place first.

    Raises FileNotFoundError, or ValueError with one line: file, key, what came, what was expected.
    """
    from pcloud.tasks import UNTRAINED
    from pcloud.train import TrainOptions

    path = Path(path)
    raw = load(path)
    for words in overrides:
        override(raw, words)
    where = str(path)
    known_keys(raw, SECTIONS, where)
    for section in SECTIONS:
        if not isinstance(raw.setdefault(section, {}), dict):
            raise ValueError(f"{where}: {section}: {raw[section]!r} came, keys and values expected")
    task, encoder = check_model(raw["task"], raw["encoder"], where)
    if task["name"] in UNTRAINED:
        raise ValueError(f"{where}: task.name: {task['name']!r} came, which has nothing to train; predict with it as it is")
    try:
        data = DataOptions(**check(DataOptions, raw["data"], f"{where}: data"))
        train = TrainOptions(**check(TrainOptions, raw["train"], f"{where}: train"))
    except ValueError as error:
        raise error if str(error).startswith(where) else ValueError(f"{where}: {error}") from None
    return Config(task, encoder, data, train)


def read_data(path: str | Path) -> DataOptions:
    """The section ``data`` alone, checked: what is needed to find a run's events again."""
    where = f"{path}: data"
    return DataOptions(**check(DataOptions, load(path).get("data", {}), where))


def check_model(task: Options, encoder: Options, where: str) -> tuple[Options, Options]:
    """The two sections that make a model, checked against the classes they name, defaults filled in."""
    from pcloud.encoders import ENCODERS
    from pcloud.tasks import TASKS, WHOLE

    if not encoder and task.get("name") in WHOLE:
        rest = {key: value for key, value in task.items() if key != "name"}
        return {"name": task["name"], **check(WHOLE[task["name"]], rest, f"{where}: task")}, {}
    checked = []
    for section, options, builtin, given in (
        ("task", task, TASKS, "encoder"),
        ("encoder", encoder, ENCODERS, "in_channels"),
    ):
        if not isinstance(options.get("name"), str):
            raise ValueError(
                f"{where}: {section}.name: nothing came, expected one of {', '.join(names(section, builtin))}"
            )
        kind = find(section, options["name"], builtin, f"{where}: {section}.name")
        rest = {key: value for key, value in options.items() if key != "name"}
        checked.append({"name": options["name"], **check(kind, rest, f"{where}: {section}", skip={given})})
    return checked[0], checked[1]


def build(task: Options, encoder: Options, in_channels: int, moments: Moments | None = None) -> nn.Module:
    """The task on its encoder, untrained, from two checked sections; ``moments``: mean and width [channels] of the features."""
    from pcloud.encoders import ENCODERS
    from pcloud.tasks import TASKS, WHOLE

    if not encoder:
        return cast("nn.Module", WHOLE[task["name"]](**{key: value for key, value in task.items() if key != "name"}))
    chosen = find("encoder", encoder["name"], ENCODERS, "encoder.name")
    backbone = chosen(in_channels=in_channels, **{key: value for key, value in encoder.items() if key != "name"})
    if moments is not None:
        backbone.standardize.set(*moments)
    head = find("task", task["name"], TASKS, "task.name")
    return cast("nn.Module", head(backbone, **{key: value for key, value in task.items() if key != "name"}))
