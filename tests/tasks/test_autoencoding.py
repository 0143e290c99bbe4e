"""Autoencoding: the latent is the only way through, counts come from it too, known latents make a score, images by hand."""

from __future__ import annotations

from dataclasses import replace
from math import pi

import numpy as np
import pytest
import torch
from cases import autoencoding, encoder
from clouds import jets

from pcloud import segments
from pcloud.losses.sets import SET_LOSSES
from pcloud.tasks import Autoencoding, ImageAutoencoding


def test_what_is_decoded_is_a_function_of_the_latent_alone() -> None:
    """Two jets of other constituents, forced to one latent, come back as one set; and the jet's own bytes are not at hand."""
    task = autoencoding("pfn").eval()
    few, many = jets(1, constituents=5, seed=1), jets(1, constituents=40, seed=2)
    with torch.no_grad():
        task.squeeze.weight.zero_()
        one, other = task(few).made, task(many).made
        again, _ = task.decode(task(few).latent)
    for name in ("pos", "share", "offsets"):
        assert torch.equal(getattr(one, name), getattr(other, name)) and torch.equal(getattr(one, name), getattr(again, name))


def test_the_gradient_reaches_the_jet_through_the_latent_alone() -> None:
    task, cloud = autoencoding("pfn").eval(), jets(3)
    feat = cloud.feat.clone().requires_grad_()
    output = task(replace(cloud, feat=feat))
    said = output.made.pos.square().sum() + output.made.share.square().sum()
    to_latent, whole = torch.autograd.grad(said, (output.latent, feat), retain_graph=True)
    (by_latent,) = torch.autograd.grad(output.latent, feat, to_latent)
    torch.testing.assert_close(whole, by_latent)


def test_the_number_of_points_comes_from_the_latent() -> None:
    task = autoencoding("pfn").eval()
    with torch.no_grad():
        for bias, points in ((0.0, 1), (np.log(7.0), 7), (9.0, 16), (-9.0, 1)):
            task.counter[-1].weight.zero_()
            task.counter[-1].bias.fill_(float(bias))
            made = task(jets(4)).made
            assert segments.lengths(made.offsets).tolist() == [points] * 4
            torch.testing.assert_close(segments.sum(made.share, made.offsets), torch.ones(4))


@pytest.mark.parametrize("loss", SET_LOSSES)
def test_every_set_loss_trains_it(loss: str) -> None:
    task, cloud = autoencoding("pfn", loss=loss), jets(6)
    optimizer, course = torch.optim.Adam(task.parameters(), 3e-3), []
    for _ in range(25):
        terms = task.train().loss(task(cloud), replace(cloud, event_truth={}))
        optimizer.zero_grad()
        terms[loss].backward()
        optimizer.step()
        course.append(terms[loss].item())
    assert np.isfinite(course).all() and course[-1] < course[0]


def test_a_jet_unlike_all_known_ones_is_far_from_their_latents() -> None:
    task, cloud = autoencoding("pfn"), jets(40)
    assert "score_latent" not in task.eval().tabulate(task(cloud), cloud)
    task.train()(cloud)
    strange = replace(cloud, feat=cloud.feat + 30)
    known, unknown = (task.eval().tabulate(task(one), one)["score_latent"] for one in (cloud, strange))
    assert int(task.seen) == 40 and np.median(unknown) > 3 * np.median(known)
    z = task(cloud).latent
    by_hand = torch.cdist(z, z, compute_mode="donot_use_mm_for_euclid_dist").sort(1).values[:, :5].mean(1)
    np.testing.assert_allclose(known, by_hand.detach(), rtol=1e-4, atol=1e-5)


def test_the_latents_kept_are_the_last() -> None:
    task = Autoencoding(encoder("pfn", 7), latent=2, slots=4, channels=8, known=8).train()
    clouds = jets(12)
    task(clouds.select(list(range(8))))
    last = task(clouds.select([8, 9, 10])).latent
    assert torch.equal(task.reference[:3], last) and int(task.seen) == 11


