"""Pictures for people: what is predicted of a place beside what is there, enlarged, in columns with titles.

Depth, spread and expected error are drawn in fixed ranges, so that sheets can be compared. What no observation has
seen is outlined.

Shapes: b scenes with one query each, s image size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import median_filter
from torch import Tensor

from placenet_ros.model.modalities import class_colours
from training.baselines import Prediction
from training.data.sampling import Batch
from training.image_quality import image_quality

UNCERTAINTY_SHOWN = 64.0  # of 255: the brightest end of the colour map
DEPTH_SHOWN = 8.0  # metres
UNCERTAINTY_COLOURS, DEPTH_COLOURS = "inferno", "viridis_r"
SPREAD, ERROR = UNCERTAINTIES = ("spread", "expected error")  # titles of columns
OUTLINE = (0, 229, 255)  # around what was never seen: in no colour map above
HATCHING = 6  # pixels of a picture from line to line
SPECKLE = 3  # pixels across: smaller islands of seen and unseen are not outlined
PAPER, INK, FAINT = (255, 255, 255), (30, 30, 34), (120, 120, 128)
GAP = 10  # pixels between tiles
CLASSES_NAMED = 14  # most classes in a sheet's legend


class Tile(NamedTuple):
    """A picture in a row."""

    picture: np.ndarray  # s s 3, uint8
    unseen: np.ndarray | None = None  # s s, bool: to be outlined
    hatched: bool = False  # lines across what was never seen, too
    caption: str = ""


class Row(NamedTuple):
    """One query view."""

    observations: Sequence[np.ndarray]  # each s s 3, uint8
    tiles: Sequence[Tile]
    name: str


def uncertainty_picture(uncertainty: np.ndarray) -> np.ndarray:
    """Spread or expected error (s, s) on 0..255 in colours: uint8 (s, s, 3)."""
    return _mapped(uncertainty / UNCERTAINTY_SHOWN, UNCERTAINTY_COLOURS)


def depth_in_colours(metres: np.ndarray) -> np.ndarray:
    """Depth (s, s) in colours, black where there is none: uint8 (s, s, 3)."""
    return np.where(metres[..., None] > 0, _mapped(metres / DEPTH_SHOWN, DEPTH_COLOURS), 0).astype(np.uint8)


def classes_in_colours(class_ids: np.ndarray) -> np.ndarray:
    """Class ids (s, s) in the model's palette: uint8 (s, s, 3)."""
    return _palette()[class_ids.astype(np.int64)]


def enlarged(tile: Tile, scale: int) -> Image.Image:
    """A tile's picture `scale` times as large, every pixel a square; what was never seen within an outline."""
    picture = tile.picture.repeat(scale, axis=0).repeat(scale, axis=1)
    if tile.unseen is not None:
        mask = median_filter(tile.unseen.astype(np.uint8), SPECKLE) > 0
        mask = mask.repeat(scale, axis=0).repeat(scale, axis=1)
        lines = np.add.outer(np.arange(mask.shape[0]), np.arange(mask.shape[1])) % (HATCHING * scale) == 0
        picture[_border(mask) | (mask & lines & tile.hatched)] = OUTLINE
    return Image.fromarray(picture)


