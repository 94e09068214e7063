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

NAME_METRES = 1.0  # from one place's name to another's, where there is room for it
HELD_SHOWN = 4  # observations shown in each row of the contact sheet
ARROW_METRES = 0.3
TYPE_POINTS = 13  # of text in maps: readable where a page shows them at three quarters of their size
# Of places, one after the other; none that a judgement has.
PLACE_COLOURS = ("tab:blue", "tab:brown", "tab:pink", "tab:purple", "tab:cyan", "tab:olive", "tab:gray")
JUDGEMENT_COLOURS = {"right": "green", "near": "darkorange", "wrong": "red"}


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
class DrivenPose:
    """A keyframe of a drive."""

    seconds: float  # since the start
    pose: CameraPose
    place: int


@dataclass(frozen=True)
class DrawnMatch:
    """A keyframe that was taken for an earlier one."""

    now: CameraPose
    then: CameraPose
    now_seconds: float  # since the start
    then_seconds: float
    judgement: str  # of JUDGEMENT_COLOURS


@dataclass(frozen=True)
class MatchedPair:
    """The surest match, and the two pictures that the node takes for one place; (h, w, 3) uint8."""

    match: DrawnMatch
    now_picture: np.ndarray
    then_picture: np.ndarray
    now_title: str
    then_title: str
    caption: str  # below them


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
        (HELD_SHOWN + 2, HELD_SHOWN + 2): f"uncertainty\n(white: {highest:.2g})",
    }
    for (first, last), text in headings.items():
        left, right = grid[0, first].get_position(), grid[0, last].get_position()
        middle, above = (left.x0 + right.x1) / 2, left.y1 + 0.24 / size[1]
        figure.text(middle, above, text, ha="center", va="bottom", fontsize=12, weight="bold")
    figure.text(0.5, 1 - 0.08 / size[1], f"Views predicted by {model_name} while the robot drives", ha="center",
                va="top", fontsize=15)  # fmt: skip
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
    line[0].set_ylabel(f"at {row.seconds:.0f} s, {row.num_held} held", fontsize=11)
    truth.set_title(row.asked, fontsize=10, pad=3)
    predicted.imshow(row.predicted, interpolation="nearest")
    uncertainty.imshow(row.uncertainty, cmap="magma", vmin=0, vmax=highest, interpolation="nearest")
    if row.truth is None:
        where = {"ha": "center", "va": "center", "transform": truth.transAxes, "fontsize": 11}
        truth.text(0.5, 0.5, "the robot was\nnever here", **where)
    else:
        truth.imshow(row.truth, interpolation="nearest")
        predicted.set_title(f"RMSE {rmse(row.predicted, row.truth):.0f} of 255", fontsize=10, pad=3)


def draw_path(walk: Walk, path: Path) -> None:
    """The path from above, with headings, observations, places and queries."""
    with plt.rc_context({"font.size": TYPE_POINTS}):
        figure, axes = plt.subplots(figsize=(10, 9), dpi=100)
        _draw_walk(axes, walk)
        axes.set(aspect="equal", xlabel="x, metres", ylabel="y, metres")
        axes.set_title("The robot's path and its places, from above")
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.09), ncols=2, frameon=False)
        figure.savefig(path, bbox_inches="tight")
        plt.close(figure)


def _draw_walk(axes: plt.Axes, walk: Walk) -> None:
    poses = [pose for pose, _ in walk.observations]
    colours = [_place_colour(place) for _, place in walk.observations]
    axes.scatter(*walk.surroundings.T, s=1.5, color="0.75", linewidths=0)
    axes.plot([], [], color="0.75", linewidth=4, label="walls and furniture (by depth)")
    axes.plot(*walk.path.T, color="0.4", linewidth=1.0, label="path of the camera", zorder=2)
    _arrows(axes, poses, colours)
    axes.scatter(*_xy(poses).T, s=40, zorder=4, color=colours, label="observations, coloured by place")
    axes.scatter(*_xy(walk.asked_ahead).T, s=36, marker="x", color="black", linewidths=1.5, zorder=5,
                 label="views predicted before it was there")  # fmt: skip
    if walk.asked_elsewhere:
        axes.scatter(*_xy(walk.asked_elsewhere).T, s=220, marker="*", color="crimson", zorder=6,
                     label="views predicted where it never was")  # fmt: skip
        _arrows(axes, walk.asked_elsewhere, "crimson")
    for pose, place in walk.place_origins:
        axes.scatter(*pose.position[:2], s=260, marker="s", facecolors="none", edgecolors=[_place_colour(place)],
                     linewidths=2.5, zorder=5, label="a place begins" if place == 1 else None)  # fmt: skip
        _name_place(axes, pose, place)


def draw_drive(
    keyframes: Sequence[DrivenPose],
    matches: Sequence[DrawnMatch],
    judgements: dict[str, str],
    pair: MatchedPair | None,
    path: Path,
) -> None:
    """A drive from above with its places, and in time, with a line for each match; beside it, the surest match.

    judgements: what the legend says of each of JUDGEMENT_COLOURS.
    """
    with plt.rc_context({"font.size": TYPE_POINTS}):
        layout = [["map", "now"], ["map", "then"], ["times", "times"], ["legend", "legend"]]
        figure, axes = plt.subplot_mosaic(layout, figsize=(12, 11.5), dpi=100, width_ratios=(1.7, 1),
                                          height_ratios=(3.4, 3.4, 2.0, 0.8), layout="constrained")  # fmt: skip
        _draw_plan(axes["map"], keyframes, matches, pair)
        _draw_times(axes["times"], keyframes, matches, pair)
        handles, labels = axes["map"].get_legend_handles_labels()
        marks = [plt.Line2D([], [], color=colour, linewidth=3) for colour in JUDGEMENT_COLOURS.values()]
        axes["legend"].legend([*handles, *marks], [*labels, *(judgements[name] for name in JUDGEMENT_COLOURS)],
                              loc="center", ncols=2, frameon=False)  # fmt: skip
        axes["legend"].axis("off")
        if pair is not None:
            _draw_picture(axes["now"], pair.now_picture, f"The surest match:\n{pair.now_title}")
            _draw_picture(axes["then"], pair.then_picture, f"is taken for\n{pair.then_title}")
            axes["then"].set_xlabel(pair.caption)
        else:
            axes["now"].text(0.5, 0.5, "nothing was known again", ha="center")
            for name in ("now", "then"):
                axes[name].axis("off")
        figure.savefig(path)
        plt.close(figure)


