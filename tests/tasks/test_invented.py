"""The normalised form: what the model makes up is likely to it, its gradient pushes just that up, and only in training."""

from __future__ import annotations

import pytest
import torch
from cases import autoencoding
from clouds import jets
from torch import nn

from pcloud import segments
from pcloud.cloud import PointCloud
from pcloud.jets.sets import as_cloud
from pcloud.tasks import Autoencoding
from pcloud.tasks.invented import CHAINS, HIGH, contrast, invented


@pytest.fixture(scope="module")
def trained() -> tuple[Autoencoding, PointCloud]:
    """On 64 jets until errors mean something."""
    cloud = jets(64)
    task = autoencoding("pfn", decoder="dense", frame="upright", contrast=0.1).train()
    optimizer = torch.optim.Adam(task.parameters(), 1e-2)
    for _ in range(60):
        output = task(cloud)
        loss = task.distance(output).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return task, cloud


def test_invented_sets_are_sets_and_the_likelier_the_colder(trained: tuple[Autoencoding, PointCloud]) -> None:
    """The same noise at a temperature where the error decides nothing, and at one where it decides."""
    task, cloud = trained
    output = task(cloud)
    z, pt, typical = output.latent.detach(), torch.full((CHAINS,), 600.0), task.distance(output).mean().detach()
    errors = []
    for temperature in (1e6 * typical, typical / 30):
        torch.manual_seed(1)
        made = invented(task, z, pt, temperature)
        assert len(made.offsets) == CHAINS + 1 and not made.pos.requires_grad
        torch.testing.assert_close(segments.sum(made.share, made.offsets), torch.ones(CHAINS))
        with torch.no_grad():
            errors.append(task.distance(task.rebuild(as_cloud(made, pt), made)).median())
    assert errors[1] < 0.8 * errors[0]


def test_its_gradient_pushes_the_error_of_invented_sets_up(trained: tuple[Autoencoding, PointCloud]) -> None:
    task, cloud = trained
    output = task(cloud)
    typical = task.distance(output).mean().detach()
    torch.manual_seed(2)
    pt = torch.full((CHAINS,), 600.0)
    made = invented(task, output.latent.detach(), pt, typical)
    seen = as_cloud(made, pt)
    error = task.distance(task.rebuild(seen, made))
    parameters = [p for p in task.parameters() if p.requires_grad]
    term = (error.square() / (2 * HIGH * typical) - error).mean()
    slopes = torch.autograd.grad(term, parameters, allow_unused=True)
    with torch.no_grad():
        for p, slope in zip(parameters, slopes, strict=True):
            p -= 0 if slope is None else 1e-3 * slope / max(float(slope.norm()), 1e-9)
        after = task.distance(task.rebuild(seen, made))
    low = error < HIGH * typical
    assert bool(low.any()) and after[low].mean() > error[low].mean()


def test_the_term_is_there_in_training_alone(trained: tuple[Autoencoding, PointCloud]) -> None:
    task, cloud = trained
    terms = task.train().loss(task(cloud), cloud)
    assert "contrast" in terms and bool(torch.isfinite(terms["contrast"])) and terms["contrast"].requires_grad
    torch.manual_seed(3)
    one = contrast(task, task(cloud), cloud, torch.tensor(0.1))
    torch.manual_seed(3)
    assert torch.equal(one, contrast(task, task(cloud), cloud, torch.tensor(0.1)))
    with torch.no_grad():
        assert "contrast" not in task.eval().loss(task(cloud), cloud)
    task.train()
    empty = jets(1, constituents=0)
    assert "contrast" not in task.loss(task(empty), empty)


def test_in_the_frame_of_the_store_nothing_can_be_invented() -> None:
    with pytest.raises(ValueError, match="contrast above 0 came with frame jet"):
        autoencoding("pfn", frame="jet", contrast=0.1)
    assert isinstance(autoencoding("pfn", frame="standard", contrast=0.1), nn.Module)
