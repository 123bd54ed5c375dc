"""Spans of time as one line of text, and how much two sets of spans have in common."""

import re
from typing import Annotated

import numpy as np
from pydantic import AfterValidator

from clusterwhy.types import FloatArray

NUMBER = r"-?\d+(?:\.\d+)?"
SPANS = re.compile(rf"(?:{NUMBER}\.\.{NUMBER}(?: |$))*")
DIGITS = 9  # after the decimal point: nanoseconds


def spans_of_text(text: str) -> FloatArray:
    """(span, 2) begin and end, of a line such as "0..42.5 860..1300"."""
    return np.array(text.replace("..", " ").split(), dtype=np.float64).reshape(-1, 2)


def text_of_spans(spans: FloatArray) -> str:
    """The line that `spans_of_text` reads."""
    return " ".join(f"{_number(first)}..{_number(last)}" for first, last in spans)


def _number(value: float) -> str:
    text = f"{value:.{DIGITS}f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _in_order(text: str) -> str:
    if not SPANS.fullmatch(text):
        raise ValueError('expected spans in seconds such as "0..42.5 860..1300"')
    if (np.diff(spans_of_text(text).ravel()) < 0).any():
        raise ValueError("expected spans in increasing order, without overlap")
    return text


Spans = Annotated[str, AfterValidator(_in_order)]


def length(spans: FloatArray) -> float:
    """Of all spans (span, 2) together."""
    return float((spans[:, 1] - spans[:, 0]).sum())


def common(first: FloatArray, second: FloatArray) -> float:
    """The length that two sets of spans (span, 2) have in common; each is in increasing order, without overlap."""
    if not len(first) or not len(second):
        return 0.0
    covered = np.concatenate([[0.0], np.cumsum(first[:, 1] - first[:, 0])])
    edges = np.concatenate([first.ravel(), [np.inf]])

    def before(times: FloatArray) -> FloatArray:
        """How much of `first` lies before each time."""
        at = np.searchsorted(edges, times, side="right")  # an odd place is within a span
        begun = np.where(at % 2 == 1, times - edges[np.maximum(at - 1, 0)], 0.0)
        return np.asarray(covered[at // 2] + begun)

    return float((before(second[:, 1]) - before(second[:, 0])).sum())
