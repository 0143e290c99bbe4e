"""What many tests share: real data where it is there, a few simulated events, a store and an untrained model of them.

Real events are looked for in ``$PCLOUD_TEST_DATA``, else in ``../shared/data`` beside the repository.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

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
    """``pcloud ARGUMENTS`` as a user runs it, in a process of its own; keyword arguments go to ``subprocess.run``."""

    def run(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
        command = [
            sys.executable,
            "-c",
            "import sys; from pcloud.cli import main; sys.exit(main())",
            *map(str, arguments),
        ]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)} | dict(options.pop("env", {}))  # type: ignore[call-overload]
        environment.pop("PCLOUD_TRACEBACK", None)
        return subprocess.run(command, capture_output=True, text=True, timeout=200, env=environment, **options)  # type: ignore[call-overload, no-any-return]

    return run
