"""What many tests share: real data where it is there, a few simulated events, a store and an untrained model of them.

Real events are looked for in ``$PCLOUD_TEST_DATA``, else in ``../shared/data`` beside the repository.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent
CONFIG = """\
task: {name: tracking, finder: edges, threshold: 0.5}
encoder: {name: interaction, channels: 8, layers: 1, k: 4}
data: {store: STORE, pos: [x, y, z], feat: [r, z, eta], validation: 0.3}
train: {steps: 4, rate: 1e-3, seed: 1, budget: 3000, device: cpu, validate_every: 2, checkpoint_every: 2}
"""


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data; the test is skipped where there is none."""
    place = Path(os.environ.get("PCLOUD_TEST_DATA") or ROOT.parent / "shared" / "data")
    if not place.is_dir():
        pytest.skip(f"real data is not there: no folder {place} (set PCLOUD_TEST_DATA)")
    return place


@pytest.fixture(scope="session")
def raw_events(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six small simulated events as TrackML files, with detectors.csv; never write into it."""
    from pcloud.cli import simulate

    folder = tmp_path_factory.mktemp("simulated") / "raw"
    simulate(folder, events=6, pileup=1, seed=5)
    return folder


@pytest.fixture(scope="session")
def store(raw_events: Path) -> Path:
    """A store of ``raw_events``; never write into it."""
    from pcloud.cli import prepare

    folder = raw_events.parent / "store"
    prepare(raw_events, folder)
    return folder


@pytest.fixture(scope="session")
def config_file(store: Path) -> Path:
    """A configuration of a very small model on ``store``."""
    file = store.parent / "small.yaml"
    file.write_text(CONFIG.replace("STORE", str(store)))
    return file


@pytest.fixture(scope="session")
def untrained(config_file: Path) -> Path:
    """A folder with a model of ``config_file`` that was never trained."""
    import torch

    from pcloud import config, pretrained
    from pcloud.cli.training import card
    from pcloud.data.store import Store

    chosen = config.read(config_file)
    held = Store.open(chosen.data.store)
    torch.manual_seed(0)
    task = config.build(chosen.task, chosen.encoder, len(chosen.data.feat), held.schema.moments(chosen.data.feat))
    folder = config_file.parent / "untrained"
    folder.mkdir()
    pretrained.save(folder, task, card(chosen, held))
    return folder


@pytest.fixture(scope="session")
def pcloud_run() -> Callable[..., subprocess.CompletedProcess[str]]:
    """``pcloud ARGUMENTS`` as a user runs it, in a process of its own; keyword arguments as of ``subprocess.run``."""
    from processes import run

    from pcloud.cli import main

    return lambda *arguments, **options: run(main, arguments, **options)


@pytest.fixture(scope="session")
def jets_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 jets of clouds.jets with every column that taggers read; particle flags are there, and all 0."""
    from clouds import jets

    from pcloud.data.event import Event
    from pcloud.data.schema import Column
    from pcloud.data.store import StoreWriter

    kinematic = ("log_pt", "log_e", "log_pt_rel", "log_e_rel", "dr", "deta", "dphi")
    flags = ("charge", "is_charged_hadron", "is_neutral_hadron", "is_photon", "is_electron", "is_muon")
    names = {"point": ("px", "py", "pz", "energy", *kinematic, *flags), "event": ("jet_pt", "jet_mass")}
    columns = [Column(scope, name, "float32") for scope, some in names.items() for name in some]
    columns += [Column("event", "event_id", "int64"), Column("event_truth", "label", "int64")]
    columns += [Column("event_truth", "weight", "float32")]
    path = tmp_path_factory.mktemp("jets") / "store"
    with StoreWriter(path, columns, source={"kind": "toy jets", "synthetic": True, "classes": ["qcd", "top"]}) as writer:
        for number, cloud in enumerate(jets(60).split()):
            point = {name: column.numpy() for name, column in cloud.point.items()}
            point |= {name: cloud.feat[:, place].numpy().copy() for place, name in enumerate(kinematic)}
            point |= {name: cloud.pos[:, place].numpy().copy() for place, name in enumerate(("deta", "dphi"))}
            point |= dict.fromkeys(flags, np.zeros(cloud.points, np.float32))
            event = {name: cloud.event[name].numpy() for name in ("jet_pt", "jet_mass")} | {"event_id": np.array([number])}
            truth = {name: column.numpy() for name, column in cloud.event_truth.items()}
            writer.add(Event(number, point=point, event=event, event_truth=truth))
    return path
