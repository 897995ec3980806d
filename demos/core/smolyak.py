"""Sparse grids on the unit cube: Smolyak's combination of Clenshaw-Curtis rules."""

from functools import lru_cache
from itertools import product
from math import comb

import numpy as np


@lru_cache(maxsize=None)
def clenshaw_curtis(level):
    """Nodes and weights on [0, 1]: 1 point on level 0, 2**level + 1 points above; nested."""
    if level == 0:
        return np.array([0.5]), np.array([1.0])
    n = 2**level
    angle = np.pi * np.arange(n + 1) / n
    k = np.arange(1, n // 2 + 1)
    factor = np.where(k == n // 2, 1.0, 2.0) / (4.0 * k**2 - 1.0)
    weights = (1.0 - np.cos(2.0 * np.outer(angle, k)) @ factor) / n
    weights[[0, -1]] /= 2.0
    return (1.0 - np.cos(angle)) / 2.0, weights


def compositions(total, parts):
    """All tuples of `parts` non-negative integers with the given sum."""
    if parts == 1:
        yield (total,)
        return
    for first in range(total + 1):
        for rest in compositions(total - first, parts - 1):
            yield (first, *rest)


def sparse_grid(level, dimension):
    """Points, shape (n, dimension), and weights of Smolyak's rule; points shared by several tensor rules are merged."""
    collected = {}
    for deficit in range(min(level, dimension - 1) + 1):
        sign = (-1) ** deficit * comb(dimension - 1, deficit)
        for levels in compositions(level - deficit, dimension):
            rules = [clenshaw_curtis(one) for one in levels]
            # A node of a nested rule is known by its index on the finest grid, which is exact where floats are not.
            indices = [np.arange(len(x)) * 2 ** (level - one) if one else [2**level // 2] for one, (x, _) in zip(levels, rules)]
            weights = rules[0][1]
            for _, w in rules[1:]:
                weights = np.multiply.outer(weights, w)
            for key, weight in zip(product(*indices), weights.ravel()):
                collected[key] = collected.get(key, 0.0) + sign * weight
    keys = np.array(list(collected))
    finest = (1.0 - np.cos(np.pi * np.arange(2**level + 1) / 2**level)) / 2.0 if level else np.array([0.5])
    return finest[keys], np.array(list(collected.values()))
