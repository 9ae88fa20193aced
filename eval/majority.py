"""The chance that a vote of k samples is right, exactly: no draws, no noise.

k samples drawn without replacement fall into the classes of answers as independent binomial counts do, given that they
sum to k. So the chance that one class has j of them, every other class at most j, and t classes j as well, is a
coefficient of a product of one polynomial per class; a root-of-unity sum reads it. A tie of t + 1 classes is split
evenly: 1 / (t + 1) is the integral of s^t from 0 to 1, which Gauss-Legendre nodes give exactly, so each class's share
of j is weighed by a node.

Shapes: N points on the unit circle, M nodes, J counts from 0.
"""

import math
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.polynomial import polynomial
from numpy.polynomial.legendre import leggauss
from numpy.typing import NDArray

NUM_DIGITS = 12  # what the sums leave beyond is rounding


def majority_at_k(votes: Sequence[int], right: Sequence[bool], num_samples: int, k: int) -> float:
    """Return the chance that the majority of k of the samples is right; ties are split evenly.

    `votes` is how many samples fell into each class of answers, `right` which classes are right; the samples that are
    in no class have no vote. NaN when there are fewer than k samples.
    """
    if k < 1:
        raise ValueError(f"`k` is {k}; it must be at least 1")
    if num_samples < k:
        return math.nan
    shares = [
        _share_of_lead(votes[own], [*votes[:own], *votes[own + 1 :]], num_samples, k)
        for own, is_right in enumerate(right)
        if is_right
    ]
    return round(sum(shares), NUM_DIGITS)


def _share_of_lead(own: int, rivals: Sequence[int], num_samples: int, k: int) -> float:
    """Return the expected share of a class in the lead: 1 where it leads alone, 1 / n where n classes do."""
    rate = k / (num_samples + 1)  # any rate gives the same; this one loses no digits
    points_N = np.exp(2j * np.pi * np.arange(num_samples + 1) / (num_samples + 1))
    chance = 0.0
    for lead in range(1, min(own, k) + 1):
        able = Counter(count for count in rivals if count >= lead)
        free = num_samples - own - sum(able.elements())
        nodes_M, weights_M = _nodes(min(able.total(), k // lead - 1))
        drawn_MN = np.broadcast_to((1 - rate + rate * points_N) ** free, (len(nodes_M), len(points_N)))
        for count, times in able.items():
            odds_J = _binomial(count, rate)[: lead + 1]
            tied_MN = nodes_M[:, None] * odds_J[lead] * points_N**lead
            drawn_MN = drawn_MN * (polynomial.polyval(points_N, odds_J[:lead]) + tied_MN) ** times
        coefficients_M = (drawn_MN * points_N ** (lead - k)).mean(axis=1).real
        chance += float(_binomial(own, rate)[lead] * (weights_M @ coefficients_M))
    return chance / float(_binomial(num_samples, rate)[k])


@lru_cache(maxsize=4096)
def _binomial(count: int, rate: float) -> NDArray[np.float64]:
    """Return the chance of each number of successes, from 0 to `count`."""
    whole, yes, no = math.lgamma(count + 1), math.log(rate), math.log1p(-rate)
    logs_J = [
        whole - math.lgamma(j + 1) - math.lgamma(count - j + 1) + j * yes + (count - j) * no for j in range(count + 1)
    ]
    return np.exp(logs_J)


@lru_cache(maxsize=1024)
def _nodes(degree: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return nodes in [0, 1] and weights that integrate polynomials up to this degree exactly."""
    nodes_M, weights_M = leggauss(degree // 2 + 1)
    return (nodes_M + 1) / 2, weights_M / 2
