"""Paths of a data set seen from above, as a picture: so that a user sees whether axes, scale and yaw are right."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from training.data.dataset import ShardSet

PICTURE = "paths.png"
MOST_PATHS = 6
ARROWS = 25  # of the camera's direction, along each path


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
        axes.plot(poses[:, 0], poses[:, 1], linewidth=1)
        some = poses[:: max(1, len(poses) // ARROWS)]
        axes.quiver(some[:, 0], some[:, 1], np.cos(some[:, 3]), np.sin(some[:, 3]), angles="xy", width=0.006, zorder=3)
        axes.plot(*poses[0, :2], "o", color="tab:green")
        axes.set(xlabel="x, m", ylabel="y, m", aspect="equal", title=f"{shard.name(row)}, z {poses[:, 2].mean():.2f} m")
        axes.grid(linewidth=0.3)
    figure.suptitle("from above; arrows: where the camera looks; green: the first frame")
    path = folder / PICTURE
    figure.savefig(path, dpi=80)
    data.close()
    return path
