"""Events on disk and in batches: the Arrow store, the dataset over it, the sampler by a budget of points.

Open a store with ``pcloud.data.store.Store.open(path)`` and train on ``pcloud.data.dataset.Events(store, inputs)``.
"""
