"""The plots of the judge-sensitivity study, from its tables. They need matplotlib (extra `plots`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ...stats.intervals import EstimateWithInterval
from ...stats.tables import Table

DPI = 120
HEAT = {"decisions": "viable Jaccard", "selections": "other choice (frozen)"}
"""Tables, and for each the column that is drawn as a heat map."""


def can_draw() -> bool:
    """Whether matplotlib is installed."""
    try:
        import matplotlib  # noqa: F401
    except ModuleNotFoundError:
        return False
    return True


def draw(tables: dict[str, Table], folder: Path) -> tuple[Path, ...]:
    """Draw all plots as PNG files into a folder; none where matplotlib is missing."""
    if not can_draw():
        return ()
    plots = {
        "heat_map": _heat_maps(tables),
        "thresholds": _curves(tables["thresholds"]),
        "histogram": _histograms(tables["histogram"]),
        "mix_by_category": _mixes(tables["mix_by_category"]),
    }
    paths = []
    folder.mkdir(parents=True, exist_ok=True)
    for name, figure in plots.items():
        path = folder / f"{name}.png"
        figure.savefig(path, dpi=DPI, bbox_inches="tight")
        paths.append(path)
    return tuple(paths)


def _canvas(columns: int, rows: int = 1, size: tuple[float, float] = (4.5, 3.6)) -> tuple[Any, Any]:
    """A figure without a window, and its axes as (rows, columns)."""
    from matplotlib.figure import Figure as Canvas

    canvas = Canvas(figsize=(size[0] * columns, size[1] * rows), layout="constrained")
    return canvas, canvas.subplots(rows, columns, squeeze=False)


def _heat_maps(tables: dict[str, Table]) -> Any:
    """Judge x judge; on the diagonal a judge with itself, asked again."""
    canvas, axes = _canvas(len(HEAT))
    labels = [str(row[0]) for row in tables["judges"].rows]
    for axis, (name, start) in zip(axes[0], HEAT.items(), strict=True):
        table = tables[name]
        column = next(i for i, head in enumerate(table.heads) if head.startswith(start))
        values = np.full((len(labels), len(labels)), np.nan)
        for row in table.rows:
            i, j = labels.index(str(row[0])), labels.index(str(row[1]))
            values[i, j] = values[j, i] = _value(row[column])
        image = axis.imshow(values, vmin=0, vmax=1, cmap="viridis")
        axis.set_title(f"{table.heads[column]}\n(diagonal: asked again)")
        axis.set_xticks(range(len(labels)), labels, rotation=45, ha="right")
        axis.set_yticks(range(len(labels)), labels)
        for i, j in np.argwhere(~np.isnan(values)):
            axis.text(j, i, f"{values[i, j]:.2f}", ha="center", va="center", color="w" if values[i, j] < 0.6 else "k")
        canvas.colorbar(image, ax=axis)
    return canvas


def _curves(table: Table) -> Any:
    """Viable-set Jaccard over thresholds, one panel a judge: with the others, and with itself asked again (dashed)."""
    curves: dict[tuple[str, str], list[tuple[float, EstimateWithInterval]]] = {}
    for row in table.rows:
        if isinstance(row[3], EstimateWithInterval):
            curves.setdefault((str(row[0]), str(row[1])), []).append((_value(row[2]), row[3]))
    labels = list(dict.fromkeys(label for pair in curves for label in pair))
    canvas, axes = _canvas(len(labels), size=(3.6, 3.2))
    for axis, label in zip(axes[0], labels, strict=True):
        for (a, b), points in curves.items():
            if label in (a, b):
                other = b if a == label else a
                x, figures = zip(*points, strict=True)
                color = f"C{labels.index(other) % 10}"
                axis.plot(x, [f.value for f in figures], "--" if a == b else "-", color=color, label=other)
                axis.fill_between(x, [f.low for f in figures], [f.high for f in figures], alpha=0.15, color=color)
        axis.set(title=f"{label} and …", xlabel="threshold", ylim=(0, 1.02))
        axis.legend(fontsize=8)
    axes[0, 0].set_ylabel("viable-set Jaccard")
    return canvas


def _histograms(table: Table) -> Any:
    labels = table.heads[1:]
    canvas, axes = _canvas(len(labels), size=(3.2, 2.8))
    levels = [_value(row[0]) for row in table.rows]
    for k, (axis, label) in enumerate(zip(axes[0], labels, strict=True), start=1):
        axis.bar(levels, [_value(row[k]) for row in table.rows])
        axis.set(title=label, xlabel="score", xticks=levels[::2])
    return canvas


def _mixes(table: Table) -> Any:
    """What each judge finds best, by category: stacked shares of the actions."""
    labels, categories, actions = (list(dict.fromkeys(str(row[i]) for row in table.rows)) for i in range(3))
    share = {(row[0], row[1], row[2]): _value(row[3]) for row in table.rows}
    canvas, axes = _canvas(len(labels), size=(3.6, 1.5 + 0.35 * len(categories)))
    for axis, label in zip(axes[0], labels, strict=True):
        left = np.zeros(len(categories))
        for action in actions:
            width = np.nan_to_num([share[label, category, action] for category in categories])
            axis.barh(categories, width, left=left, label=action)
            left += width
        axis.set(title=f"{label}: best actions", xlim=(0, 1), xlabel="share")
        axis.tick_params(labelleft=axis is axes[0, 0])
    canvas.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside right upper", fontsize=8)
    return canvas


def _value(cell: object) -> float:
    if isinstance(cell, EstimateWithInterval):
        return cell.value
    return float(cell) if isinstance(cell, (int, float)) else float("nan")
