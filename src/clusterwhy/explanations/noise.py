"""Noise: the cluster that each window of it is nearest to, and what keeps it out."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from clusterwhy.clustering.base import NOISE
from clusterwhy.explanations.embedded_series import EmbeddedSeries
from clusterwhy.explanations.targets import FAITHFULNESS_TARGET
from clusterwhy.types import FloatArray, IntArray

COLUMNS = ["cluster", "channel", "share", "first_in", "n_windows"]


def nearest_clusters(series: EmbeddedSeries, labels: IntArray, embeddings: FloatArray, seed: int) -> IntArray:
    """(other window,) the cluster in which each of other windows is most nearly a member.

    Args:
        labels: (window,) cluster, -1 is noise; at least one cluster, and something else to compare it with.
        embeddings: (other window, feature).
    """
    import torch
    from torch import nn

    networks, _ = FAITHFULNESS_TARGET.networks(series.encoder, series.embeddings, labels, seed)
    points = torch.as_tensor(embeddings).float()
    memberships = []
    for network in networks.values():
        assert isinstance(network, nn.Sequential)  # the encoder and the head
        with torch.no_grad():
            memberships.append(network[-1].cpu()(points).numpy())
    return np.array(list(networks))[np.argmax(memberships, axis=0)]


def noise_table(windows: pd.DataFrame, relevance: FloatArray, channels: Sequence[str]) -> pd.DataFrame:
    """What keeps noise from the nearest cluster: one row per cluster and channel.

    Args:
        windows: of `WindowExplanations`.
        relevance: (explained window, channel).

    Returns:
        `share`: of |relevance|, the mean over the noise windows nearest to the cluster; negative keeps them out;
        `first_in`: windows that the channel keeps out most; `n_windows`: all of them.
    """
    tables = []
    windows = windows.reset_index(drop=True)
    for cluster, own in windows[windows["cluster"] == NOISE].groupby("explained_cluster"):
        size = own["size"].to_numpy()[:, None]
        shares = relevance[own.index] / np.where(size > 0, size, 1.0)
        first = np.bincount(shares.argmin(axis=1), minlength=len(channels))
        table = {"cluster": cluster, "channel": list(channels), "share": shares.mean(axis=0), "first_in": first}
        tables.append(pd.DataFrame(table).assign(n_windows=len(own)))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=COLUMNS)
