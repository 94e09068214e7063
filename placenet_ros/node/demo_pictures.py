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

HELD_SHOWN = 4  # observations shown in each row of the contact sheet
ARROW_METRES = 0.35
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
    spread: np.ndarray  # (s, s) 0..1


@dataclass(frozen=True)
class Walk:
    """What the path is drawn from; world frame, metres."""

    path: np.ndarray  # (n, 2) x, y of the camera
    observations: Sequence[tuple[CameraPose, int]]  # each with the place it was added to
    place_origins: Sequence[tuple[CameraPose, int]]  # where each place began
    asked_ahead: Sequence[CameraPose]
    asked_elsewhere: Sequence[CameraPose]
    surroundings: np.ndarray  # (n, 2) x, y of walls and furniture, as the depth camera saw them


def rmse(a: np.ndarray, b: np.ndarray) -> float:
    """Root mean square difference of two uint8 pictures, 0..255."""
    return float(np.sqrt(np.mean((a.astype(np.float64) - b) ** 2)))


def draw_views(rows: Sequence[ViewRow], model_name: str, path: Path) -> None:
    """The contact sheet: for each query some of what was seen, the truth, the prediction and its spread."""
    columns = HELD_SHOWN + 3
    figure, grid = plt.subplots(
        len(rows), columns, figsize=(1.55 * columns, 1.72 * len(rows) + 1.1), squeeze=False, dpi=110
    )
    highest = max(float(row.spread.max()) for row in rows) or 1.0
    for line, row in zip(grid, rows):
        pictures = [None] * (HELD_SHOWN - len(row.held)) + list(row.held)
        for cell, picture in zip(line, pictures):
            _show(cell, picture)
        line[0].set_ylabel(f"at {row.seconds:.0f} s\n{row.num_held} held", fontsize=9)
        truth, predicted, spread = line[HELD_SHOWN:]
        _show(truth, row.truth)
        truth.set_title(row.asked, fontsize=8)
        if row.truth is None:
            unknown = {"ha": "center", "va": "center", "transform": truth.transAxes, "fontsize": 9}
            truth.text(0.5, 0.5, "the robot was\nnever here", **unknown)
        _show(predicted, row.predicted)
        if row.truth is not None:
            predicted.set_title(f"RMSE {rmse(row.predicted, row.truth):.0f} of 255", fontsize=8)
        spread.imshow(row.spread, cmap="magma", vmin=0, vmax=highest, interpolation="nearest")
        _bare(spread)
    figure.suptitle(f"Views predicted by {model_name} while the robot drives", fontsize=13, y=0.995)
    top = 1 - 0.78 / (1.72 * len(rows) + 1.1)
    figure.tight_layout(rect=(0, 0, 1, top))
    headings = {
        (0, HELD_SHOWN): "some of the views seen so far",
        (HELD_SHOWN, HELD_SHOWN + 1): "what the robot\nthen saw",
        (HELD_SHOWN + 1, HELD_SHOWN + 2): "predicted",
        (HELD_SHOWN + 2, columns): f"spread of samples\n(white: {highest:.2f} of 1)",
    }
    for (first, last), text in headings.items():
        left, right = grid[0, first].get_position(), grid[0, last - 1].get_position()
        figure.text((left.x0 + right.x1) / 2, top, text, ha="center", va="bottom", fontsize=10, weight="bold")
    figure.savefig(path)
    plt.close(figure)


def draw_path(walk: Walk, path: Path) -> None:
    """The path from above, with headings, observations, places and queries."""
    figure, axes = plt.subplots(figsize=(9, 8), dpi=110)
    axes.scatter(*walk.surroundings.T, s=1.5, color="0.78", linewidths=0, label="walls and furniture (depth camera)")
    axes.plot(*walk.path.T, color="0.25", linewidth=1.2, label="path of the camera")
    _arrows(axes, [pose for pose, _ in walk.observations], [_place_colour(place) for _, place in walk.observations])
    axes.scatter(*_xy([pose for pose, _ in walk.observations]).T, s=20, zorder=3,
                 color=[_place_colour(place) for _, place in walk.observations],
                 label="observations, coloured by place")  # fmt: skip
    for pose, place in walk.place_origins:
        axes.scatter(*pose.position[:2], s=190, marker="s", facecolors="none", edgecolors=[_place_colour(place)],
                     linewidths=2, zorder=4, label="a place begins" if place == 1 else None)  # fmt: skip
        axes.annotate(f"place {place}", pose.position[:2], xytext=(9, 9), textcoords="offset points", fontsize=9,
                      weight="bold", color=_place_colour(place))  # fmt: skip
    axes.scatter(*_xy(walk.asked_ahead).T, s=42, marker="x", color="black", linewidths=1.2, zorder=5,
                 label="views asked for, 1.5 s ahead")  # fmt: skip
    if walk.asked_elsewhere:
        axes.scatter(*_xy(walk.asked_elsewhere).T, s=110, marker="*", color="crimson", zorder=6,
                     label="views asked for where the robot never was")  # fmt: skip
        _arrows(axes, walk.asked_elsewhere, "crimson")
    axes.set(aspect="equal", xlabel="x, metres", ylabel="y, metres")
    axes.set_title("The robot's path and its places, from above")
    axes.legend(loc="upper left", bbox_to_anchor=(0.0, -0.09), ncol=2, fontsize=9, frameon=False)
    figure.savefig(path, bbox_inches="tight")
    plt.close(figure)


def _show(cell: plt.Axes, picture: np.ndarray | None) -> None:
    if picture is not None:
        cell.imshow(picture, interpolation="nearest")
    _bare(cell)


def _bare(cell: plt.Axes) -> None:
    cell.set(xticks=[], yticks=[])
    for side in cell.spines.values():
        side.set_visible(False)


def _arrows(axes: plt.Axes, poses: Sequence[CameraPose], colour) -> None:
    along = np.array([[np.cos(pose.yaw), np.sin(pose.yaw)] for pose in poses]).reshape(-1, 2) * ARROW_METRES
    axes.quiver(*_xy(poses).T, *along.T, color=colour, angles="xy", scale_units="xy", scale=1, width=0.0028, zorder=2)


def _xy(poses: Sequence[CameraPose]) -> np.ndarray:
    return np.array([pose.position[:2] for pose in poses]).reshape(-1, 2)


def _place_colour(place: int) -> tuple[float, float, float]:
    return PLACE_COLOURS[(place - 1) % len(PLACE_COLOURS)]