def _draw_plan(
    axes: plt.Axes, keyframes: Sequence[DrivenPose], matches: Sequence[DrawnMatch], pair: MatchedPair | None
) -> None:
    """From above: each match is a line between two rings, which lie on each other where the robot came back exactly."""
    axes.plot(*_xy([frame.pose for frame in keyframes]).T, color="0.6", linewidth=1.0, zorder=2)
    named: list[CameraPose] = []
    for place in sorted({frame.place for frame in keyframes}):
        poses = [frame.pose for frame in keyframes if frame.place == place]
        label = "keyframes, coloured by place, and headings" if place == keyframes[0].place else None
        _arrows(axes, poses, _place_colour(place), label)
        named.append(_pose_for_name(poses, named))
        _name_place(axes, named[-1], place)
    for match in matches:
        line = {"color": JUDGEMENT_COLOURS[match.judgement], "linewidth": 2.0, "zorder": 5}
        axes.plot(*_xy([match.now, match.then]).T, marker="o", markersize=11, fillstyle="none", **line)
    if pair is not None:
        axes.plot(*_xy([pair.match.now]).T, color="black", linestyle="none", marker="o", markersize=18,
                  fillstyle="none", markeredgewidth=3, zorder=6, label="the surest match")  # fmt: skip
    axes.set(aspect="equal", xlabel="x, metres", ylabel="y, metres")
    axes.set_title("A live drive from above,\nand where the robot knew that it had been there")


def _draw_times(
    axes: plt.Axes, keyframes: Sequence[DrivenPose], matches: Sequence[DrawnMatch], pair: MatchedPair | None
) -> None:
    """Along the time: in which place the robot was, and an arc from each match back to what it was taken for."""
    ends = [frame.seconds for frame in keyframes[1:]] + [keyframes[-1].seconds]
    for frame, end in zip(keyframes, ends):
        axes.barh(-0.12, end - frame.seconds, height=0.2, left=frame.seconds, color=_place_colour(frame.place))
    changes = [0] + [i for i in range(1, len(keyframes)) if keyframes[i].place != keyframes[i - 1].place]
    for begin, after in zip(changes, [*changes[1:], len(keyframes) - 1]):
        middle = (keyframes[begin].seconds + keyframes[after].seconds) / 2
        axes.text(middle, -0.12, str(keyframes[begin].place), color="white", weight="bold", ha="center", va="center")
    for match in matches:
        is_surest = pair is not None and match == pair.match
        colour = "black" if is_surest else JUDGEMENT_COLOURS[match.judgement]
        angles = np.linspace(0, np.pi, 60)
        middle, half = (match.now_seconds + match.then_seconds) / 2, (match.now_seconds - match.then_seconds) / 2
        axes.plot(middle + half * np.cos(angles), np.sin(angles), color=colour, linewidth=3 if is_surest else 1.5,
                  zorder=3 if is_surest else 2)  # fmt: skip
    axes.set(ylim=(-0.25, 1.08), yticks=[], xlabel="seconds after the start")
    axes.margins(x=0.01)
    axes.set_title("When: in which place (numbers), and from each match back to what it was taken for")


def _pose_for_name(poses: Sequence[CameraPose], named: Sequence[CameraPose]) -> CameraPose:
    """The first of a place's poses that leaves room for its name beside those of other places; else the farthest."""
    rooms = [min((pose.distance_to(other) for other in named), default=NAME_METRES) for pose in poses]
    return poses[int(np.argmax(np.minimum(rooms, NAME_METRES)))]


def _name_place(axes: plt.Axes, pose: CameraPose, place: int) -> None:
    axes.annotate(f"place {place}", pose.position[:2], xytext=(0, 14), textcoords="offset points", ha="center",
                  weight="bold", color=_place_colour(place), zorder=7,
                  path_effects=[patheffects.withStroke(linewidth=3, foreground="white")])  # fmt: skip


def _draw_picture(axes: plt.Axes, picture: np.ndarray, title: str) -> None:
    axes.imshow(picture)
    axes.set(xticks=[], yticks=[])
    axes.set_title(title)


def _arrows(
    axes: plt.Axes, poses: Sequence[CameraPose], colour: str | Sequence[str], label: str | None = None
) -> None:
    """Headings. colour: of all, or one for each pose."""
    along = np.array([[np.cos(pose.yaw), np.sin(pose.yaw)] for pose in poses]).reshape(-1, 2) * ARROW_METRES
    axes.quiver(*_xy(poses).T, *along.T, color=colour, angles="xy", scale_units="xy", scale=1, width=0.004, zorder=4,
                label=label)  # fmt: skip


def _xy(poses: Sequence[CameraPose]) -> np.ndarray:
    return np.array([pose.position[:2] for pose in poses]).reshape(-1, 2)


def _place_colour(place: int) -> str:
    return PLACE_COLOURS[(place - 1) % len(PLACE_COLOURS)]
