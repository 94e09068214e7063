"""What errors of predictions are usual, so that others can be told by them. Knows nothing of ROS."""

from __future__ import annotations

import math
import statistics
from collections import deque

# Errors that make a median. An evaluation elsewhere counts as so many, and no more: a few keyframes here say more of
# what this camera sees.
FEWEST = 3
KEPT = 200  # the last ones: a few minutes' drive
LEAST = 0.5  # of 255: what rounding to whole grey levels makes


class UsualError:
    """The median of the last errors (root mean square, 0..255), as which the evaluation counts, too, at first.

    evaluated: what the weights reached in their evaluation, 0..255; not finite: not measured.
    """

    def __init__(self, evaluated: float):
        self._errors: deque[float] = deque([evaluated] * FEWEST if math.isfinite(evaluated) else [], maxlen=KEPT)

    def surprise(self, error: float) -> float:
        """An error over the usual one, which it is counted to from then on; NaN while nothing tells what is usual."""
        usual = statistics.median(self._errors) if len(self._errors) >= FEWEST else math.nan
        self._errors.append(error)
        return error / max(usual, LEAST) if math.isfinite(usual) else math.nan