def contact_sheet(titles: Sequence[str], rows: Sequence[Row], scale: int, classes: dict[int, str]) -> Image.Image:
    """A sheet: for each row its observations, small, then its tiles under the titles, then what the colours mean.

    classes: names of the class ids to be explained, perhaps none.
    """
    size = scale * rows[0].tiles[0].picture.shape[0]
    count = len(rows[0].observations)
    across = -(-count // 2)
    small = (size - GAP // 2) // 2
    block = across * small + (across - 1) * (GAP // 2)
    font, label = _font(max(11, size // 12)), _font(max(10, size // 15))
    head, foot = 2 * _height(font), 2 * _height(label)
    width = block + 3 * GAP + len(titles) * (size + GAP)
    legend_at = head + GAP + len(rows) * (size + foot + GAP)
    sheet = Image.new("RGB", (width, legend_at + (2 + bool(classes)) * (_height(label) + GAP // 2)), PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((GAP, head // 4), f"{count} observation{'s' if count > 1 else ''}", INK, font)
    lefts = [block + 3 * GAP + number * (size + GAP) for number in range(len(titles))]
    for left, title in zip(lefts, titles, strict=True):
        draw.text((left, head // 4), title, INK, font)
    for number, row in enumerate(rows):
        top = head + GAP + number * (size + foot + GAP)
        for place, picture in enumerate(row.observations):
            x, y = GAP + (place % across) * (small + GAP // 2), top + (place // across) * (small + GAP // 2)
            sheet.paste(Image.fromarray(picture).resize((small, small), Image.Resampling.NEAREST), (x, y))
        draw.text((GAP, top + size + 2), row.name, FAINT, label)
        for left, tile in zip(lefts, row.tiles, strict=True):
            sheet.paste(enlarged(tile, scale), (left, top))
            draw.text((left, top + size + 2), tile.caption, FAINT, label)
    _draw_legend(draw, (GAP, legend_at), label, titles, classes)
    return sheet


def prediction_sheet(
    batch: Batch,
    prediction: Prediction,
    seen: Tensor | None,
    names: Sequence[str],
    scale: int,
    classes: Sequence[str],
    reconstructions: Tensor | None = None,
) -> Image.Image:
    """The sheet of what was predicted, with an expected error or else a spread, of b scenes with one query each.

    seen: (b, 1, 1, s, s) bool, see `visibility.seen_pixels`; None: not known. names: of the rows. classes: names of the
    class ids. reconstructions: (b, 1, 3, s, s) in [0, 1], another column.
    """
    rmse = image_quality(prediction.images.flatten(0, 1), batch.query_images.flatten(0, 1))["rmse"].tolist()
    columns = _columns(batch, prediction, reconstructions)
    rows = []
    for scene, name in enumerate(names):
        unseen = None if seen is None else ~seen[scene, 0, 0].cpu().numpy()
        tiles = [
            Tile(
                pictures[scene],
                unseen if title == "prediction" or title in UNCERTAINTIES else None,
                title in UNCERTAINTIES,
                f"RMSE {rmse[scene]:.1f}" if title == "prediction" else "",
            )
            for title, pictures in columns.items()
        ]
        rows.append(Row(list(_colours(batch.observations.rgb[scene])), tiles, name))
    return contact_sheet(list(columns), rows, scale, _classes_shown(batch, prediction, classes))


def _columns(batch: Batch, prediction: Prediction, reconstructions: Tensor | None) -> dict[str, np.ndarray]:
    """Pictures (b, s, s, 3) uint8 by title."""
    columns = {"truth": _colours(batch.query_images[:, 0])}
    if reconstructions is not None:
        columns["reconstruction"] = _colours(reconstructions[:, 0])
    columns["prediction"] = _colours(prediction.images[:, 0])
    title, uncertainty = (SPREAD, prediction.spread) if prediction.error is None else (ERROR, prediction.error)
    columns[title] = np.stack([uncertainty_picture(one) for one in uncertainty[:, 0, 0].cpu().numpy()])
    if prediction.depth is not None:
        if batch.query_depth is not None:
            columns["depth"] = np.stack([depth_in_colours(one) for one in batch.query_depth[:, 0, 0].cpu().numpy()])
        predicted = prediction.depth[:, 0, 0].cpu().numpy()
        columns["predicted depth"] = np.stack([depth_in_colours(one) for one in predicted])
    if prediction.class_ids is not None:
        if batch.query_objects is not None:
            columns["objects"] = classes_in_colours(batch.query_objects[:, 0].cpu().numpy())
        columns["predicted objects"] = classes_in_colours(prediction.class_ids[:, 0].cpu().numpy())
    return columns


def _classes_shown(batch: Batch, prediction: Prediction, classes: Sequence[str]) -> dict[int, str]:
    """Names of the classes in a sheet, the commonest first; none where it shows none."""
    if prediction.class_ids is None:
        return {}
    ids = prediction.class_ids if batch.query_objects is None else batch.query_objects
    counts = np.bincount(ids.cpu().numpy().reshape(-1))
    return {int(i): classes[i] for i in np.argsort(-counts) if counts[i] and 0 < i < len(classes)}


def _colours(images: Tensor) -> np.ndarray:
    """Images (b, 3, s, s) in [0, 1] as uint8 (b, s, s, 3)."""
    return (255 * images).round().byte().movedim(1, -1).cpu().numpy()


def _draw_legend(
    draw: ImageDraw.ImageDraw,
    at: tuple[int, int],
    font: ImageFont.FreeTypeFont,
    titles: Sequence[str],
    classes: dict[int, str],
) -> None:
    """What the colours under these titles mean, in a line; the classes in another."""
    x, y = at
    side = _height(font)
    draw.rectangle((x, y, x + side, y + side), outline=OUTLINE, width=2)
    draw.line((x, y + side, x + side, y), fill=OUTLINE)
    x = _text_after(draw, (x + side, y), "never seen", font)
    shown = [title for title in UNCERTAINTIES if title in titles]
    ranges = [(title, UNCERTAINTY_COLOURS, f"{UNCERTAINTY_SHOWN:g} of 255") for title in shown]
    if any("depth" in title for title in titles):
        ranges.append(("depth", DEPTH_COLOURS, f"{DEPTH_SHOWN:g} m"))
    for name, colours, most in ranges:
        for step in range(5 * side):
            colour = tuple(_mapped(np.array([step / (5 * side)]), colours)[0].tolist())
            draw.line((x + step, y, x + step, y + side), fill=colour)
        x = _text_after(draw, (x + 5 * side, y), f"{name} 0 to {most}", font)
    x, y = at[0], y + side + GAP
    for class_id, name in list(classes.items())[:CLASSES_NAMED]:
        draw.rectangle((x, y, x + side, y + side), fill=tuple(_palette()[class_id].tolist()), outline=FAINT)
        x = _text_after(draw, (x + side, y), name, font)


def _text_after(draw: ImageDraw.ImageDraw, at: tuple[int, int], text: str, font: ImageFont.FreeTypeFont) -> int:
    """Write a legend's text behind its sample; where the next sample begins."""
    draw.text((at[0] + GAP // 2, at[1]), text, INK, font)
    return at[0] + GAP // 2 + round(font.getlength(text)) + 2 * GAP


def _border(mask: np.ndarray) -> np.ndarray:
    """Pixels of a mask (h, w) that touch what is not in it; the picture's own edge is no border."""
    padded = np.pad(mask, 2, mode="edge")
    h, w = mask.shape
    around = [padded[2 + dy : 2 + dy + h, 2 + dx : 2 + dx + w] for dy in (-2, 0, 2) for dx in (-2, 0, 2)]
    return mask & ~np.logical_and.reduce(around)


def _mapped(values: np.ndarray, colours: str) -> np.ndarray:
    return (255 * matplotlib.colormaps[colours](values.clip(0, 1))[..., :3]).round().astype(np.uint8)


def _palette() -> np.ndarray:
    return (255 * class_colours().numpy()).round().astype(np.uint8)


def _font(pixels: int) -> ImageFont.FreeTypeFont:
    return ImageFont.load_default(pixels)


def _height(font: ImageFont.FreeTypeFont) -> int:
    return sum(font.getmetrics())
