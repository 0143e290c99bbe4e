"""The drop-in graphs: the edges that PyTorch Geometric and torch_cluster give, but always the nearest ones."""

from __future__ import annotations

import pytest
import torch

from pcloud.neighbors import knn_graph, radius_graph

LINE = torch.tensor([[0.0], [1.0], [3.0], [0.0], [2.0]])
BATCH = torch.tensor([0, 0, 0, 1, 1])


def test_knn_on_paper() -> None:
    assert knn_graph(LINE, 1, BATCH).tolist() == [[1, 0, 1, 4, 3], [0, 1, 2, 3, 4]]
    assert knn_graph(LINE, 2, BATCH, loop=True).tolist() == [[0, 1, 1, 0, 2, 1, 3, 4, 4, 3], [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]]
    assert knn_graph(LINE, 1, BATCH, flow="target_to_source").tolist() == [[0, 1, 2, 3, 4], [1, 0, 1, 4, 3]]
    assert knn_graph(LINE, 1).tolist() == [[3, 0, 4, 0, 1], [0, 1, 2, 3, 4]]
    assert knn_graph(LINE[:0], 3).shape == (2, 0) and knn_graph(LINE, 1).dtype == torch.int64


def test_radius_keeps_the_nearest() -> None:
    assert radius_graph(LINE, 2.0, BATCH).tolist() == [[1, 0, 2, 1, 4, 3], [0, 1, 1, 2, 3, 4]]
    assert radius_graph(LINE, 2.0, BATCH, max_num_neighbors=1).tolist() == [[1, 0, 1, 4, 3], [0, 1, 2, 3, 4]]
    assert radius_graph(LINE, 0.5, BATCH, loop=True).tolist() == [[0, 1, 2, 3, 4]] * 2


def test_cosine_takes_the_angle() -> None:
    x = torch.tensor([[1.0, 0.0], [100.0, 1.0], [0.9, 0.9], [0.0, 2.0]])
    assert knn_graph(x, 1, cosine=True)[0].tolist() == [1, 0, 1, 2]


def test_events_without_points_and_given_batch_size() -> None:
    batch = torch.tensor([1, 1, 1, 4, 4])
    assert torch.equal(knn_graph(LINE, 1, batch, batch_size=7), knn_graph(LINE, 1, BATCH))
    with pytest.raises(ValueError, match="batch_size 3 came, but batch names event 4; at least 5 was expected"):
        knn_graph(LINE, 1, batch, batch_size=3)


def test_all_of_them_said_as_a_huge_number() -> None:
    """A table that wide would take 20 TB."""
    assert torch.equal(radius_graph(LINE, 9.0, BATCH, max_num_neighbors=10**12), radius_graph(LINE, 9.0, BATCH))
    assert torch.equal(knn_graph(LINE, 10**12, BATCH, loop=True), knn_graph(LINE, 5, BATCH, loop=True))


def test_one_coordinate_may_come_without_its_axis() -> None:
    assert torch.equal(knn_graph(LINE[:, 0], 2, BATCH), knn_graph(LINE, 2, BATCH))
    assert torch.equal(radius_graph(LINE[:, 0], 2.0, BATCH), radius_graph(LINE, 2.0, BATCH))


def test_wrong_questions() -> None:
    with pytest.raises(ValueError, match="sort the points by event first"):
        knn_graph(LINE, 1, BATCH.flip(0))
    with pytest.raises(ValueError, match=r"batch \[3\] came for 5 points"):
        radius_graph(LINE, 1.0, BATCH[:3])
    with pytest.raises(ValueError, match="flow 'up' came"):
        knn_graph(LINE, 1, flow="up")
