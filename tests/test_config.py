"""A configuration is checked key by key before anything is built, and each mistake is one line that helps."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pcloud import config
from pcloud.cloud import PointCloud
from pcloud.config.text import override
from pcloud.encoders import ENCODERS
from pcloud.tasks import TASKS

SHORT = """\
task: {name: tracking}
encoder: {name: interaction, channels: 8}
data: {store: events}
"""


def written(folder: Path, text: str) -> Path:
    file = folder / "run.yaml"
    file.write_text(text)
    return file


def test_defaults_come_from_the_signatures(tmp_path: Path) -> None:
    read = config.read(written(tmp_path, SHORT))
    defaults = {name: one.default for name, one in inspect.signature(TASKS["tracking"]).parameters.items() if name != "encoder"}
    assert read.task == {"name": "tracking", **defaults}
    assert read.encoder["channels"] == 8 and read.encoder["k"] == 16
    assert read.data.pos == ("x", "y", "z") and read.data.validation == 0.1
    assert read.train.rate == 1e-3


def test_what_is_written_reads_the_same(tmp_path: Path) -> None:
    first = config.read(written(tmp_path, SHORT), ["train.rate=3e-4", "data.feat=[r, eta]"])
    again = config.read(written(tmp_path, first.to_yaml()))
    assert again == first


@settings(deadline=None)
@given(st.floats(min_value=1e-30, max_value=1e30), st.booleans())
def test_numbers_with_an_exponent_are_numbers(value: float, point: bool) -> None:
    """YAML 1.1 takes 1e-3 for a word; nobody means that."""
    mantissa, exponent = f"{value:.3e}".split("e")
    text = f"{mantissa if point else int(float(mantissa))}e{int(exponent)}"
    raw = {}
    override(raw, f"train.rate={text}")
    assert raw["train"]["rate"] == float(text)


def test_overrides_take_the_place_of_the_file(tmp_path: Path) -> None:
    read = config.read(written(tmp_path, SHORT), ["encoder.name=dgcnn", "encoder.k=5", "data.pos=[x, y]"])
    assert (read.encoder["name"], read.encoder["k"], read.data.pos) == ("dgcnn", 5, ("x", "y"))


TASK, ENCODER, DATA = "task: {name: tracking}\n", "encoder: {name: dgcnn}\n", "data: {store: s}\n"
MISTAKES = {
    TASK + DATA + "encoder: {name: dgcnn, chanels: 8}": "key encoder.chanels: unknown; did you mean channels?",
    TASK + DATA + "encoder: {name: dgcnn, channels: many}": "encoder.channels: 'many' came, int expected",
    TASK + DATA + "encoder: {name: dgcnn, channels: 1.5}": "encoder.channels: 1.5 came, int expected",
    TASK + DATA + "encoder: {name: dgcnn, channels: true}": "encoder.channels: True came, int expected",
    TASK + DATA + "encoder: {k: 3}": "encoder.name: nothing came, expected one of deepsets",
    TASK + DATA + "encoder: {name: interacton}": (
        f"encoder.name: 'interacton' came, expected one of {', '.join(sorted(ENCODERS))}; "
        "did you mean interaction?"
    ),
    ENCODER + DATA + "task: {name: tracking, finder: edge}": (
        "task.finder: 'edge' came, one of edges, embedding, condensation expected; did you mean edges?"
    ),
    TASK + ENCODER + "data: {}": "data.store: nothing came, str expected",
    TASK + ENCODER + "data: {store: s, pos: x}": "data.pos: 'x' came, a list of str expected",
    TASK + ENCODER + "data: {store: s, validation: 2}": "data.validation: 2.0 came, a share",
    TASK + ENCODER + DATA + "train: {steps: 0}": "train.steps: 0 came, 1 or more expected",
    TASK + ENCODER + DATA + "train: {step: 9}": "key train.step: unknown; did you mean steps?",
    TASK + ENCODER + DATA + "trian: {steps: 1}": "key trian: unknown; did you mean train?",
    TASK + ENCODER + DATA + "train: 3": "train: 3 came, keys and values expected",
    TASK + TASK: "key task comes twice",
    "task: {name: tracking, name: tracking}": "key name comes twice",
    "- a list": "list came, the sections task, encoder, data, train expected",
    "task: {name: [": "not YAML",
    "task: !!python/object/apply:os.system [true]": "not YAML",
}


@pytest.mark.parametrize("text", MISTAKES, ids=range(len(MISTAKES)))
def test_a_mistake_is_one_line_that_names_file_key_and_remedy(text: str, tmp_path: Path) -> None:
    file = written(tmp_path, text)
    with pytest.raises(ValueError) as caught:
        config.read(file)
    message = str(caught.value)
    assert message.startswith(f"{file}: ") and MISTAKES[text] in message and "\n" not in message


@pytest.mark.parametrize(
    "section",
    [
        "encoder: {class_path: antigravity.fly}",
        "encoder: {name: antigravity.fly}",
        "encoder: {name: interaction, class_path: antigravity.fly}",
        "encoder: {name: interaction, init_args: {class_path: antigravity.fly}}",
        "encoder: {name: interaction, channels: {class_path: antigravity.fly}}",
        "train: {class_path: antigravity.fly}",
        "data: {store: {class_path: antigravity.fly}}",
        "data: {store: s, pos: [{class_path: antigravity.fly}]}",
    ],
)
def test_a_class_path_imports_nothing(section: str, tmp_path: Path) -> None:
    sections = {"task": "task: {name: tracking}", "encoder": "encoder: {name: interaction}", "data": "data: {store: s}"}
    sections[section.split(":")[0]] = section
    sys.modules.pop("antigravity", None)
    with pytest.raises(ValueError, match="unknown|expected"):
        config.read(written(tmp_path, "\n".join(sections.values())))
    assert "antigravity" not in sys.modules


def test_a_bad_override_is_named(tmp_path: Path) -> None:
    file = written(tmp_path, SHORT)
    with pytest.raises(ValueError, match="--steps=3: expected --section.key=value"):
        config.read(file, ["steps=3"])
    with pytest.raises(ValueError, match="train.steps: 'x' came, int expected"):
        config.read(file, ["train.steps=x"])


def test_no_file_and_a_huge_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere.yaml: no such configuration"):
        config.read(tmp_path / "nowhere.yaml")
    with pytest.raises(ValueError, match="at most"):
        config.read(written(tmp_path, "#" * (config.MAX_BYTES + 1)))


def test_build_standardises_with_the_moments_given() -> None:
    task, encoder = config.check_model({"name": "tracking"}, {"name": "interaction", "channels": 8, "k": 2}, "here")
    made = config.build(task, encoder, 2, (torch.tensor([1.0, 2.0]).numpy(), torch.tensor([3.0, 4.0]).numpy()))
    assert made.encoder.standardize.mean.tolist() == [1, 2] and made.encoder.standardize.width.tolist() == [3, 4]


PLUGIN = '''
"""A package of somebody else."""
from torch import nn
from pcloud.encoders import Encoding
from pcloud.nn import Standardize

class Plain(nn.Module):
    event_channels = edge_channels = 0
    def __init__(self, *, in_channels: int, width: int = 3):
        super().__init__()
        self.point_channels = width
        self.standardize = Standardize(in_channels)
        self.layer = nn.Linear(in_channels, width)
    def forward(self, cloud):
        return Encoding(self.layer(self.standardize(cloud.feat)))

class Greedy(Plain):
    def __init__(self, *, in_channels: int, inner: nn.Module = None):
        super().__init__(in_channels=in_channels)
'''
POINTS = "[pcloud.encoders]\ntheirs = theirs_for_test:Plain\ngreedy = theirs_for_test:Greedy\n"


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tiny installed package with two encoders."""
    place = tmp_path / "site"
    about = place / "theirs_for_test-1.0.dist-info"
    about.mkdir(parents=True)
    (place / "theirs_for_test.py").write_text(PLUGIN)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs-for-test\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(POINTS)
    monkeypatch.syspath_prepend(str(place))


@pytest.mark.usefixtures("plugin")
def test_an_installed_plug_in_is_built_from_a_configuration(tmp_path: Path) -> None:
    text = "task: {name: tracking, finder: embedding}\nencoder: {name: theirs, width: 5}\ndata: {store: s}"
    read = config.read(written(tmp_path, text))
    task = config.build(read.task, read.encoder, 2)
    cloud = PointCloud(pos=torch.zeros(4, 3), feat=torch.zeros(4, 2), offsets=torch.tensor([0, 4]))
    assert task(cloud)[0].shape == (4, 8)
    with pytest.raises(ValueError, match="key encoder.widht: unknown; did you mean width?"):
        config.read(written(tmp_path, text.replace("width", "widht")))
    with pytest.raises(ValueError, match="theirs"):
        config.read(written(tmp_path, text.replace("name: theirs", "name: thiers")))


@pytest.mark.usefixtures("plugin")
def test_a_plug_in_whose_options_are_classes_is_refused(tmp_path: Path) -> None:
    """Such an option would let a configuration import what it names."""
    text = "task: {name: tracking, finder: embedding}\nencoder: {name: greedy}\ndata: {store: s}"
    with pytest.raises(ValueError, match="plain numbers"):
        config.read(written(tmp_path, text))
