"""Random draws that are the same on every machine.

Everything that a seed decides about a house or a path comes through `Draws`. It uses only the raw double of PCG64,
whose stream numpy guarantees, and plain arithmetic on it, so that a numpy release cannot change a house.
"""

import numpy as np


class Draws:
    """A stream of draws, decided by a few non-negative integers (for instance a purpose and a seed)."""

    def __init__(self, *key):
        self._generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence(key)))

    def between(self, low, high, digits=3):
        """A float, uniform in [low, high), rounded to `digits` decimals (millimetres, by default)."""
        return round(low + (high - low) * float(self._generator.random()), digits)

    def count(self, low, high):
        """An integer, uniform in low..high, both included."""
        return low + int(self._generator.random() * (high - low + 1))

    def chance(self, probability):
        """True with the given probability."""
        return float(self._generator.random()) < probability

    def choice(self, items):
        """One of the items of a sequence."""
        return items[self.count(0, len(items) - 1)]

    def shuffled(self, items):
        """The items in random order, as a list."""
        rest = list(items)
        return [rest.pop(self.count(0, len(rest) - 1)) for _ in range(len(rest))]
