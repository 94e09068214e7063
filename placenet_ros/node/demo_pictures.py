"""Draws what the demonstration found: a contact sheet of predicted views, and the path from above. Knows no ROS."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Sequence

import matplotlib
import numpy as np

from placenet_ros.scene.viewpoints import CameraPose

matplotlib.use("Agg")  # no display
import matplotlib.pyplot as plt  # noqa: E402
from matplotlib import patheffects  # noqa: E402

HELD_SHOWN = 4  # observations shown in each row of the contact sheet
ARROW_METRES = 0.3
PLACE_COLOURS = plt.get_cmap("tab10").colors


@dataclass(frozen=True)
class ViewRow:
    """One query of the contact sheet. Pictures are (s, s, 3) uint8."""

    seconds: float  # since the start, when the query was answered
    num_held: int  # observations the scene held then
    held: Sequence[np.ndarray]  # some of these observations, oldest first
    asked: str  # what was asked for, a few words
    truth: np.ndarray | None
    predicted: np.ndarray
    uncertainty: np.ndarray  # (s, s) 0..1


@dataclass(frozen=True)
class Walk:
    """What the path is drawn from; world frame, metres."""

    path: np.ndarray  # (n, 2) x, y of the camera
    observations: Sequence[tuple[CameraPose, int]]  # each with the place it was added to
    place_origins: Sequence[tuple[CameraPose, int]]  # where each place began
    asked_ahead: Sequence[CameraPose]
    asked_elsewhere: Sequence[CameraPose]
    surroundings: np.ndarray  # (n, 2) x, y of walls and furniture, as the depth camera saw them


@dataclass(frozen=True)
class MatchedPair:
    """Two pictures that the node takes for one place; (h, w, 3) uint8."""

    now: CameraPose
    then: CameraPose
    now_picture: np.ndarray
    then_picture: np.ndarray
    now_title: str
    then_title: str
    judgement: str


def rmse(a: np.ndarray, b: np.ndarray) -> float:
    """Root mean square difference of two uint8 pictures, 0..255."""
    return float(np.sqrt(np.mean((a.astype(np.float64) - b) ** 2)))


def draw_views(rows: Sequence[ViewRow], model_name: str, path: Path) -> None:
    """The contact sheet: for each query some of what was seen, the truth, the prediction and its uncertainty."""
    columns = HELD_SHOWN + 3
    size = (1.55 * columns, 1.75 * len(rows) + 0.85)  # inches
    figure, grid = plt.subplots(len(rows), columns, figsize=size, squeeze=False, dpi=110)
    figure.subplots_adjust(0.05, 0.1 / size[1], 0.995, 1 - 1.0 / size[1], wspace=0.06, hspace=0.16)
    highest = max(float(row.uncertainty.max()) for row in rows) or 1.0
    for line, row in zip(grid, rows):
        _draw_row(line, row, highest)
    headings = {
        (0, HELD_SHOWN - 1): "some of the views seen so far",
        (HELD_SHOWN, HELD_SHOWN): "what the robot\nthen saw",
        (HELD_SHOWN + 1, HELD_SHOWN + 1): "predicted",
        (HELD_SHOWN + 2, HELD_SHOWN + 2): f"uncertainty\n(white: {highest:.2g} of 1)",
    }
    for (first, last), text in headings.items():
        left, right = grid[0, first].get_position(), grid[0, last].get_position()
        middle, above = (left.x0 + right.x1) / 2, left.y1 + 0.24 / size[1]
        figure.text(middle, above, text, ha="center", va="bottom", fontsize=10, weight="bold")
    figure.text(0.5, 1 - 0.08 / size[1], f"Views predicted by {model_name} while the robot drives", ha="center",
                va="top", fontsize=13)  # fmt: skip
    figure.savefig(path)
    plt.close(figure)


def _draw_row(line: Sequence[plt.Axes], row: ViewRow, highest: float) -> None:
    for cell in line:
        cell.set(xticks=[], yticks=[])
        for side in cell.spines.values():
            side.set_visible(False)
    truth, predicted, uncertainty = line[HELD_SHOWN:]
    for cell, picture in zip(line[HELD_SHOWN - len(row.held) :], row.held):
        cell.imshow(picture, interpolation="nearest")
    line[0].set_ylabel(f"at {row.seconds:.0f} s, {row.num_held} held", fontsize=9)
    truth.set_title(row.asked, fontsize=8, pad=3)
    predicted.imshow(row.predicted, interpolation="nearest")
    uncertainty.imshow(row.uncertainty, cmap="magma", vmin=0, vmax=highest, interpolation="nearest")
    if row.truth is None:
        where = {"ha": "center", "va": "center", "transform": truth.transAxes, "fontsize": 9}
        truth.text(0.5, 0.5, "the robot was\nnever here", **where)
    else:
        truth.imshow(row.truth, interpolation="nearest")
        predicted.set_title(f"RMSE {rmse(row.predicted, row.truth):.0f} of 255", fontsize=8, pad=3)


def draw_path(walk: Walk, path: Path) -> None:
    """The path from above, with headings, observations, places and queries."""
    figure, axes = plt.subplots(figsize=(9, 8), dpi=110)
    poses = [pose for pose, _ in walk.observations]
    colours = [_place_colour(place) for _, place in walk.observations]
    axes.scatter(*walk.surroundings.T, s=1.5, color="0.75", linewidths=0, label="walls and furniture (depth camera)")
    axes.plot(*walk.path.T, color="0.4", linewidth=1.0, label="path of the camera", zorder=2)
    axes.scatter(*_xy(walk.asked_ahead).T, s=26, marker="x", color="black", linewidths=0.9, zorder=3,
                 label="views predicted before the robot was there")  # fmt: skip
    _arrows(axes, poses, colours)
    axes.scatter(*_xy(poses).T, s=22, zorder=4, color=colours, label="observations, coloured by place, and headings")
    if walk.asked_elsewhere:
        axes.scatter(*_xy(walk.asked_elsewhere).T, s=120, marker="*", color="crimson", zorder=6,
                     label="views predicted where the robot never was")  # fmt: skip
        _arrows(axes, walk.asked_elsewhere, "crimson")
    for pose, place in walk.place_origins:
        axes.scatter(*pose.position[:2], s=190, marker="s", facecolors="none", edgecolors=[_place_colour(place)],
                     linewidths=2, zorder=5, label="a place begins" if place == 1 else None)  # fmt: skip
        axes.annotate(f"place {place}", pose.position[:2], xytext=(0, 16), textcoords="offset points", ha="center",
                      fontsize=11, weight="bold", color=_place_colour(place), zorder=7,
                      path_effects=[patheffects.withStroke(linewidth=3, foreground="white")])  # fmt: skip
    axes.set(aspect="equal", xlabel="x, metres", ylabel="y, metres")
    axes.set_title("The robot's path and its places, from above")
    axes.legend(loc="upper left", bbox_to_anchor=(0.0, -0.08), ncol=2, fontsize=9, frameon=False, markerscale=1.2)
    figure.savefig(path, bbox_inches="tight")
    plt.close(figure)


def draw_drive(
    observations: Sequence[tuple[CameraPose, int]],
    matches: Sequence[tuple[CameraPose, CameraPose, bool, bool]],
    pair: MatchedPair | None,
    path: Path,
) -> None:
    """A drive from above with the extents of its places and a line for each match; beside it, the surest match.

    observations: each with its place. matches: of two poses, whether it is right, and whether nearly so.
    """
    layout = [["map", "now"], ["map", "then"]]
    figure, axes = plt.subplot_mosaic(layout, figsize=(13, 8), dpi=110, width_ratios=(2, 1), layout="constrained")
    plan = axes["map"]
    plan.plot(*_xy([pose for pose, _ in observations]).T, color="0.6", linewidth=1.0, zorder=2)
    for place in sorted({place for _, place in observations}):
        poses = [pose for pose, number in observations if number == place]
        _draw_extent(plan, _xy(poses), place)
        _arrows(plan, poses, _place_colour(place))
    for now, then, is_right, is_near in matches:
        colour = "tab:green" if is_right else "tab:orange" if is_near else "tab:red"
        plan.plot(*_xy([now, then]).T, color=colour, linewidth=0.9, zorder=5)
    plan.set(aspect="equal", xlabel="x, metres", ylabel="y, metres")
    plan.set_title("A live drive: places, and what the robot knew again\n"
                   "(lines: right in green, within 2 m in orange, wrong in red)")  # fmt: skip
    if pair is not None:
        plan.plot(*_xy([pair.now, pair.then]).T, color="black", linewidth=2.5, marker="o", zorder=6)
        _draw_picture(axes["now"], pair.now_picture, f"The surest match: {pair.now_title}")
        _draw_picture(axes["then"], pair.then_picture, f"is taken for {pair.then_title}")
        axes["then"].set_xlabel(pair.judgement)
    else:
        axes["now"].text(0.5, 0.5, "nothing was known again", ha="center")
        for name in ("now", "then"):
            axes[name].axis("off")
    figure.savefig(path)
    plt.close(figure)


def _draw_extent(axes: plt.Axes, points: np.ndarray, place: int) -> None:
    (left, bottom), (right, top) = points.min(axis=0), points.max(axis=0)
    colour = _place_colour(place)
    axes.add_patch(plt.Rectangle((left, bottom), right - left, top - bottom, color=colour, alpha=0.15, zorder=1))
    axes.annotate(str(place), (left, top), fontsize=10, weight="bold", color=colour, zorder=7)


def _draw_picture(axes: plt.Axes, picture: np.ndarray, title: str) -> None:
    axes.imshow(picture)
    axes.set(xticks=[], yticks=[])
    axes.set_title(title, fontsize=10)


def _arrows(axes: plt.Axes, poses: Sequence[CameraPose], colour) -> None:
    along = np.array([[np.cos(pose.yaw), np.sin(pose.yaw)] for pose in poses]).reshape(-1, 2) * ARROW_METRES
    axes.quiver(*_xy(poses).T, *along.T, color=colour, angles="xy", scale_units="xy", scale=1, width=0.003, zorder=4)


def _xy(poses: Sequence[CameraPose]) -> np.ndarray:
    return np.array([pose.position[:2] for pose in poses]).reshape(-1, 2)


def _place_colour(place: int) -> tuple[float, float, float]:
    return PLACE_COLOURS[(place - 1) % len(PLACE_COLOURS)]
