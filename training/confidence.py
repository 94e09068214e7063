"""Figures with their 95 % confidence interval, by bootstrap over trajectories: queries in one house are alike.

Each figure is a function of sums over the queries (a mean is one sum by another), so a bootstrap draw needs only the
sums of the trajectories drawn. Shapes: n queries, g groups (trajectories), k sums of each.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

BOOTSTRAP_DRAWS = 1000
CONFIDENCE_PERCENT = 95

Figure = dict[str, float]  # mean, low, high


def confidence(values: np.ndarray, groups: np.ndarray, weights: np.ndarray | None = None) -> Figure | None:
    """Weighted mean of values (n) and its interval, over the groups (n, integers) they belong to.

    Values that are not a number are left out. None where nothing is left, or nothing that weighs.
    """
    weights = np.ones(len(values)) if weights is None else weights
    weights = np.where(np.isnan(values), 0.0, weights)
    terms = np.stack([np.nan_to_num(values) * weights, weights], axis=1)
    return _interval(terms, groups, lambda sums: sums[0] / sums[1])


def ratio(above: np.ndarray, above_weights: np.ndarray, below: np.ndarray, below_weights: np.ndarray,
          groups: np.ndarray) -> Figure | None:  # fmt: skip
    """One weighted mean by another, each of sums (n) and their weights (n), with its interval."""
    terms = np.stack([above, above_weights, below, below_weights], axis=1)
    return _interval(terms, groups, lambda sums: (sums[0] / sums[1]) / (sums[2] / sums[3]))


def correlation(moments: np.ndarray, groups: np.ndarray) -> Figure | None:
    """Pearson's correlation of x and y, with its interval; moments (n, 6): of each query count, x, y, xx, yy, xy."""

    def pearson(sums: np.ndarray) -> np.ndarray:
        count, x, y, xx, yy, xy = sums
        covariance = xy / count - (x / count) * (y / count)
        return covariance / np.sqrt((xx / count - (x / count) ** 2) * (yy / count - (y / count) ** 2))

    return _interval(moments, groups, pearson)


def _interval(terms: np.ndarray, groups: np.ndarray, figure: Callable[[np.ndarray], np.ndarray]) -> Figure | None:
    """The figure of all sums (k) of terms (n, k), and its interval; None where it is no number."""
    _, group = np.unique(groups, return_inverse=True)
    sums = np.zeros((group.max() + 1, terms.shape[1]))
    np.add.at(sums, group, terms)
    drawn = np.random.default_rng(0).integers(0, len(sums), (BOOTSTRAP_DRAWS, len(sums)))
    with np.errstate(divide="ignore", invalid="ignore"):
        mean, means = figure(sums.sum(axis=0)), figure(sums[drawn].sum(axis=1).T)
    if not np.isfinite(mean):
        return None
    tail = (100 - CONFIDENCE_PERCENT) / 2
    low, high = np.percentile(means[np.isfinite(means)], [tail, 100 - tail])
    return {"mean": float(mean), "low": float(low), "high": float(high)}
