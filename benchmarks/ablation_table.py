"""What came of an ablation's rows as Markdown, for docs/results.md: from what `benchmarks.ablation` wrote of each.

One table of figures; one of how each row's error stands to what it has to beat, which is to be read first.
"""

from __future__ import annotations

from typing import Any, NamedTuple

NETWORK = "this network"  # its name among the figures of a run (training.evaluate)
COLOUR = "this network, colour"  # given no depth and no objects
PRIOR_MEAN, PRIOR_MEAN_COLOUR = "its prior's mean", "its prior's mean, colour"
BASELINES = ("mean image", "nearest image", "reprojection")
FEW, MANY = 0, -1  # of the numbers of observations


class Column(NamedTuple):
    """One figure of each row."""

    title: str  # {} is the number of observations
    row: str  # of the run's figures
    measure: str
    observations: int  # FEW or MANY
    decimals: int


COLUMNS = (
    Column("RMSE, {}", NETWORK, "rmse", FEW, 1),
    Column("RMSE, {}", NETWORK, "rmse", MANY, 1),
    Column("SSIM, {}", NETWORK, "ssim", MANY, 3),
    Column("of the prior's mean, {}", PRIOR_MEAN, "rmse", MANY, 1),
    Column("RMSE, colour alone, {}", COLOUR, "rmse", FEW, 1),
    Column("RMSE, colour alone, {}", COLOUR, "rmse", MANY, 1),
    Column("of the prior's mean, colour alone, {}", PRIOR_MEAN_COLOUR, "rmse", MANY, 1),
    Column("depth RMSE (m), {}", NETWORK, "depth_rmse", MANY, 3),
    Column("objects right, {}", NETWORK, "object_accuracy", MANY, 3),
    Column("spread unseen / seen, {}", NETWORK, "spread_ratio", MANY, 2),
    Column("expected error unseen / seen, {}", PRIOR_MEAN, "expected_error_ratio", MANY, 2),
    Column("expected / true error, {}", PRIOR_MEAN, "calibration", MANY, 2),
)


def figure(figures: dict, observations: int, row: str, measure: str) -> float | None:
    """The mean of a figure of a run, None where it has none."""
    found = figures[list(figures)[observations]].get(row, {}).get(measure)
    return None if found is None else found["mean"]


def table(rows: list[dict[str, Any]]) -> str:
    """At least one row, as Markdown."""
    counts = list(rows[0]["figures"])
    body = [(row["row"], figures_of(row["figures"]), costs(row)) for row in rows]
    for name in BASELINES:
        if name in rows[0]["figures"][counts[0]]:
            body.append((f"*{name}*", figures_of(baseline_figures(rows[0]["figures"], name)), [""] * 3))
    shown = [index for index in range(len(COLUMNS)) if any(cells[index] for _, cells, _ in body)]
    titles = [COLUMNS[index].title.format(counts[COLUMNS[index].observations]) for index in shown]
    lines = [markdown("row", *titles, "samples", "seconds", "samples/s"), "| --- " * (4 + len(shown)) + "|"]
    lines += [markdown(name, *(cells[index] for index in shown), *cost) for name, cells, cost in body]
    return "\n".join([*lines, "", *ratios(rows)]) + "\n"


def figures_of(figures: dict) -> list[str]:
    """A cell for each of COLUMNS."""
    values = ((figure(figures, c.observations, c.row, c.measure), c.decimals) for c in COLUMNS)
    return ["" if value is None else f"{value:.{decimals}f}" for value, decimals in values]


def costs(row: dict[str, Any]) -> list[str]:
    return [f"{row['samples']:,}", f"{row['seconds']:.0f}", f"{row['samples_per_second']:,.0f}"]


def baseline_figures(figures: dict, name: str) -> dict:
    """A baseline's as if it were the network's; all but reprojection look at colour alone."""
    by_count = {}
    for count, rows in figures.items():
        by_count[count] = {NETWORK: rows[name]} | ({} if name == "reprojection" else {COLOUR: rows[name]})
    return by_count


def ratios(rows: list[dict[str, Any]]) -> list[str]:
    """Lines of a table of each row's RMSE over that of the published model and of the baselines, where they are."""
    published = next((row["figures"] for row in rows if row["row"] == "published"), {})
    rivals = {}
    if published:
        rivals["published"] = (NETWORK, published, NETWORK)
        rivals["published, both from colour alone"] = (COLOUR, published, COLOUR)
    ours = rows[0]["figures"]
    rivals["reprojection"] = (NETWORK, ours, "reprojection")
    rivals["the mean image, from colour alone"] = (COLOUR, ours, "mean image")
    rivals["the nearest image, from colour alone"] = (COLOUR, ours, "nearest image")
    counts = list(ours)
    lines = [
        markdown(f"RMSE with {counts[MANY]} observations, over that of", *rivals),
        "| --- " * (1 + len(rivals)) + "|",
    ]
    for row in rows:
        pairs = [
            (figure(row["figures"], MANY, of, "rmse"), figure(others, MANY, rival, "rmse"))
            for of, others, rival in rivals.values()
        ]
        lines.append(markdown(row["row"], *("" if None in pair else f"{pair[0] / pair[1]:.2f}" for pair in pairs)))
    return lines


def markdown(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"
