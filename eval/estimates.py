"""Estimates over problems with several samples each, and their errors.

A problem's samples are not independent of each other, so an error counts problems, not samples: the standard error is
that of the mean over problems of their means (clustered by question; Miller, "Adding Error Bars to Evals",
arXiv:2411.00640, section 2.2). Errors over repeats, which are published more often, leave out which problems were asked
and are several times too small.

An interval is Wilson's (J. Am. Stat. Assoc. 22, 1927) over an effective number of problems: as many right-or-wrong ones
as would have this error (Korn & Graubard, Survey Methodology 24, 1998; of the forms compared by Franco, Little, Louis
and Slud, J. Survey Statistics and Methodology 7, 2019, Wilson's is one of the two that they recommend). The error
measured on few problems that differ from the rest is too small, and 0 where all are alike: 30 problems of which none
was ever solved may be followed by one that is. So the effective number is measured with one more problem, half right
and half wrong (Jeffreys' prior), and is never more than there are answers. With one sample a problem it is the number
of problems, and the interval Wilson's own. `tests/test_estimates.py` simulates how often it holds the truth.

Shapes: P problems, K samples each.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A mean over problems with its clustered standard error; NaN where it cannot be had.

    `num_effective` is how many right-or-wrong problems would say as much.
    """

    value: float
    standard_error: float
    num_effective: float

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval over the effective number of problems."""
        if math.isnan(self.value):
            return math.nan, math.nan
        square = NormalDist().inv_cdf(0.5 + CONFIDENCE / 2) ** 2 / self.num_effective
        centre = (self.value + square / 2) / (1 + square)
        spread = max(0.0, self.value * (1 - self.value))  # rounding may leave a mean of 1 + 1e-16
        reach = math.sqrt(square * spread + square * square / 4) / (1 + square)
        return max(0.0, centre - reach), min(1.0, centre + reach)


def over_problems(values: Sequence[float], num_answers: float = math.inf) -> Estimate:
    """Return the mean of one value in [0, 1] per problem; the standard error of fewer than two problems is NaN.

    `num_answers` is how many independent answers the values are made of.
    """
    if not values or any(map(math.isnan, values)):
        return Estimate(value=math.nan, standard_error=math.nan, num_effective=math.nan)
    array_P = np.asarray(values, dtype=float)
    error = float(array_P.std(ddof=1) / math.sqrt(len(array_P))) if len(array_P) > 1 else math.nan
    most = max(num_answers, len(array_P))
    return Estimate(value=float(array_P.mean()), standard_error=error, num_effective=min(_effective(array_P), most))


def _effective(values_P: NDArray[np.float64]) -> float:
    """Return the effective number of problems, measured with one more: at least as many as there are.

    The variance of a mean of n right-or-wrong problems is m (1 - m) / n; with the imagined one in m and in the
    variance of the values, n comes out as the number of problems where all values are 0 or 1.
    """
    count = len(values_P) + 1
    mean = (values_P.sum() + 0.5) / count
    variance = (np.square(values_P).sum() + 0.5) / count - mean**2
    return float(mean * (1 - mean) / variance * (count + 1) - 2)


def error_over_repeats(rights: Sequence[Sequence[bool]]) -> float:
    """Return the standard error of the mean accuracy over k repeats of the whole set.

    It says how far another sampling of these very problems would fall, and nothing about other problems: compare no
    models by it. NaN with a single repeat, or where problems have different numbers of samples.
    """
    num_repeats = {len(samples) for samples in rights}
    if len(num_repeats) != 1 or num_repeats == {1}:
        return math.nan
    repeats_K = np.asarray(rights, dtype=float).mean(axis=0)
    return float(repeats_K.std(ddof=1) / math.sqrt(len(repeats_K)))


def pass_at_k(num_samples: int, num_correct: int, k: int) -> float:
    """Return the unbiased chance that one of k samples is right; NaN when there are fewer than k samples.

    1 - C(n - c, k) / C(n, k) as a product of k factors (Chen et al., arXiv:2107.03374, section 2.1 and figure 3).
    """
    if k < 1:
        raise ValueError(f"`k` is {k}; it must be at least 1")
    if num_samples < k:
        return math.nan
    wrong = num_samples - num_correct
    return 1.0 - math.prod((wrong - i) / (num_samples - i) for i in range(k)) if wrong >= k else 1.0
