"""Pictures of relevance per frequency show each value at its frequency, channel and time."""

import numpy as np
from matplotlib.figure import Figure

from clusterwhy import relevance_by_frequency
from clusterwhy.plots.frequencies import draw_channels, draw_frames, draw_spectrum

RATE = 50.0
AT = np.arange(100) / RATE
TONE = np.sin(2 * np.pi * 5.0 * AT)
LATE = np.where(AT >= 1.0, np.sin(2 * np.pi * 7.5 * AT), 0.0)
WINDOWS = np.stack([TONE, LATE])[None]


def test_bars_stand_at_their_frequencies() -> None:
    found, ax = relevance_by_frequency(WINDOWS**2, WINDOWS, RATE), Figure().subplots()
    draw_spectrum(ax, found, 0, 0)
    heights = {round(bar.get_x() + bar.get_width() / 2, 6): bar.get_height() for bar in ax.patches}
    assert max(heights, key=lambda at: heights[at]) == 5.0
    np.testing.assert_allclose(heights[5.0], 50.0)


def test_maps_have_a_value_where_its_axes_say() -> None:
    found = relevance_by_frequency(WINDOWS**2, WINDOWS, RATE)
    ax = Figure().subplots()
    image = draw_channels(ax, found, 0, ("left", "right"))
    left, right, bottom, top = image.get_extent()
    row, column = np.unravel_index(np.asarray(image.get_array()).argmax(), found.values.shape[1:])
    assert row == 0 and [label.get_text() for label in ax.get_yticklabels()] == ["left", "right"]
    assert left + (column + 0.5) * (right - left) / found.values.shape[2] == 5.0
    assert (bottom, top) == (1.5, -0.5)


def test_a_map_over_time_has_frequency_upwards() -> None:
    found = relevance_by_frequency(WINDOWS**2, WINDOWS, RATE, frame=20)
    image = draw_frames(Figure().subplots(), found, 0, 1)
    values = np.asarray(image.get_array())
    left, right, bottom, top = image.get_extent()
    row, column = np.unravel_index(values.argmax(), values.shape)
    assert 1.0 < left + (column + 0.5) * (right - left) / values.shape[1] < 2.0
    np.testing.assert_allclose(top - (row + 0.5) * (top - bottom) / values.shape[0], 7.5)
