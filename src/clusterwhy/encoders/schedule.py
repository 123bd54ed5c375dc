"""Learning rates of a training that ends early on data that it has learned."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

RISE = 0.3  # share of all steps in which the rate rises; this and the next are those of torch's OneCycleLR
FIRST = 0.04  # of the highest rate, at the first step
COOL_DOWN = 4  # training ends after a part of one in so many of the steps taken until the loss was flat


@dataclass(frozen=True)
class OneCycle:
    """One cycle (Smith and Topin 2017, arXiv 1708.07120): the rate rises and falls once, by half a cosine each.

    Once the validation loss is flat, the rate falls to 0 within a quarter of the steps taken so far, and training ends.

    Args:
        highest: learning rate.
        n_steps: of a training whose loss falls to its end.
        flat_gain: the loss is flat where the last third of the steps made the lowest loss lower by less than this
            share; asked once the rate has risen. None: never.
    """

    highest: float
    n_steps: int
    flat_gain: float | None

    def flat_at(self, history: Sequence[dict[str, float]]) -> int | None:
        """The step of the first row of a training's history at which the validation loss was flat."""
        if self.flat_gain is None:
            return None
        for n, row in enumerate(history):
            before = [other["validation_loss"] for other in history[:n] if 3 * other["step"] <= 2 * row["step"]]
            lowest = min(other["validation_loss"] for other in history[: n + 1])
            if row["step"] > RISE * self.n_steps and before and lowest >= (1.0 - self.flat_gain) * min(before):
                return int(row["step"])
        return None

    def end(self, flat: int | None) -> int:
        """The last step of a training whose loss was flat at a step."""
        return self.n_steps if flat is None else min(self.n_steps, flat + max(1, flat // COOL_DOWN))

    def rate(self, step: int, flat: int | None) -> float:
        """Learning rate of a step; steps count from 1."""
        if flat is not None and step > flat:
            return self.rate(flat, None) * _falling((step - flat) / (self.end(flat) - flat))
        done, risen = step - 1, RISE * self.n_steps - 1
        if done < risen:
            return self.highest * (1.0 - (1.0 - FIRST) * _falling(done / risen))
        return self.highest * _falling((done - risen) / (self.n_steps - 1 - risen))


def _falling(part: float) -> float:
    """1 at 0, 0 at 1, by half a cosine."""
    return (1.0 + math.cos(math.pi * part)) / 2.0
