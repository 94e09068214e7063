"""Plots of what `training.evaluate` found: by number of observations, by distance, and what it says of its errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

ROWS = {  # of the table that are drawn, with colour
    "this network": "tab:blue",
    "its prior's mean": "tab:cyan",
    "reprojection": "tab:orange",
    "nearest image": "tab:green",
    "mean image": "tab:gray",
}
DASHES = ("-", "--", ":", "-.")  # for the inputs, in the order asked
DISTANCE_BINS = 8  # of equally many queries each
FEWEST_PIXELS = 1e-3  # share of all below which a bin of the spread or the expected error is left out
DOTS_PER_INCH = 120


def draw_plots(
    answers: dict[int, Any], figures: dict, inputs: tuple[str, ...], edges: tuple[float, ...], output: Path
) -> list[str]:
    """Write the plots of Answers by number of observations into a folder; their names. Raises OSError."""
    plots = {"rmse_by_observations.png": by_observations(figures, inputs)}
    plots["rmse_by_distance.png"] = by_distance(answers, inputs)
    for name, path in (("spread", "spread_and_error.png"), ("expected_error", "expected_and_true_error.png")):
        if any(f"{name}_bins" in row for answer in answers.values() for row in answer.values.values()):
            plots[path] = said_and_true_error(answers, edges, name)
    for name, figure in plots.items():
        FigureCanvasAgg(figure)
        figure.savefig(output / name, dpi=DOTS_PER_INCH)
    return list(plots)


def by_observations(figures: dict, inputs: tuple[str, ...]) -> Figure:
    """RMSE of each row by number of observations, with its confidence interval."""
    figure, axes = _plot()
    counts = [int(count) for count in figures]
    order = np.argsort(counts)
    for row, style in _rows(figures[str(counts[0])], inputs).items():
        found = [figures[str(counts[place])][row]["rmse"] for place in order]
        mean, low, high = (np.array([one[name] for one in found]) for name in ("mean", "low", "high"))
        x = np.array(counts)[order]
        axes.plot(x, mean, marker="o", markersize=4, label=row, **style)
        axes.fill_between(x, low, high, alpha=0.15, color=style["color"], linewidth=0)
    axes.set_xticks(sorted(counts))
    axes.set(xlabel="observations", ylabel="RMSE, of 255", title="Error by number of observations")
    return _finished(figure, axes)


def by_distance(answers: dict[int, Any], inputs: tuple[str, ...]) -> Figure:
    """RMSE of each row by how far the nearest observation is, all numbers of observations together."""
    figure, axes = _plot()
    distances = np.concatenate([answer.distances for answer in answers.values()])
    bins = np.array_split(np.argsort(distances), min(DISTANCE_BINS, len(distances)))
    x = [distances[chosen].mean() for chosen in bins]
    for row, style in _rows(next(iter(answers.values())).values, inputs).items():
        rmse = np.concatenate([answer.values[row]["rmse"] for answer in answers.values()])
        axes.plot(x, [rmse[chosen].mean() for chosen in bins], marker="o", markersize=4, label=row, **style)
    axes.set(
        xlabel="distance of the nearest observation: metres + 2 m for each radian",
        ylabel="RMSE, of 255",
        title="Error by distance of the nearest observation",
    )
    return _finished(figure, axes)


def said_and_true_error(answers: dict[int, Any], edges: tuple[float, ...], name: str) -> Figure:
    """Left: error of the pixels with a spread (or with an expected error, which `name` says). Right: how many pixels
    have it, among those seen and those not."""
    said, measure = name.replace("_", " "), f"{name}_bins"
    figure = Figure(figsize=(11, 4.6), layout="constrained")
    left, right = figure.add_subplot(1, 2, 1), figure.add_subplot(1, 2, 2)
    x = _bin_middles(edges)
    rows = {name: values for answer in answers.values() for name, values in answer.values.items()}
    for number, row in enumerate(name for name, values in rows.items() if measure in values):
        bins = sum(answer.values[row][measure].sum(axis=0) for answer in answers.values())
        enough = bins[:, 0] > FEWEST_PIXELS * bins[:, 0].sum()
        pixels, errors, squares = bins[enough, :3].T
        error = np.sqrt(squares / pixels) if name == "spread" else errors / pixels
        left.plot(x[enough], error, marker="o", markersize=4, label=row)
        if number == 0 and bins.shape[1] == 5:
            for column, where, colour in ((3, "seen", "tab:green"), (4, "never seen", "tab:red")):
                share = 100 * bins[:, column] / max(1, bins[:, column].sum())
                right.fill_between(x, share, step="mid", alpha=0.35, color=colour, linewidth=0, label=where)
                right.plot(x, share, drawstyle="steps-mid", color=colour, linewidth=1)
            right.set_title(f"{said.capitalize()} of pixels seen and never seen: {row}")
    kind = "RMSE" if name == "spread" else "mean absolute error"
    left.plot(x, x, color="black", linewidth=0.8, linestyle=":", label=f"error = {said}")
    left.set(xlabel=f"{said}, of 255", ylabel=f"{kind} of the pixels, of 255", title=f"Error of pixels by their {said}")
    right.set(xlabel=f"{said}, of 255", ylabel="share of pixels, %")
    for axes in (left, right):
        axes.set_xscale("log")
        _finished(figure, axes, legend_inside=True)
    left.set_yscale("log")
    return figure


def _rows(found: dict, inputs: tuple[str, ...]) -> dict[str, dict]:
    """How each row that is drawn looks, by its name."""
    styles = {}
    for name, colour in ROWS.items():
        for place, one in enumerate(inputs):
            row = name if place == 0 else f"{name}, {one}"
            if row in found:
                styles[row] = {"color": colour, "linestyle": DASHES[place]}
    return styles


def _bin_middles(edges: tuple[float, ...]) -> np.ndarray:
    """The middle of each bin, on the logarithmic axis; the first and the last are half a bin beyond the edges."""
    edges = np.array(edges)
    half = np.sqrt(edges[1] / edges[0])
    return np.concatenate([edges / half, [edges[-1] * half]])


def _plot() -> tuple[Figure, Axes]:
    figure = Figure(figsize=(9, 4.8), layout="constrained")
    return figure, figure.add_subplot()


def _finished(figure: Figure, axes: Axes, legend_inside: bool = False) -> Figure:
    axes.grid(linewidth=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize=8, loc="best" if legend_inside else "center left",
                    bbox_to_anchor=None if legend_inside else (1.0, 0.5))  # fmt: skip
    return figure
