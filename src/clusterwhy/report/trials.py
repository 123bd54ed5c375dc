"""Other clusters and projections of a study's embeddings, tried from a served page; no artifact changes."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, get_args

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from clusterwhy.artifacts.store import read_table
from clusterwhy.clustering.base import Clusterer
from clusterwhy.clustering.density import Hdbscan
from clusterwhy.clustering.tree_cuts import TreeCut, cut_windows, matched, tree_cuts
from clusterwhy.compute.resources import require
from clusterwhy.compute.rounding import coincide
from clusterwhy.config import Settings, build_settings
from clusterwhy.metrics.clusters import label_agreement
from clusterwhy.projection import Projection, Umap
from clusterwhy.report.array_encoding import pack
from clusterwhy.report.page_data import hex_colour
from clusterwhy.report.study_results import StudyResults
from clusterwhy.types import FloatArray, IntArray

STAGES = {"clusterer": "cluster", "projection": "project"}  # whose provenance has the settings of a group
# what can be tried, and what the page calls it
TRIED = {
    "clusterer": {
        "min_cluster_share": "smallest cluster (share of windows)",
        "min_cluster_size": "smallest cluster (windows)",
        "min_samples_share": "min samples (share of windows)",
        "min_samples": "min samples (windows)",
        "selection": "selection",
        "cluster_selection_epsilon": "epsilon (distance)",
    },
    "projection": {"n_neighbors": "neighbours", "min_dist": "least distance", "metric": "metric"},
}
NEIGHBOUR_BYTES = 100  # of memory for a neighbour of a window in UMAP's graph
Value = int | float | str | None


class TrialRequest(BaseModel):
    """A request of the page: so many clusters of the study's tree, or other values of settings."""

    model_config = ConfigDict(extra="forbid", strict=True)

    n_clusters: int | None = None
    clusterer: dict[str, Value] = Field(default_factory=dict, max_length=20)
    projection: dict[str, Value] = Field(default_factory=dict, max_length=20)


@dataclass(frozen=True)
class Tried:
    """What other settings give.

    Attributes:
        labels: (window,) clusters, with the numbers of the study's where they share most windows; -1 is noise.
        projection: (window, 2); None: that of the study.
        overrides: group -> values by which the pipeline gives the same.
    """

    labels: IntArray
    projection: FloatArray | None
    overrides: Mapping[str, Mapping[str, Value]]


