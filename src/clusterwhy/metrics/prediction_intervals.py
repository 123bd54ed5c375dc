"""Where the value of a further repetition will lie, from few repetitions of many quantities.

Three trainings tell little about the spread of one channel's share, but hundreds of shares were repeated three times
each. Their variances are drawn towards a common one, as far as they differ by no more than chance (moderated variances,
Smyth 2004, "Linear models and empirical Bayes methods for assessing differential expression").
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import digamma, polygamma, stdtr, stdtrit  # scipy.stats takes half a second to import

from clusterwhy.errors import ShapeError
from clusterwhy.types import FloatArray

SMALLEST = 1e-8  # share of the mean variance below which a variance is rounding


@dataclass(frozen=True)
class Repeated:
    """Quantities that were measured several times.

    Attributes:
        mean: (quantity,) over repetitions.
        variance: (quantity,) moderated, of one repetition.
        freedom: degrees of freedom of these variances.
        count: repetitions.
    """

    mean: FloatArray
    variance: FloatArray
    freedom: float
    count: int

    @classmethod
    def of(cls, values: FloatArray) -> "Repeated":
        """From values (repetition, quantity).

        Raises:
            ShapeError: fewer than two repetitions.
        """
        if len(values) < 2:
            raise ShapeError(f"expected two repetitions or more, got {len(values)}")
        variance, freedom = moderated(values.var(axis=0, ddof=1), len(values) - 1)
        return cls(values.mean(axis=0), variance, freedom, len(values))

    def limits(self, more: FloatArray | float = 0.0, confidence: float = 0.95) -> FloatArray:
        """(low and high, quantity) of the interval that a further repetition lies in.

        Args:
            more: (quantity,) variance that the further repetition has and these do not show, such as that of another
                draw of windows.
        """
        half = stdtrit(self.freedom, 0.5 + confidence / 2) * np.sqrt(self._of_next() + more)
        return np.stack([self.mean - half, self.mean + half])

    def chance_above_zero(self, more: FloatArray | float = 0.0) -> FloatArray:
        """(quantity,) probability that a further repetition is above 0; 1/2 where nothing is known of it."""
        spread = np.sqrt(self._of_next() + more)
        with np.errstate(divide="ignore", invalid="ignore"):
            distance = np.where(spread > 0, self.mean / spread, np.sign(self.mean) * np.inf)
        return np.asarray(stdtr(self.freedom, np.nan_to_num(distance, posinf=np.inf, neginf=-np.inf)))

    def _of_next(self) -> FloatArray:
        """(quantity,) variance of a further repetition around the mean of these."""
        return np.asarray(self.variance * (1.0 + 1.0 / self.count))


def moderated(variances: FloatArray, freedom: int) -> tuple[FloatArray, float]:
    """Variances drawn towards a common one, and their degrees of freedom.

    The common variance and its weight are those of the scaled F distribution with the mean and variance of the
    logarithms (Smyth 2004, section 6.2). With fewer than three variances that are not 0 they stay as they are.

    Args:
        variances: (quantity,) each from `freedom` + 1 repetitions.
        freedom: degrees of freedom of each.
    """
    known = variances[variances > SMALLEST * variances.mean()] if variances.any() else variances[:0]
    if len(known) < 3:
        return variances, float(freedom)
    logs = np.log(known) - digamma(freedom / 2) + np.log(freedom / 2)
    excess = float(logs.var(ddof=1) - polygamma(1, freedom / 2))
    if excess <= 0:  # they differ by chance alone
        return np.full_like(variances, np.exp(logs.mean())), np.inf
    prior = 2 * _inverse_trigamma(excess)
    common = float(np.exp(logs.mean() + digamma(prior / 2) - np.log(prior / 2)))
    return (prior * common + freedom * variances) / (prior + freedom), prior + freedom


def _inverse_trigamma(value: float) -> float:
    """x with trigamma(x) = value, by Newton's method (Smyth 2004, appendix)."""
    x = 0.5 + 1.0 / value
    for _ in range(50):
        at = float(polygamma(1, x))
        step = at * (1.0 - at / value) / float(polygamma(2, x))
        x += step
        if -step / x < 1e-10:
            break
    return x
