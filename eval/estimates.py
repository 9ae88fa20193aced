"""Estimates over problems with several samples each, and their errors.

A problem's samples are not independent of each other, so an error counts problems, not samples: the standard error is
that of the mean over problems of their means (clustered by question; Miller, "Adding Error Bars to Evals",
arXiv:2411.00640, section 2.2). Errors over repeats, which are published more often, leave out which problems were asked
and are several times too small.

Where all problems have the same share, that error is 0 and says nothing: 30 problems of which none was ever solved
may be followed by one that is. There the interval is Wilson's (J. Am. Stat. Assoc. 22, 1927) with a problem as the
unit: it supposes that a problem's samples are all right or all wrong, which is the most that shares can vary.

Shapes: P problems, K samples each, R random draws, A classes of answers.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

CONFIDENCE = 0.95
NUM_DRAWS = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A mean over problems with its clustered standard error; NaN where it cannot be had."""

    value: float
    standard_error: float
    num_problems: int

    @property
    def interval(self) -> tuple[float, float]:
        """The normal 95 % interval, cut at 0 and 1; Wilson's over problems where the error is 0."""
        reach = _quantile() * self.standard_error
        if math.isclose(self.standard_error, 0.0, abs_tol=1e-12):  # shares such as 0.1 leave rounding
            return _wilson(self.value, self.num_problems)
        if math.isnan(reach):
            return math.nan, math.nan
        return max(0.0, self.value - reach), min(1.0, self.value + reach)


def _quantile() -> float:
    return NormalDist().inv_cdf(0.5 + CONFIDENCE / 2)


def _wilson(share: float, num_problems: int) -> tuple[float, float]:
    square = _quantile() ** 2 / num_problems
    centre = (share + square / 2) / (1 + square)
    reach = math.sqrt(square * share * (1 - share) + square * square / 4) / (1 + square)
    return max(0.0, centre - reach), min(1.0, centre + reach)


def over_problems(values: Sequence[float]) -> Estimate:
    """Return the mean of one value per problem; the error of fewer than two problems is NaN."""
    if not values:
        return Estimate(value=math.nan, standard_error=math.nan, num_problems=0)
    array_P = np.asarray(values, dtype=float)
    error = float(array_P.std(ddof=1) / math.sqrt(len(array_P))) if len(array_P) > 1 else math.nan
    return Estimate(value=float(array_P.mean()), standard_error=error, num_problems=len(array_P))


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


def majority_at_k(votes: Sequence[int], right: Sequence[bool], num_samples: int, k: int, seed: int) -> float:
    """Return the chance that the majority of k of the samples is right; ties are split evenly.

    `votes` is how many samples fell into each class of answers, `right` which classes are right; the samples that are
    in no class have no vote. Exact for k = 1 and for all samples, else the mean over `NUM_DRAWS` draws of k samples
    without replacement. NaN when there are fewer than k samples.
    """
    if num_samples < k:
        return math.nan
    if k == 1:
        return sum(count for count, is_right in zip(votes, right, strict=True) if is_right) / num_samples
    counts = [*votes, num_samples - sum(votes)]
    if num_samples == k:
        drawn_RA = np.asarray([counts])
    else:
        drawn_RA = np.random.default_rng(seed).multivariate_hypergeometric(counts, k, size=NUM_DRAWS)
    voting_RA = drawn_RA[:, :-1]
    if not voting_RA.shape[1]:
        return 0.0
    highest_R1 = voting_RA.max(axis=1, keepdims=True)
    leading_RA = (voting_RA == highest_R1) & (highest_R1 > 0)
    num_leading_R = leading_RA.sum(axis=1)
    num_right_R = (leading_RA & np.asarray(right)).sum(axis=1)
    return float(np.mean(num_right_R / np.maximum(num_leading_R, 1)))
