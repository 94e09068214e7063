"""What was recognised, as text and as a plot of precision by recall."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Plot

from training.confidence import Figure
from training.recognition.comparison import PICTURE, Recognition
from training.recognition.protocol import LEVELS, SEARCHES, precision_recall

STRICT = LEVELS[2]  # at which more than recall@1 is told, and the curves are drawn
PLOT = "place_recognition.png"
DOTS_PER_INCH = 120
MORE = {"recall@5": "@5", "recall@10": "@10", "average_precision": "AP", "certain_recall": "certain"}


def table(figures: dict) -> str:
    """The figures of `comparison.figures` as text, one block for each group of houses and search."""
    lines = []
    for group, found in figures.items():
        apart = found["difference"]
        lines.append(
            f"places recognised in {found['houses']} {group} houses, {found['queries']} queries; walks differ by "
            f"{apart['nearest_metres']:.2f} m, {apart['heading_degrees']:.0f} deg to the nearest frame, cameras by "
            f"{apart['height_metres']:.2f} m and {apart['tilt_degrees']:.1f} deg, starts by "
            f"{apart['start_metres']:.1f} m"
        )
        for search in SEARCHES:
            rows = found[search]
            width = 2 + max(len(row) for row in (*rows, f"{search}, recall@1", f"more than {PICTURE}"))
            titles = _columns(level.name for level in LEVELS) + "".join(f"{title:>9}" for title in MORE.values())
            lines.append(f"{search + ', recall@1':<{width}}{titles}")
            lines += [f"  {row:<{width - 2}}{_cells(of_levels)}" for row, of_levels in rows.items()]
            possible = next(iter(rows.values()))
            shares = _columns(_with_interval(possible[level.name]["possible"]) for level in LEVELS)
            lines.append(f"  {'(possible)':<{width - 2}}{shares}")
            for rival, gains in found["advantage"][search].items():
                more = _columns(_with_interval(gains[level.name]) for level in LEVELS)
                lines.append(f"  {'more than ' + rival:<{width - 2}}{more}")
    return "\n".join(lines)


def _cells(of_levels: dict[str, dict[str, Figure]]) -> str:
    recalls = _columns(_with_interval(of_levels[level.name]["recall@1"]) for level in LEVELS)
    strict = of_levels[STRICT.name]
    return recalls + "".join(f"{strict[name]['mean']:>9.3f}" if name in strict else " " * 9 for name in MORE)


def _columns(texts: Iterable[str]) -> str:
    return "".join(f"{text:>22}" for text in texts)


def _with_interval(figure: Figure) -> str:
    return f"{figure['mean']:.3f} ({figure['low']:.3f}..{figure['high']:.3f})"


def draw(recognised: dict[str, Recognition], output: Path) -> str:
    """Write the precision-recall curves at STRICT, a panel for each group and search; its name. Raises OSError."""
    plot = Plot(figsize=(5.2 * len(SEARCHES), 4.4 * len(recognised)), layout="constrained")
    panels = plot.subplots(len(recognised), len(SEARCHES), squeeze=False)
    level = LEVELS.index(STRICT)
    for row, (group, found) in enumerate(recognised.items()):
        for column, search in enumerate(SEARCHES):
            axes = panels[row][column]
            for name, matches in found.matches[search].items():
                curve = precision_recall(matches.similarity, matches.hits[:, 0, level], matches.possible[:, level])
                axes.plot(curve.recall, curve.precision, label=name, linewidth=1.4)
            axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="recall of the queries with a hit", ylabel="precision",
                     title=f"{group} houses, {search}, within {STRICT.name}")  # fmt: skip
            axes.grid(linewidth=0.3)
            axes.spines[["top", "right"]].set_visible(False)
    panels[0][0].legend(frameon=False, fontsize=8)
    FigureCanvasAgg(plot)
    plot.savefig(output / PLOT, dpi=DOTS_PER_INCH)
    return PLOT
