"""Paths of a data set seen from above, as pictures: so that a user sees whether axes, scale and yaw are right.

Shapes: f frames.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from training.data.dataset import ShardSet

PICTURE = "paths.png"
MOST_PATHS = 6
ARROWS = 25  # of the camera's direction, along each path
DOTS_PER_INCH = 128  # a power of two, so that a picture has exactly the pixels asked for
MARGIN = 0.08  # of a picture without axes, on each side


def draw_paths(folder: Path) -> Path:
    """Draw some paths of the data set in `folder` into a PNG file there, and return its path. Raises OSError."""
    data = ShardSet(folder, skip_damaged=True)
    chosen = np.unique(np.linspace(0, len(data) - 1, min(MOST_PATHS, len(data))).round().astype(int))
    columns = min(3, len(chosen))
    rows = -(-len(chosen) // columns)
    figure = Figure(figsize=(4 * columns, 4 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    for place, index in enumerate(chosen):
        shard, row = data.shard(int(index))
        poses = shard.encoded(row).column("pose").flatten().to_numpy().reshape(-1, 5)
        axes = figure.add_subplot(rows, columns, place + 1)
        draw_path(axes, poses, np.arange(0, len(poses), max(1, len(poses) // ARROWS)))
        axes.set(xlabel="x, m", ylabel="y, m", title=f"{shard.name(row)}, z {poses[:, 2].mean():.2f} m")
        axes.grid(linewidth=0.3)
    figure.suptitle("from above; arrows: where the camera looks;\ngreen: the first frame", fontsize="medium")
    path = folder / PICTURE
    figure.savefig(path, dpi=80)
    data.close()
    return path


def path_from_above(poses: np.ndarray, frames: np.ndarray, side: int) -> np.ndarray:
    """A path (f, 5), and where the camera looks at some frames, without axes: uint8 (side, side, 3)."""
    figure = Figure(figsize=(side / DOTS_PER_INCH, side / DOTS_PER_INCH), dpi=DOTS_PER_INCH)
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes((MARGIN, MARGIN, 1 - 2 * MARGIN, 1 - 2 * MARGIN))
    draw_path(axes, poses, frames)
    axes.set_axis_off()
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3]


def draw_path(axes: Axes, poses: np.ndarray, frames: np.ndarray) -> None:
    """A path (f, 5) into a plot, x to the right and y up; arrows at some frames, and a dot at the first one."""
    axes.plot(poses[:, 0], poses[:, 1], linewidth=1)
    some = poses[frames]
    axes.quiver(some[:, 0], some[:, 1], np.cos(some[:, 3]), np.sin(some[:, 3]), angles="xy", width=0.006, zorder=3)
    axes.plot(*poses[0, :2], "o", color="tab:green")
    axes.margins(0.1)
    axes.set_aspect("equal", adjustable="datalim")  # a long straight path, too, has room on both sides
