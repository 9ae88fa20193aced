"""Two models on the same problems: the difference of their accuracies, its interval and its p-value.

One sample a problem: Tango's score interval (Statistics in Medicine 17, 1998, 891-908), which keeps its coverage with
few changed problems and with accuracies near 0 and 1, where the normal interval does not; and McNemar's exact test
(Psychometrika 12, 1947).

Several samples: the interval is a hierarchical bootstrap's that draws problems with replacement and keeps all samples
of a drawn one. A problem's mean already carries the chance of its samples; drawing these again with replacement would
count it twice (Davison & Hinkley, Bootstrap Methods and their Application, 1997, section 3.8, strategy 1) and rejected
2 % of the time where 5 % was asked. Percentiles of few problems are too narrow by sqrt((P - 1) / P) and by the normal's
quantile over Student's: the draws are stretched about their mean by both (Hesterberg, The American Statistician 69,
2015: the expanded percentile interval).

The p-value of several samples is that of the exact sign-flip test (Fisher, The Design of Experiments, 1935, section
21): how often the differences would sum to as much had each problem's sign been a coin's. It is McNemar's where every
problem has one sample, and with m changed problems never below 2^(1 - m), whereas draws repeat the m that there are:
three that all gained would have p = 0.0002. It supposes that neither model is better at any problem. Where one is
better at many by a little and the other at a few by much, the bootstrap's own p-value can be larger, and is then the
one given.

An interval and a p-value never contradict each other: where the p-value is not below 1 - confidence, the interval is
widened to hold 0, and the bootstrap's p-value is that of draws stretched as far as the interval's, or as one of 95 %
where a lower level is asked for. Where all m changed one way could not be below it, the interval is widened to hold
Tango's too, which takes a changed problem for changed wholly.

Shapes: P problems, R draws, S sums of differences.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from reasoning_grpo.eval.metrics import CONFIDENCE, PairedComparison

NUM_DRAWS = 10_000
MAX_CELLS = 2_000_000  # problems times draws held at once
MAX_STEPS = 50_000  # sums held at once: one to three seconds for 12,000 changed problems
REACH = 12.0  # deviations on either side of 0; sums of random signs beyond are rarer than 1e-30 (Hoeffding)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """One problem under both models: samples right and samples graded."""

    right_before: int
    num_before: int
    right_after: int
    num_after: int

    @property
    def difference(self) -> Fraction:
        """Share right after minus share right before, exactly: floats would leave 1e-17 of a sum that is 0."""
        return self.difference_at(1)

    def difference_at(self, k: int) -> Fraction:
        """Unbiased pass@k after minus before (`estimates.pass_at_k`); k is at most the fewer samples of the two."""
        return _none_right(self.num_before, self.right_before, k) - _none_right(self.num_after, self.right_after, k)


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedDifference:
    """After minus before, as shares; NaN where there is nothing to compare.

    `variance` is that of the difference per problem. Where all problems differ alike it is 3 / problems, because up
    to 3 could have done otherwise (the rule of three, Hanley & Lippman-Hand, JAMA 249, 1983).
    """

    difference: float
    low: float
    high: float
    p_value: float
    wins: int
    losses: int
    ties: int
    variance: float
    method: str
    confidence: float = CONFIDENCE

    @property
    def num_problems(self) -> int:
        """Problems that both models were graded on."""
        return self.wins + self.losses + self.ties

    @property
    def is_significant(self) -> bool:
        """True where a difference as large would be rarer than 1 - confidence without one."""
        return self.p_value < 1.0 - self.confidence


def paired_difference(
    tallies: Sequence[Tally],
    *,
    k: int = 1,
    confidence: float = CONFIDENCE,
    num_draws: int = NUM_DRAWS,
    seed: int = 0,
) -> PairedDifference:
    """Compare pass@k, accuracy unless said, problem by problem."""
    exact = [tally.difference_at(k) for tally in tallies]
    wins, losses = sum(one > 0 for one in exact), sum(one < 0 for one in exact)
    differences = [float(one) for one in exact]
    is_single = all(tally.num_before == tally.num_after == 1 for tally in tallies)
    if not tallies:
        low = high = p_value = math.nan
    elif is_single:
        low, high = tango_interval(wins, losses, len(tallies), confidence)
        p_value = PairedComparison(wins=wins, losses=losses, num_problems=len(tallies)).p_value
    else:
        drawn_R = _draw(differences, num_draws, seed)
        low, high = _percentiles(_expanded(drawn_R, differences, confidence), confidence)
        tested_R = _expanded(drawn_R, differences, max(confidence, CONFIDENCE))
        p_value = max(sign_flip_p_value(exact), _two_sided(tested_R))
        if 2.0 ** (1 - wins - losses) >= 1.0 - confidence:
            wide_low, wide_high = tango_interval(wins, losses, len(tallies), confidence)
            low, high = min(low, wide_low), max(high, wide_high)
    if p_value >= 1.0 - confidence:
        low, high = min(low, 0.0), max(high, 0.0)
    return PairedDifference(
        difference=float(sum(exact) / len(exact)) if exact else math.nan,
        low=low,
        high=high,
        p_value=p_value,
        wins=wins,
        losses=losses,
        ties=len(tallies) - wins - losses,
        variance=_variance(differences),
        method="Tango interval, exact McNemar test" if is_single else _told(num_draws),
        confidence=confidence,
    )


def tango_interval(wins: int, losses: int, num_problems: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Return the differences that a score test at this level does not reject, given how many problems changed."""
    from scipy.optimize import brentq
    from scipy.stats import norm

    limit = float(norm.ppf(0.5 + confidence / 2))
    centre = (wins - losses) / num_problems

    def excess(difference: float, sign: float) -> float:
        return sign * _score(difference, wins, losses, num_problems) - limit

    low = -1.0 if excess(-1.0, 1.0) <= 0 else brentq(excess, -1.0, centre, args=(1.0,))
    high = 1.0 if excess(1.0, -1.0) <= 0 else brentq(excess, centre, 1.0, args=(-1.0,))
    return float(low), float(high)


