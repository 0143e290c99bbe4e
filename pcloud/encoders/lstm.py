"""A recurrent network along a jet's constituents, hardest first (Egan et al., arXiv 1711.09059): a baseline.

The order is by pT, whatever the order of the cloud; the jet is what the network has in mind after its last constituent.
"""

from __future__ import annotations

import torch
from torch import nn

from pcloud import segments
from pcloud.cloud import PointCloud
from pcloud.encoders.protocol import Encoding, at_least_one
from pcloud.jets.momenta import COLUMNS, momenta, transverse
from pcloud.nn import Standardize


class LSTMEncoder(nn.Module):
    """points = the states of an LSTM of ``channels`` walking down in pT;  events = dropout(relu(W state after the softest)).

    pT comes from the point columns px, py; equal ones are taken in the order of their features. An empty jet has state 0.
    """

    edge_channels = 0
    point_columns = COLUMNS

    def __init__(self, *, in_channels: int, channels: int = 128, hidden: int = 64, dropout: float = 0.0) -> None:
        super().__init__()
        at_least_one(channels=channels, hidden=hidden)
        self.point_channels, self.event_channels = channels, hidden
        self.standardize = Standardize(in_channels)
        self.lstm = nn.LSTM(in_channels, channels, batch_first=True)
        self.dense = nn.Sequential(nn.Linear(channels, hidden), nn.ReLU(), nn.Dropout(dropout))

    def forward(self, cloud: PointCloud) -> Encoding:
        pt = transverse(momenta(cloud, "lstm"))
        order = torch.arange(cloud.points, device=pt.device)
        for key in (*cloud.feat.detach().unbind(1), -pt.detach(), cloud.event_of_point):
            order = order[torch.argsort(key[order], stable=True)]
        longest = max(cloud.max_points if cloud.max_points >= 0 else int(segments.lengths(cloud.offsets).max()), 1)
        walked, mask = segments.pad(self.standardize(cloud.feat)[order], cloud.offsets, longest)
        states = walked.new_zeros(0, longest, self.point_channels)
        if cloud.events:
            with torch.autocast(walked.device.type, enabled=False):  # not every CPU has it in half precision
                states, _ = self.lstm(walked.float())
        last = segments.lengths(cloud.offsets).sub(1).clamp(min=0)[:, None, None].expand(-1, 1, self.point_channels)
        final = states.gather(1, last).squeeze(1) * mask.any(1, keepdim=True)
        points = states.new_zeros(cloud.points, self.point_channels).index_copy(0, order, states[mask])
        return Encoding(points, events=self.dense(final))