def test_variational() -> None:
    """A divergence from the unit normal by hand; noise in training alone."""
    task, cloud = autoencoding("pfn", beta=0.5), jets(3)
    output = task.train()(cloud)
    mean, log_variance = output.latent, output.spread
    by_hand = 0.5 * 0.5 * (log_variance.exp() + mean**2 - 1 - log_variance).sum(1)
    weight = cloud.event_truth["weight"]
    torch.testing.assert_close(task.loss(output, cloud)["divergence"], (weight * by_hand).sum() / weight.abs().sum())
    assert not torch.equal(task(cloud).made.pos, task(cloud).made.pos)
    assert torch.equal(task.eval()(cloud).made.pos, task(cloud).made.pos)


def test_it_trains_without_labels() -> None:
    task, cloud = autoencoding("pfn"), jets(4).without_truth()
    assert sum(task.loss(task(cloud), cloud).values()).item() > 0
    assert set(task.summarize(task.eval().tabulate(task(cloud), cloud))) == {"score", "count_error"}


def test_whole_events_in_their_own_unit() -> None:
    """Directions in units of pi / 2: of the first set loss, and of what an untrained decoder says."""
    task, cloud = autoencoding("pfn", frame="event").eval(), jets(4)
    output = task(cloud)
    given, made = output.given, output.made
    by_hand = SET_LOSSES["energy"](
        made.pos * 2 / pi, made.offsets, given.pos * 2 / pi, given.offsets, x_weight=made.share, y_weight=given.share
    )
    torch.testing.assert_close(task.distance(output), by_hand)
    of_jets = autoencoding("pfn").eval().decode(output.latent)[0]
    torch.testing.assert_close(made.pos * 2 / pi, of_jets.pos / 0.8)
    terms = (normalised := autoencoding("pfn", frame="event", contrast=0.3).train()).loss(normalised(cloud), cloud)
    assert bool(torch.isfinite(terms["contrast"]))


@pytest.mark.parametrize("options", [{"loss": "emdd"}, {"latent": 0}, {"neighbors": 0}, {"known": 3}])
def test_options_that_make_no_sense(options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="came"):
        Autoencoding(encoder("pfn", 7), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("network", ["pca", "dense", "conv"])
def test_images(network: str) -> None:
    """Rows of jets, any number of them; trained a while, the error falls."""
    torch.manual_seed(0)
    task, cloud = ImageAutoencoding(network=network, latent=3, pixels=12, filters=4), jets(20)  # type: ignore[arg-type]
    optimizer = torch.optim.Adam(task.parameters(), 3e-3)
    first = task.eval()(cloud).mean().item()
    for _ in range(30):
        loss = task.train().loss(task(cloud), cloud.without_truth())["pixels"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    rows = task.eval().tabulate(task(cloud), cloud)
    assert rows["score"].mean() < first and len(rows["event_id"]) == 20
    assert {"auc", "e10", "e100"} <= task.summarize(rows).keys()
    assert len(task.tabulate(task(cloud.select([])), cloud.select([]))["score"]) == 0


def test_principal_components_of_many_batches_are_those_of_all_images() -> None:
    task, cloud = ImageAutoencoding(network="pca", latent=3, pixels=8), jets(60)
    network, images = task.network, []
    hook = network.register_forward_pre_hook(lambda _, given: images.append(given[0].flatten(1)))
    for first in range(0, 60, 20):
        task.train()(cloud.select(list(range(first, first + 20))))
    hook.remove()
    rows = torch.cat(images).double()
    whole = torch.linalg.svd(rows - rows.mean(0), full_matrices=False)
    torch.testing.assert_close(network.mean.double(), rows.mean(0), atol=1e-6, rtol=1e-4)
    torch.testing.assert_close(network.strength[:3].double(), whole.S[:3], rtol=1e-2, atol=0)
    agree = (network.components[:3].double() @ whole.Vh[:3].T).abs()
    torch.testing.assert_close(agree.diagonal(), torch.ones(3, dtype=torch.float64), atol=1e-2, rtol=0)