def _score(difference: float, wins: int, losses: int, num_problems: int) -> float:
    """Return Tango's statistic: the distance from a supposed difference in standard errors, P(loss) fitted to it."""
    b = -wins - losses + (2 * num_problems - wins + losses) * difference
    c = -losses * difference * (1.0 - difference)
    lost = (math.sqrt(max(0.0, b * b - 8 * num_problems * c)) - b) / (4 * num_problems)
    variance = num_problems * (2 * lost + difference * (1.0 - difference))
    gap = wins - losses - num_problems * difference
    if variance <= 1e-12:
        return 0.0 if abs(gap) < 1e-9 else math.copysign(math.inf, gap)
    return gap / math.sqrt(variance)


def _variance(differences: Sequence[float]) -> float:
    if not differences:
        return math.nan
    variance = float(np.var(differences))
    return variance if variance > 1e-12 else min(1.0, 3 / len(differences))


def _draw(differences: Sequence[float], num_draws: int, seed: int) -> NDArray[np.float64]:
    """Return the mean differences (R) of drawn data sets, in blocks that fit in memory."""
    random = np.random.default_rng(seed)
    difference_P = np.asarray(differences)
    block = max(1, MAX_CELLS // len(difference_P))
    parts = []
    for start in range(0, num_draws, block):
        size = min(block, num_draws - start)
        parts.append(difference_P[random.integers(len(difference_P), size=(size, len(difference_P)))].mean(axis=1))
    return np.concatenate(parts)


def _expanded(drawn_R: NDArray[np.float64], differences: Sequence[float], confidence: float) -> NDArray[np.float64]:
    """Return the draws stretched about the mean by what percentiles of so few problems are too narrow by."""
    from scipy.stats import norm, t

    freedom, tail = max(1, len(differences) - 1), 0.5 + confidence / 2
    stretch = math.sqrt(len(differences) / freedom) * float(t.ppf(tail, freedom) / norm.ppf(tail))
    centre = float(np.mean(differences))
    return np.asarray(centre + stretch * (drawn_R - centre))


def _percentiles(drawn_R: NDArray[np.float64], confidence: float) -> tuple[float, float]:
    low, high = np.quantile(drawn_R, [0.5 - confidence / 2, 0.5 + confidence / 2])
    return max(-1.0, float(low)), min(1.0, float(high))


def sign_flip_p_value(differences: Sequence[Fraction]) -> float:
    """Return the share of all flips of the differences' signs whose sum is at least as far from 0 as the one found.

    Exact up to 1e-30 on the grid of `_in_steps`.
    """
    sizes = _in_steps(differences)
    changed = [abs(size) for size in sizes if size]
    num_kept = 1 + math.ceil(REACH * math.hypot(*changed))
    chance_S = np.ones(1)  # of each sum from -total to total by 2, those beyond reach left out on both sides
    for size in changed:
        half_S = chance_S / 2
        chance_S = np.zeros(len(half_S) + size)
        chance_S[:-size] += half_S
        chance_S[size:] += half_S
        num_beyond = max(0, len(chance_S) - num_kept) // 2
        chance_S = chance_S[num_beyond : len(chance_S) - num_beyond]
    num_as_far = max(0, (len(chance_S) + 1 - abs(sum(sizes))) // 2)  # the first are at or below -|found|
    least = 2.0 ** (1 - len(changed))  # the found flip and its opposite
    return min(1.0, max(least, 2.0 * float(chance_S[:num_as_far].sum())))


def _in_steps(differences: Sequence[Fraction]) -> list[int]:
    """Return the differences in steps that all share, or else rounded to the finest whose sums stay in `MAX_STEPS`."""
    deviation = math.hypot(*map(float, differences))
    finest = MAX_STEPS / (REACH * deviation) if deviation else 1.0
    step = min(math.lcm(*{one.denominator for one in differences}), max(1, int(finest)))
    return [round(step * one) for one in differences]


def _none_right(num_samples: int, num_right: int, k: int) -> Fraction:
    """Return the chance that none of k samples is right."""
    return Fraction(math.comb(num_samples - num_right, k), math.comb(num_samples, k))


def _told(num_draws: int) -> str:
    return f"bootstrap over problems, {num_draws:,} draws; exact sign-flip test"


def _two_sided(drawn_R: NDArray[np.float64]) -> float:
    """Return twice the smaller tail; one draw is added to each side, so that no finite number of draws says 0."""
    fewer = min(int((drawn_R <= 0).sum()), int((drawn_R >= 0).sum()))
    return min(1.0, 2 * (fewer + 1) / (len(drawn_R) + 1))
