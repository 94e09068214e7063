"""Numbers of things as they are said: 1 place, 2 places."""

from __future__ import annotations


def counted(number: int, one: str, many: str | None = None) -> str:
    """The number, with commas at thousands, and the word that goes with it. many: where it is not one's with an s."""
    word = one if number == 1 else many or f"{one}s"
    return f"{number:,} {word}"
