"""The normalised form of an autoencoder: sets that it makes up itself and rebuilds well, though no jet is like them, cost.

``contrast(task, output, cloud, typical)`` is the term that Autoencoding adds to its loss.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pcloud import segments
from pcloud.cloud import PointCloud
from pcloud.jets.momenta import momenta, transverse
from pcloud.jets.sets import FRAMES, WeightedSet, as_cloud, as_set
from pcloud.losses.langevin import langevin

if TYPE_CHECKING:
    from pcloud.tasks.autoencoding import Autoencoding, Rebuilt

CHAINS, STEPS = 64, 5  # sets invented for a batch; steps in the latent, and as many in the set
IN_LATENT, IN_ANGLE, IN_LOG_SHARE = 0.2, 0.01, 0.1  # width of a step: in standard deviations of the batch, rad (of jets), 1
HIGH = 5.0  # in typical errors: no invented set is pushed further


def contrast(task: Autoencoding, output: Rebuilt, cloud: PointCloud, typical: Tensor) -> Tensor:
    """Mean over invented sets of E^2 / (2 HIGH T) - E, E their error, T the ``typical`` one: minus its own gradient is what a
    likelihood exp(-E / T) / Z adds to that of the error of the jets, until E is HIGH times T."""
    jets, _ = as_set(cloud.select(torch.randint(cloud.events, (CHAINS,))), task.frame)
    pt = segments.sum(transverse(momenta(jets, "the normalised form")), jets.offsets)
    made = invented(task, output.latent.detach(), pt, typical)
    error = _error(task, made, pt)
    return (error.square() / (2 * HIGH * typical) - error).mean()


def invented(task: Autoencoding, z: Tensor, pt: Tensor, temperature: Tensor) -> WeightedSet:
    """CHAINS sets drawn from about exp(-E / T), of jets of ``pt`` [CHAINS] (GeV).

    Latents, each number from another event of z [events, latent], move by Langevin steps in E(decode(z)); the sets decoded from
    them then move themselves in E, in directions and logarithms of shares (on-manifold start of Yoon et al., arXiv 2105.05735;
    of jets Dillon et al., 2206.14225). No gradient.
    """
    start = torch.stack([one[torch.randint(len(z), (len(pt),), device=z.device)] for one in z.unbind(1)], 1)
    width = IN_LATENT * z.std(0, correction=0)
    (start,) = langevin(
        lambda z: _error(task, task.decode(z)[0], pt), [start], widths=[width], temperature=temperature, steps=STEPS
    )
    with torch.no_grad():
        made = task.decode(start)[0]

    def of(pos: Tensor, log_share: Tensor) -> WeightedSet:
        return WeightedSet(pos, segments.softmax(log_share, made.offsets), made.offsets)

    parts = [made.pos, made.share.clamp(min=1e-6).log()]
    widths = [IN_ANGLE * task.unit / FRAMES["jet"].unit, IN_LOG_SHARE]
    return of(*langevin(lambda *x: _error(task, of(*x), pt), parts, widths=widths, temperature=temperature, steps=STEPS))


def _error(task: Autoencoding, made: WeightedSet, pt: Tensor) -> Tensor:
    return task.distance(task.rebuild(as_cloud(made, pt, task.frame), made))