@dataclass(frozen=True)
class Trials:
    """Tries other settings on the stored embeddings of a study.

    Attributes:
        study: whose embeddings, projection and condensed tree are used.
        files: group -> the file in which a value becomes permanent.
    """

    study: StudyResults
    files: Mapping[str, str]

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The clusterer and the projection of the study.

        Raises:
            ConfigError: lists what is invalid.
        """
        return build_settings(self._configs)

    @cached_property
    def cuts(self) -> dict[int, TreeCut]:
        """Number of clusters -> the cut of the study's condensed tree; empty where there is none."""
        if not isinstance(self.settings["clusterer"], Hdbscan) or coincide(self.study.embeddings):
            return {}
        return tree_cuts(read_table(self.study.folders["cluster"] / "condensed_tree.parquet"))

    @property
    def offer(self) -> dict[str, Any]:
        """What the page offers to try: numbers of clusters, fields with the study's values, what cannot be tried."""
        return {
            "n_clusters": list(self.cuts),
            "own": int(self.study.labels.max(initial=-1)) + 1,
            "fields": [field for group in TRIED for field in self._fields(group)],
            "cannot": self.cannot,
        }

    @property
    def cannot(self) -> list[str]:
        """Sentences on what cannot be tried in this study, and why."""
        clusterer, projection = self.settings["clusterer"], self.settings["projection"]
        told = []
        if not isinstance(clusterer, Hdbscan):
            told.append(
                f"Clusters cannot be tried: the study has those of `{type(clusterer).__name__}`, and the number of "
                "clusters and these settings are of HDBSCAN (`clusterer=hdbscan`)."
            )
        elif not self.cuts:
            told.append("The number of clusters cannot be chosen: the study's tree of clusters does not split.")
        if not isinstance(projection, Umap):
            told.append(
                f"The projection cannot be tried: the study has that of `{type(projection).__name__}`, and these "
                "settings are of UMAP (`projection=umap`)."
            )
        elif clusterer.space == "embeddings":
            told.append("The study clusters embeddings: another projection moves the points, and clusters stay.")
        return told

    def run(self, asked: TrialRequest) -> Tried:
        """The clusters, and the projection if it changes, by other settings.

        Raises:
            ValueError: the request names something that cannot be tried.
            ConfigError: lists every invalid value.
            DataError: too few windows for these settings.
            ResourceError: memory does not suffice.
        """
        if asked.n_clusters is not None:
            return self._cut(asked)
        changes = {group: self._changes(group, getattr(asked, group)) for group in TRIED}
        settings = build_settings({group: {**config, **changes[group]} for group, config in self._configs.items()})
        placed = self._placed(settings["projection"]) if changes["projection"] else None
        return Tried(self._labels(settings["clusterer"], changes, placed), placed, changes)

    def answer(self, asked: TrialRequest) -> dict[str, Any]:
        """`run` as the page reads it: arrays, agreement with the study's clusters, and how to make it permanent."""
        found = self.run(asked)
        arrays = [pack("tried_cluster", found.labels)]
        if found.projection is not None:
            arrays += [pack(f"tried_{axis}", places) for axis, places in zip("xy", found.projection.T, strict=True)]
        agreement = label_agreement(np.asarray(self.study.labels), found.labels)
        numbers, counts = np.unique(found.labels, return_counts=True)
        changed = {group: values for group, values in found.overrides.items() if values}
        return {
            "arrays": {one.name: {**one.about, "text": one.text} for one in arrays},
            "clusters": [
                {"cluster": number, "n_windows": n, "colour": hex_colour(number)}
                for number, n in zip(numbers.tolist(), counts.tolist(), strict=True)
            ],
            "n_clusters": agreement["n_clusters"],
            "noise_share": agreement["noise_share"],
            "ami": agreement["ami"] if np.isfinite(agreement["ami"]) else None,
            "overrides": " ".join(
                f"{group}.{name}={written(value)}"
                for group, values in changed.items()
                for name, value in values.items()
            ),
            "files": [self.files[group] for group in changed],
        }

    @cached_property
    def _configs(self) -> dict[str, Mapping[str, Any]]:
        return {group: self.study.provenance(stage)["config"][group] for group, stage in STAGES.items()}

    def _fields(self, group: str) -> list[dict[str, Any]]:
        """The fields of a group that the study sets, with its values; choices where only some words are allowed."""
        own: Settings = self.settings[group]
        if not isinstance(own, Hdbscan | Umap):
            return []
        return [
            {
                "group": group,
                "name": name,
                "says": says,
                "value": value,
                "choices": [one for one in get_args(type(own).model_fields[name].annotation) if isinstance(one, str)],
            }
            for name, says in TRIED[group].items()
            if (value := getattr(own, name)) is not None
        ]

    def _changes(self, group: str, values: Mapping[str, Value]) -> dict[str, Value]:
        """The values of a request that differ from the study's."""
        own = {field["name"]: field["value"] for field in self._fields(group)}
        if unknown := sorted(set(values) - set(own)):
            offered = ", ".join(own) or "none in this study"
            raise ValueError(f"{group}: cannot try {', '.join(unknown)[:200]}; expected {offered}")
        return {name: value for name, value in values.items() if value != own[name]}

    def _cut(self, asked: TrialRequest) -> Tried:
        if asked.clusterer or asked.projection:
            raise ValueError("expected `n_clusters`, or values of settings, not both")
        cut = self.cuts.get(asked.n_clusters or 0)
        if cut is None:
            offered = ", ".join(map(str, self.cuts)) or "none: the study has no tree of clusters that splits"
            raise ValueError(f"n_clusters: the tree has no cut into {asked.n_clusters} clusters; expected {offered}")
        clusterer = self.settings["clusterer"]
        tree = read_table(self.study.folders["cluster"] / "condensed_tree.parquet")
        labels = cut_windows(cut, clusterer, self._points(clusterer, None), self.study.embeddings, tree)
        overrides: dict[str, Value] = {"selection": "leaf", "cluster_selection_epsilon": cut.epsilon}
        return Tried(self._matched(labels), None, {"clusterer": self._changes("clusterer", overrides)})

    def _placed(self, projection: Projection) -> FloatArray:
        seed, embeddings = self.study.provenance("project")["config"]["seed"], self.study.embeddings
        if isinstance(projection, Umap):
            links = int(projection.fitted(len(embeddings), seed).sum()) * projection.n_neighbors
            folder = self.study.folders["project"]
            require("this projection", NEIGHBOUR_BYTES * links, 0, folder, "use fewer neighbours")
        return projection.fit(np.asarray(embeddings), seed)

    def _labels(
        self, clusterer: Clusterer, changes: Mapping[str, Mapping[str, Value]], placed: FloatArray | None
    ) -> IntArray:
        """Clusters of the study where neither settings nor points of the clusterer change."""
        if not changes["clusterer"] and (placed is None or clusterer.space != "projection"):
            return np.asarray(self.study.labels)
        embeddings = np.asarray(self.study.embeddings)
        return self._matched(clusterer.fit(self._points(clusterer, placed), embeddings, self.study.data.index).labels)

    def _points(self, clusterer: Clusterer, placed: FloatArray | None) -> FloatArray:
        if clusterer.space == "embeddings":
            return np.asarray(self.study.embeddings)
        return np.asarray(self.study.projection if placed is None else placed)

    def _matched(self, labels: IntArray) -> IntArray:
        own = np.asarray(self.study.labels)
        return matched(labels, own, int(own.max(initial=-1)) + 1)


def written(value: Value) -> str:
    """A value as YAML and Hydra read it: a float carries a dot."""
    text = repr(value) if isinstance(value, float) else "null" if value is None else str(value)
    return text.replace("e", ".0e", 1) if isinstance(value, float) and "e" in text and "." not in text else text
