"""Class ids out of pictures that paint each object in a colour, as the authors' House files do.

Which colour stands for which class is not written down, so the palette is built from the pictures: in lossless ones
each colour is a class; in JPEG pictures, where colours spread, the frequent ones are, and every pixel goes to the
nearest. Black is 0, nothing known. Colours that are all this project's own (placenet_ros.model.modalities) give
back the ids that they stand for.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from placenet_ros.model.modalities import class_colours
from training.houses.classes import CLASS_NAMES

MOST_CLASSES = 255
LEAST_DISTANCE = 32.0  # between two classes' colours in JPEG pictures, of 441 from black to white
SMALLEST_SHARE = 1e-3  # of all pixels; rarer colours of JPEG pictures are taken for noise at edges
BINS = 32  # along each channel, of the table for JPEG pictures
NOTHING = "nothing"


@dataclass(frozen=True)
class ObjectPalette:
    """Colours and the ids they stand for.

    lossless: other colours than these are 0; else they are the nearest of them.
    """

    colours: tuple[tuple[int, int, int], ...]  # 8-bit RGB
    ids: tuple[int, ...]
    class_names: tuple[str, ...]  # by id
    lossless: bool

    def class_ids(self, picture: np.ndarray) -> np.ndarray:
        """Ids (height, width) uint8 of a picture (height, width, 3) uint8."""
        if not self.lossless:
            bins = (picture // (256 // BINS)).astype(np.intp)
            return self._nearest[bins[..., 0], bins[..., 1], bins[..., 2]]
        return self._exact[_packed(picture)]

    @cached_property
    def _exact(self) -> np.ndarray:
        """The id of each colour there is, (2^24) uint8: 16 MB, but a hundred times quicker than a search."""
        table = np.zeros(1 << 24, np.uint8)
        table[_packed(np.array(self.colours, np.uint8))] = self.ids
        return table

    @cached_property
    def _nearest(self) -> np.ndarray:
        """The id nearest to the middle of each bin, (BINS, BINS, BINS) uint8."""
        width = 256 // BINS
        middles = np.stack(np.meshgrid(*[np.arange(BINS) * width + (width - 1) / 2] * 3, indexing="ij"), axis=-1)
        least, nearest = np.full((BINS,) * 3, np.inf), np.zeros((BINS,) * 3, np.uint8)
        for colour, class_id in zip(self.colours, self.ids, strict=True):
            distance = np.linalg.norm(middles - np.array(colour), axis=-1)
            nearest[distance < least] = class_id
            least = np.minimum(distance, least)
        return nearest


class ColourCount:
    """Counts the colours of pictures, some at a time."""

    def __init__(self) -> None:
        self._pixels: dict[int, int] = {}
        self._lossy = False

    def add(self, pictures: np.ndarray, lossy: bool) -> None:
        """Count pictures (..., 3) uint8. Those of lossy ones are counted by bins, so that they stay few."""
        if lossy and not self._lossy:
            self._coarsen()
        if self._lossy:
            pictures = _binned(pictures)
        colours, counts = np.unique(_packed(pictures), return_counts=True)
        for colour, count in zip(colours.tolist(), counts.tolist(), strict=True):
            self._pixels[colour] = self._pixels.get(colour, 0) + count
        if not self._lossy and len(self._pixels) > MOST_CLASSES + 1:
            self._coarsen()  # more colours than classes can be: painted with shades, or lossy once

    def _coarsen(self) -> None:
        self._lossy = True
        fine, self._pixels = self._pixels, {}
        for colour, count in fine.items():
            coarse = int(_packed(_binned(_unpacked(colour)))[()])
            self._pixels[coarse] = self._pixels.get(coarse, 0) + count

    def palette(self) -> ObjectPalette:
        """The palette of what was counted."""
        if self._lossy:
            return _numbered(self._frequent(), lossless=False)
        ours = {tuple(colour): index for index, colour in enumerate(_our_colours().tolist())}
        colours = sorted(tuple(_unpacked(colour).tolist()) for colour in self._pixels)
        if set(colours) <= set(ours):
            colours = list(ours)  # also those that come up later
            most = max([ours[tuple(_unpacked(colour).tolist())] for colour in self._pixels] + [len(CLASS_NAMES) - 1])
            names = CLASS_NAMES + tuple(f"class {number}" for number in range(len(CLASS_NAMES), most + 1))
            return ObjectPalette(tuple(colours[: most + 1]), tuple(range(most + 1)), names, True)
        return _numbered(colours, lossless=True)

    def _frequent(self) -> list[tuple[int, int, int]]:
        """Colours that come up often and lie apart from each other, in the order of their values."""
        total, chosen = sum(self._pixels.values()), []
        for colour, count in sorted(self._pixels.items(), key=lambda entry: (-entry[1], entry[0])):
            if count < SMALLEST_SHARE * total or len(chosen) == MOST_CLASSES:
                break
            candidate = _unpacked(colour).astype(float)
            if all(np.linalg.norm(candidate - other) >= LEAST_DISTANCE for other in chosen):
                chosen.append(candidate)
        return sorted(tuple(int(channel) for channel in colour) for colour in chosen)


def _numbered(colours: list[tuple[int, int, int]], lossless: bool) -> ObjectPalette:
    """Ids from 1 on in the order of the colours; 0 for what is black."""
    black = 0 if lossless else LEAST_DISTANCE
    classes = [colour for colour in colours if np.linalg.norm(colour) > black][:MOST_CLASSES]
    names = (NOTHING, *(f"class {number}" for number in range(1, len(classes) + 1)))
    return ObjectPalette(((0, 0, 0), *classes), tuple(range(len(classes) + 1)), names, lossless)


def _our_colours() -> np.ndarray:
    return (255 * class_colours()).round().byte().numpy()


def _packed(colours: np.ndarray) -> np.ndarray:
    """(..., 3) uint8 -> (...) one number for each colour."""
    wide = colours.astype(np.int32)
    return wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2]


def _unpacked(colour: int) -> np.ndarray:
    return np.array([colour >> 16, colour >> 8 & 255, colour & 255], np.uint8)


def _binned(colours: np.ndarray) -> np.ndarray:
    """Each channel as the middle of its bin."""
    width = 256 // BINS
    return colours // width * width + width // 2
