"""How small a difference between two models can a benchmark see? Asked before a run, and after one that saw nothing.

Two models on the same problems differ per problem by d, the difference of their shares right. With one sample d is -1,
0 or 1, and its variance is about the *discordance*: the share of problems on which the two disagree. Part of it is
chance of sampling, which k samples divide by k; the rest is problems that one model can do and the other cannot, which
only more problems reduce. The smallest detectable difference is

    (z(1 - alpha / 2) + z(power)) * sqrt(variance / problems)

(Miller, arXiv:2411.00640, section 5; for one sample it is Miettinen's for McNemar's test, Biometrics 24, 1968, to the
first order).
"""

import math
from statistics import NormalDist

ALPHA = 0.05
POWER = 0.8
# Measured on a 3B model before and after RL: 9 % of GSM8K's problems, 6 % of SVAMP's, 19 % of OlympiadBench's.
DISCORDANCE = 0.15
# Of the discordance. Two checkpoints of one run differ by sampling almost alone (0.95 on AIME 2024 and AMC 2023 at
# temperature 0.6), two different models by what they know as well: 0.5 is the cautious figure.
SAMPLING_SHARE = 0.5


def paired_variance(k: int, discordance: float = DISCORDANCE, sampling_share: float = SAMPLING_SHARE) -> float:
    """Return the variance per problem of the paired difference with k samples of each model."""
    if k < 1:
        raise ValueError(f"`k` is {k}; it must be at least 1")
    return discordance * (1.0 - sampling_share + sampling_share / k)


def smallest_detectable(num_problems: int, k: int = 1, *, variance: float | None = None, alpha: float = ALPHA) -> float:
    """Return the true difference of shares right that 80 of 100 such comparisons would find; NaN without problems.

    `variance` is that of the paired difference per problem where it has been measured, `alpha` the level of the test.
    """
    if not num_problems:
        return math.nan
    found = paired_variance(k) if variance is None else variance
    return min(1.0, _reach(alpha) * math.sqrt(found / num_problems))


def problems_needed(difference: float, variance: float, alpha: float = ALPHA) -> int | None:
    """Return how many problems would show a true difference of this size; None for no difference at all."""
    return math.ceil((_reach(alpha) / difference) ** 2 * variance) if difference else None


def _reach(alpha: float) -> float:
    normal = NormalDist()
    return normal.inv_cdf(1.0 - alpha / 2) + normal.inv_cdf(POWER)
