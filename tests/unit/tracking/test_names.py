"""Names of metrics and artifacts in W&B."""

import re

import pytest

from clusterwhy.tracking.names import ARTIFACTS, Collection, metric_name, metric_names

VALID = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("channel_deletion.|relevance|", "channel_deletion_abs_relevance"),
        ("clusters.untrained encoder.ami", "clusters_untrained_encoder_ami"),
        ("0.clusters", "_0_clusters"),
        ("Größe, m²", "Gr_e_m"),
        ("µ", "_"),
        ("x" * 200, "x" * 120),
    ],
)
def test_any_text_becomes_a_name_that_wandb_sorts_by(text: str, name: str) -> None:
    assert metric_name(text) == name
    assert VALID.fullmatch(name)


def test_nested_metrics_lose_no_value_where_names_meet() -> None:
    found = metric_names({"a": {"b.c": 1, "b_c": 2, "|d|": None}, "a_b_c": 3, "e": 4})
    assert found == {"a_b_c": 1, "a_b_c_2": 2, "a_abs_d": None, "a_b_c_3": 3, "e": 4}


def test_collections_are_named_after_the_study_and_have_a_type_of_their_content() -> None:
    assert Collection.of("train", "watch") == Collection("watch-encoder", "model")
    assert Collection.of("apply", "watch", "march") == Collection("watch-march-application", "application")
    assert Collection.of("score", "my pump", "", by_hand=True) == Collection("my-pump-scores-adhoc", "scores")
    assert re.fullmatch(r"[A-Za-z0-9_.-]{1,128}", Collection.of("report", "ü" * 300).name)
    suffixes = [suffix for _, suffix in ARTIFACTS.values()]
    assert len(set(suffixes)) == len(suffixes), "a collection holds artifacts of one stage"
