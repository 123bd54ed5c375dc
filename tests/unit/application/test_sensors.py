"""Sensors that no longer measure as they did."""

from collections.abc import Callable

import numpy as np
import pytest

from clusterwhy.application.sensors import Sensor, sensor_checks

N = 4000


def wave(rng: np.random.Generator) -> np.ndarray:
    return np.sin(np.arange(N) / 30.0) + 0.1 * rng.normal(size=N)


def stuck(values: np.ndarray) -> np.ndarray:
    values[1000:1500] = values[1000]
    return values


CASES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "": lambda values: values,
    "all zero": lambda values: 0.0 * values,
    "frozen": stuck,
    "saturated": lambda values: np.minimum(values, 0.7),
    "other scale": lambda values: 1000.0 * values,
    "outside its range": lambda values: values + 1.5,
}


@pytest.mark.parametrize("check", CASES)
def test_each_fault_of_a_sensor_is_told_by_its_name_and_no_other(rng: np.random.Generator, check: str) -> None:
    new = CASES[check](wave(rng))
    table = sensor_checks([Sensor("a", new, wave(rng), "", "bar"), Sensor("b", wave(rng), wave(rng), "", "")], 64)
    told = set(table["check"]) - ({"outside its range"} if check == "other scale" else set())
    assert told == {check} - {""} and set(table["channel"]) <= {"a"}


def test_another_unit_is_told_where_both_are_known(rng: np.random.Generator) -> None:
    table = sensor_checks([Sensor("a", wave(rng), wave(rng), "kPa", "bar")], 64)
    assert table["check"].tolist() == ["other unit"] and table["says"].item() == "is given in kPa, the study's in bar"


def test_a_thousandfold_scale_is_named(rng: np.random.Generator) -> None:
    table = sensor_checks([Sensor("a", 1000.0 * wave(rng), wave(rng), "", "")], 64)
    assert "a thousand times" in table["says"].iloc[0]


def test_a_valve_that_rests_for_long_and_a_switch_are_as_they_were() -> None:
    valve, switch = np.repeat([0.0, 1.0, 0.0, 1.0], N // 4), np.tile([0.0, 0.0, 1.0], N // 3)
    table = sensor_checks([Sensor("valve", valve, valve, "", ""), Sensor("switch", switch, switch, "", "")], 64)
    assert table.empty


def test_a_channel_that_was_constant_and_moves_is_told(rng: np.random.Generator) -> None:
    table = sensor_checks([Sensor("a", wave(rng), np.full(N, 2.0), "", "")], 64)
    assert table["check"].tolist() == ["no longer constant"]
