"""One style for all figures: colour-blind-safe, readable at half a page, the same bytes for the same data."""

import contextlib
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from workflow_scripts.plumbing.files import whole_file

# Inches. Text of 9 points and more is still read when the figure is shrunk to a column of 8 cm.
WIDTH = 5.2
STYLE = {
    "figure.figsize": (WIDTH, 4.0),
    "figure.dpi": 150,
    "figure.titlesize": 11,
    "figure.constrained_layout.use": True,
    "savefig.dpi": 200,
    # TrueType instead of Type 3 fonts: journals ask for it.
    "pdf.fonttype": 42,
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.alpha": 0.3,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "lines.linewidth": 1.4,
    "lines.markersize": 3.5,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "legend.handlelength": 2.6,
    "legend.columnspacing": 1.4,
}
# Without versions and times the same data give the same bytes.
METADATA = {"png": {"Software": None}, "pdf": {"Creator": None, "Producer": None, "CreationDate": None}}


def figure_file(stem: Path, kind: str) -> Path:
    """`stem.kind`."""
    # with_suffix would take a dot in the name for a suffix.
    return stem.with_name(f"{stem.name}.{kind}")


def _legend_columns(labels: Sequence[str]) -> int:
    """The most columns that fit into WIDTH; entries run down the columns. Inches: the sample, and the letters."""
    for columns in range(len(labels), 1, -1):
        rows = -(-len(labels) // columns)
        longest = [max(map(len, labels[i : i + rows])) for i in range(0, len(labels), rows)]
        if sum(0.68 + 0.065 * letters for letters in longest) <= WIDTH:
            return len(longest)
    return 1


def _legend(sheet: Figure) -> None:
    """One legend below all panels, where it hides no data."""
    found: dict[str, Artist] = {}
    for axes in sheet.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    if found:
        columns = _legend_columns(list(found))
        sheet.legend(found.values(), found.keys(), loc="outside lower center", ncols=columns)


@contextlib.contextmanager
def figure(
    title: str, stem: Path, shape: tuple[int, int], height: float, **options: Any
) -> Iterator[tuple[Figure, np.ndarray]]:
    """Figure and panels (rows, columns) to draw in; written at the end as PNG and PDF. `height` is in inches."""
    # The defaults first: a matplotlibrc of the user's would change the bytes.
    with plt.style.context(["default", STYLE]):
        sheet, panels = plt.subplots(*shape, figsize=(WIDTH, height), squeeze=False, **options)
        try:
            sheet.suptitle(textwrap.fill(title, 60))
            yield sheet, panels
            _legend(sheet)
            for kind, metadata in METADATA.items():
                with whole_file(figure_file(stem, kind)) as temporary:
                    sheet.savefig(temporary, format=kind, metadata=metadata)
        finally:
            plt.close(sheet)


def note(axes: Axes, text: str) -> None:
    """Say in the middle of a panel why it is empty."""
    # The box keeps lines of the panel out of the letters.
    box = {"facecolor": "white", "edgecolor": "none", "pad": 2}
    style: dict[str, Any] = {"ha": "center", "va": "center", "color": "#555555", "bbox": box, "zorder": 6}
    axes.text(0.5, 0.5, text, transform=axes.transAxes, **style)
