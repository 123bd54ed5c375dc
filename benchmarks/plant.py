"""A made-up plant with coupled channels, on a normal day and with faults of single sensors and of the process."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from clusterwhy.data.series import Series

CHANNELS = ("feed", "level", "outflow", "valve", "temperature", "coolant", "pressure", "quality")
UNITS = ("l/s", "m", "l/s", "%", "degC", "l/s", "bar", "%")
NOISE = np.array([0.02, 0.01, 0.02, 0.3, 0.1, 0.02, 0.01, 0.2])
RATE_HZ = 1.0


@dataclass(frozen=True)
class State:
    """What a step of the plant depends on beside its controllers: parts of the process that can break.

    Attributes:
        leak: outflow that no sensor sees, l/s.
        fouling: share of the cooling that is lost.
        stiction: change of the valve's order that it does not follow, %.
        disturbance: added to the feed, the pressure and the quality, in units of their noise.
    """

    leak: float = 0.0
    fouling: float = 0.0
    stiction: float = 0.0
    disturbance: float = 0.0


# the process: what breaks, and the channels by which an operator would tell
PROCESS: dict[str, tuple[State, tuple[str, ...]]] = {
    "leak": (State(leak=0.25), ("level", "outflow", "valve")),
    "fouled cooler": (State(fouling=0.35), ("temperature", "coolant", "quality")),
    "sticking valve": (State(stiction=8.0), ("valve", "level", "outflow")),
    "disturbed supply": (State(disturbance=8.0), ("feed", "pressure", "quality")),
}
# single sensors: the channel and what it shows instead
SENSORS: dict[str, tuple[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]]] = {
    "biased level": ("level", lambda shown, rng: shown + 0.25),
    "drifting temperature": ("temperature", lambda shown, rng: shown + np.linspace(0.0, 6.0, len(shown))),
    "noisy pressure": ("pressure", lambda shown, rng: shown + 0.08 * rng.normal(size=len(shown))),
    "frozen quality": ("quality", lambda shown, rng: np.full(len(shown), shown[0])),
}
FAULTS = (*PROCESS, *SENSORS)


def run(n: int, seed: int, fault: str = "", begins: int = 0) -> Series:
    """A recording of n seconds.

    Args:
        fault: one of `FAULTS`, from second `begins` on; "" for none.
    """
    rng = np.random.default_rng(seed)
    broken = PROCESS[fault][0] if fault in PROCESS else State()
    shown = _measured(n, rng, broken, begins) + NOISE * rng.normal(size=(n, len(CHANNELS)))
    if fault in SENSORS:
        name, instead = SENSORS[fault]
        column = CHANNELS.index(name)
        shown[begins:, column] = instead(shown[begins:, column], rng)
    return Series(
        name=fault or "normal",
        values=shown,
        time=np.arange(n) / RATE_HZ,
        rate_hz=RATE_HZ,
        channels=CHANNELS,
        units=UNITS,
        train_stop=n,
        anomalous=(np.arange(n) >= begins) & bool(fault),
    )


def true_channels(fault: str) -> list[int]:
    """Positions of the channels by which an operator would tell a fault."""
    names = PROCESS[fault][1] if fault in PROCESS else (SENSORS[fault][0],)
    return [CHANNELS.index(name) for name in names]


def _measured(n: int, rng: np.random.Generator, broken: State, begins: int) -> np.ndarray:
    """(time, channel) without noise: a tank with level control, a cooler with temperature control, a buffer of gas."""
    level, valve, heat, coolant, pressure, quality = 2.0, 50.0, 60.0, 1.0, 3.0, 90.0
    at_valve, total, feed, wanted = 50.0, 0.0, 1.0, 1.0
    found = np.zeros((n, len(CHANNELS)))
    for t in range(n):
        state = broken if t >= begins else State()
        if rng.random() < 1 / 240:  # the operator sets another feed
            wanted = rng.uniform(0.7, 1.3)
        shock = state.disturbance * np.sin(t / 9.0)
        feed += 0.08 * (wanted - feed) + 0.01 * rng.normal()
        total = float(np.clip(total + 0.05 * (level - 2.0), -20.0, 20.0))
        valve = float(np.clip(50.0 + 60.0 * (level - 2.0) + 4.0 * total, 0.0, 100.0))
        if abs(valve - at_valve) > state.stiction:
            at_valve = valve
        outflow = 0.02 * at_valve * np.sqrt(max(level, 0.0) / 2.0)
        level += 0.05 * (feed - outflow - state.leak)
        coolant += 0.1 * (1.0 + 0.08 * (heat - 60.0) - coolant)
        heat += 0.05 * (feed * 20.0 - 20.0 * coolant * (1.0 - state.fouling)) + 0.05 * rng.normal()
        pressure += 0.1 * (3.0 + 0.4 * (feed - 1.0) - pressure) + 0.004 * rng.normal()
        quality += 0.05 * (90.0 - 0.6 * (heat - 60.0) - quality) + 0.03 * rng.normal()
        supply = shock * NOISE[[0, 6, 7]]
        found[t] = [
            *(feed + supply[0], level, outflow, at_valve, heat, coolant, pressure + supply[1], quality + supply[2])
        ]
    return found
