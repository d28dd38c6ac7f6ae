"""What is checked of a slice, as data/README.md documents it: errors end the run, warnings are counted.

A slice is checked block by block, so that memory does not grow with it; every error is found before
the first is told.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from annotated_doc import Doc
from annotated_types import Ge, Le
from numpy.typing import NDArray

from workflow_scripts.holdings.panel.contract import FEATURES, LABELS, MAX_EXAMPLES, PANEL_COLUMNS, PanelError
from workflow_scripts.holdings.panel.manager_checks import LostExits, SamePositions, position_weights, quarter_span
from workflow_scripts.holdings.panel.pairs import key_arrays, next_holding, same_pair
from workflow_scripts.holdings.panel.quarters import quarter_labels
from workflow_scripts.holdings.panel.slices import check_keys, panel_blocks, panel_schema
from workflow_scripts.holdings.panel.spikes import Spikes
from workflow_scripts.holdings.panel.timing import Timing

MAY_BE_MISSING = tuple(name for name in FEATURES if name != "holding_t")
# holding_t1 repeats the next row's holding_t; a vendor may have stored one of them as float32.
TOLERANCE = 1e-6
FIRST_YEAR, LAST_YEAR = 1900, 2200
N_QUARTERS = 4 * (LAST_YEAR - FIRST_YEAR + 1)

# name: (what is wrong, remedy). The names are those of the report and of data/README.md.
ERRORS = {
    "wrong_type": (
        "column 'type' is missing or not the slice's firm type",
        "One slice holds one firm type: split the file.",
    ),
    "bad_date": (
        f"column 'date' lies outside the years {FIRST_YEAR}-{LAST_YEAR}",
        "A number was taken for a date: convert it to days.",
    ),
    "bad_holding": (
        "column 'holding_t' is missing, infinite or negative",
        "It is price x shares in $ million, at least 0: correct or drop these rows.",
    ),
    "bad_label": (
        "column 'holding_t1' is infinite or negative",
        "It is the next quarter's holding_t in $ million, or missing: correct it.",
    ),
    "infinite_value": (
        "a number other than the holdings is infinite",
        "A ratio or a logarithm with 0 made it: make it missing.",
    ),
    "negative_price": (
        "column 'prc' is negative",
        "CRSP marks the mean of bid and ask by a minus sign: take the absolute value.",
    ),
    "duplicate_key": (
        "(mgrno, permno, quarter) occurs more than once",
        "Keep one row per manager, stock and quarter; of monthly data, the quarter's last month.",
    ),
    "wrong_label": (
        "column 'holding_t1' is not the pair's next-quarter holding_t",
        "It must equal holding_t of the next row, and be missing unless that row is exactly the next quarter.",
    ),
}
WARNINGS = {
    "label_missing": "rows without holding_t1 although the next quarter's row is there (no label: not used)",
    "holding_above_aum": "rows whose holding_t is above the manager's aum",
    "holding_above_me": "rows whose holding_t is above the stock's me",
    "not_positive": "rows in which me, aum or prc is 0 or less, or outaum is negative",
    "days_per_quarter": "quarters stamped with more than one day",
    "unit_suspicion": "ratios that suggest values off by 10^3 or 10^6",
    "unit_jump": "manager-quarters after which most positions jump by 10^3 or 10^6",
    "timing": "columns that look like those of another quarter: move them to the rows of their own quarter",
    "same_positions": "pairs of managers that hold the same positions; if it is one manager under two ids, drop one",
    "lost_exits": "positions that end without a zero row while manager and stock go on, so that exits have no label "
    "(panel_exits: from_filings makes these rows)",
    "odd_stock_quarter": "stock-quarters with a value off by 10^3 or more; leave them out by windows.set_aside",
}
# Medians outside these ranges are suspect. A manager's stocks are between a thousandth of its assets (a panel
# of few stocks) and all of them; the household sector owns half of a company, a small fund a billionth;
# companies have 0.1 million to 20 billion shares.
UNIT_RANGES = {
    "sum of a manager's holding_t / aum": (1e-3, 30.0),
    "holding_t / me": (1e-9, 3.0),
    "me / prc (million shares)": (0.1, 2e4),
}
SHARE_OF_ASSETS, SHARE_OF_STOCK, SHARES = UNIT_RANGES
# $ million: no company and no manager is worth 20 trillion dollars.
LARGEST_MEDIAN = 2e7
# A jump is a change of a position by 10^3 or 10^6, within half an order of magnitude, up or down.
JUMPS = (3.0, 6.0)
SMALLEST_JUMP = 10**2.4
MIN_POSITIONS = 3
# Lost exits are told from this share of the rows on, where they are more than those that a zero row shows.
MIN_LOST = 2.5e-3
TIMING_REMEDY = (
    "Move the column to the rows of its own quarter (data/README.md); if it is right as it is, checks.timing: warn"
)


@dataclass(frozen=True)
class CheckSettings:
    """What is still normal in a slice, and what ends the run."""

    max_share_above: Annotated[
        float,
        Ge(0),
        Le(1),
        Doc(
            "Largest share of a slice's rows whose holding_t may be above the manager's aum, or above the stock's me; "
            "with more of them the money is not in $ million, and the run ends."
        ),
    ] = 0.01
    timing: Annotated[
        Literal["refuse", "warn"],
        Doc("Whether a column that looks like that of the next quarter ends the run, or is only a warning."),
    ] = "refuse"


@dataclass
class _Finding:
    """How often a fault occurs, and the first rows."""

    count: int = 0
    examples: list[str] = field(default_factory=list)

    def add(self, block: pa.Table, bad: NDArray[np.bool_]) -> None:
        rows = np.flatnonzero(bad)
        if not len(rows):
            return
        self.count += len(rows)
        for row in block.take(rows[: MAX_EXAMPLES - len(self.examples)]).to_pylist():
            quarter = quarter_labels([row["quarter"]])[0]
            self.examples.append(
                f"row {row['row']}: mgrno {row['mgrno']}, permno {row['permno']}, {quarter}, type {row['type']}, "
                + ", ".join(f"{name} {row[name]:g}" for name in ("holding_t", "holding_t1", "aum", "me", "prc"))
            )


class _LogMedian:
    """Median of positive numbers that arrive in blocks, to a twentieth of an order of magnitude."""

    LOWEST, STEP, BINS = -20.0, 0.05, 800

    def __init__(self) -> None:
        self.counts = np.zeros(self.BINS, dtype=np.int64)

    def add(self, values: NDArray[np.float64]) -> None:
        at = (np.log10(values[(values > 0) & np.isfinite(values)]) - self.LOWEST) / self.STEP
        self.counts += np.bincount(at.astype(np.intp).clip(0, self.BINS - 1), minlength=self.BINS)

    def median(self) -> float | None:
        if not self.counts.sum():
            return None
        at = np.searchsorted(np.cumsum(self.counts), self.counts.sum() / 2)
        return float(10 ** (self.LOWEST + (at + 0.5) * self.STEP))


@dataclass(frozen=True)
class _Cells:
    """Manager-quarters: the manager, the quarter from FIRST_YEAR on, sums over the rows; arrays of shape (n,).

    `number` counts positions above 0, `positions` those that go on, `jumps` those of them that jump.
    """

    manager: NDArray
    index: NDArray
    assets: NDArray
    outside: NDArray
    held: NDArray
    weighted: NDArray
    number: NDArray
    positions: NDArray
    jumps: NDArray

    def where(self, mask: NDArray[np.bool_]) -> "_Cells":
        return _Cells(**{name: values[mask] for name, values in vars(self).items()})

    def joined(self, others: "_Cells") -> "_Cells":
        return _Cells(**{name: np.append(values, getattr(others, name)) for name, values in vars(self).items()})

    def summed(self) -> "_Cells":
        """The cells of one manager, each quarter once."""
        _, first, cell = np.unique(self.index, return_index=True, return_inverse=True)
        last = np.empty(len(first), dtype=np.intp)
        last[cell] = np.arange(len(cell))
        sums = {name: np.bincount(cell, getattr(self, name)) for name in ("held", "weighted")}
        counts = {name: np.bincount(cell, getattr(self, name)) for name in ("number", "positions", "jumps")}
        return _Cells(
            manager=self.manager[first],
            index=self.index[first],
            assets=self.assets[last],
            outside=self.outside[last],
            **sums,
            **{name: values.astype(np.int64) for name, values in counts.items()},
        )


def _quarter(index: int) -> str:
    """The label of a quarter that is counted from FIRST_YEAR on."""
    return quarter_labels([index + 4 * FIRST_YEAR])[0]


@dataclass
class _Slice:
    """What the blocks seen so far have shown."""

    firm_type: str
    timing: Timing
    errors: dict[str, _Finding] = field(default_factory=lambda: {name: _Finding() for name in ERRORS})
    warnings: dict[str, _Finding] = field(default_factory=lambda: {name: _Finding() for name in WARNINGS})
    ratios: dict[str, _LogMedian] = field(default_factory=lambda: {name: _LogMedian() for name in UNIT_RANGES})
    money: dict[str, _LogMedian] = field(default_factory=lambda: {name: _LogMedian() for name in ("me", "aum")})
    coverage: dict[str, NDArray] = field(default_factory=dict)
    days: set[int] = field(default_factory=set)
    # By stock the quarters in which it has rows, shape (N_QUARTERS,).
    stocks: dict[int, NDArray[np.bool_]] = field(default_factory=dict)
    same: SamePositions = field(default_factory=SamePositions)
    lost: LostExits = field(default_factory=LostExits)
    spikes: Spikes = field(default_factory=Spikes)
    odd_stock_quarters: list[str] = field(default_factory=list)
    infinite: set[str] = field(default_factory=set)
    waiting: _Cells | None = None
    managers: int = 0
    pairs: int = 0
    gaps: int = 0
    exits: int = 0

    def add(self, block: pa.Table) -> None:
        """Check one block of whole pairs, sorted."""
        mgrno, permno, quarter = key_arrays(block)
        value = {name: block[name].to_numpy() for name in (*FEATURES, *LABELS)}
        holding, label = value["holding_t"], value["holding_t1"]
        following = np.append(same_pair(mgrno, permno, 1), False)
        step = np.append(np.diff(quarter), 0)
        has_next, expected = next_holding(mgrno, permno, quarter, holding)
        differs = np.abs(label - expected) > TOLERANCE * np.maximum(1.0, np.abs(expected))
        index = quarter - 4 * FIRST_YEAR
        infinite = {name: np.isinf(value[name]) for name in MAY_BE_MISSING}
        self.infinite.update(name for name, mask in infinite.items() if mask.any())
        bad = {
            "wrong_type": ~pc.fill_null(
                pc.equal(pc.cast(block["type"], pa.string()), self.firm_type), False
            ).to_numpy(),
            "bad_date": (index < 0) | (index >= N_QUARTERS),
            "bad_holding": ~np.isfinite(holding) | (holding < 0),
            "bad_label": np.isinf(label) | (label < 0),
            "infinite_value": np.any(list(infinite.values()), axis=0),
            "negative_price": value["prc"] < 0,
            "duplicate_key": np.append(False, (following & (step == 0))[:-1]),
            "wrong_label": (has_next & differs) | (~has_next & ~np.isnan(label)),
        }
        odd = {
            "label_missing": has_next & np.isnan(label),
            "holding_above_aum": holding > value["aum"] * (1 + TOLERANCE),
            "holding_above_me": holding > value["me"] * (1 + TOLERANCE),
            "not_positive": (value["me"] <= 0) | (value["aum"] <= 0) | (value["prc"] <= 0) | (value["outaum"] < 0),
        }
        for findings, masks in ((self.errors, bad), (self.warnings, odd)):
            for name, mask in masks.items():
                findings[name].add(block, mask)
        goes_on = self.waiting is not None and self.waiting.manager[0] == mgrno[0]
        self.managers += int((mgrno[1:] != mgrno[:-1]).sum()) + (not goes_on)
        self.pairs += int((~following).sum())
        self.gaps += int((following & (step > 1)).sum())
        self.days.update(pc.unique(block["date"].cast(pa.int32())).to_pylist())
        index = index.clip(0, N_QUARTERS - 1).astype(np.intp)
        weights = self._see_stocks(block, index)
        self.exits += int((has_next & (holding > 0) & (expected == 0)).sum())
        ended = np.flatnonzero(~following & (holding > 0))
        self.lost.add(mgrno[ended], permno[ended], index[ended])
        self.spikes.add(permno, index, value, has_next)
        self.timing.add(mgrno, permno, index, value)
        self._count("rows", index)
        self._count("labelled", index[~np.isnan(label)])
        self._count("zero_holding", index[holding == 0])
        for name in MAY_BE_MISSING:
            self._count(f"{name}_missing", index[np.isnan(value[name])])
        self._check_managers(mgrno, weights, index, value, has_next)

    def _see_stocks(self, block: pa.Table, index: NDArray) -> NDArray[np.float64]:
        """Take note of the stocks' quarters; returns the weight of each row's stock."""
        stocks = pc.dictionary_encode(block["permno"].combine_chunks())
        present = np.zeros((len(stocks.dictionary), N_QUARTERS), dtype=bool)
        present[stocks.indices.to_numpy(), index] = True
        for permno, quarters in zip(stocks.dictionary.to_pylist(), present, strict=True):
            if permno in self.stocks:
                self.stocks[permno] |= quarters
            else:
                self.stocks[permno] = quarters.copy()
        return position_weights(stocks.dictionary.to_numpy())[stocks.indices.to_numpy()]

    def _count(self, name: str, index: NDArray) -> None:
        counts = np.bincount(index, minlength=N_QUARTERS)
        self.coverage[name] = self.coverage.get(name, 0) + counts

    def _check_managers(
        self, mgrno: NDArray, weights: NDArray, index: NDArray, value: dict[str, NDArray], has_next: NDArray
    ) -> None:
        holding, label, aum, me, prc = (value[name] for name in ("holding_t", "holding_t1", "aum", "me", "prc"))
        for name, median in self.money.items():
            median.add(value[name])
        with np.errstate(divide="ignore", invalid="ignore"):
            self.ratios[SHARE_OF_STOCK].add(holding / me)
            self.ratios[SHARES].add(me / prc)
            growth = label / holding
        continuing = has_next & (growth > 0) & np.isfinite(growth)
        # Few positions grow or shrink that much: only their logarithms are needed.
        jumped = np.flatnonzero(continuing & ((growth > SMALLEST_JUMP) | (growth < 1 / SMALLEST_JUMP)))
        log_jump = np.abs(np.log10(growth[jumped]))
        jumped = jumped[np.any([np.abs(log_jump - jump) < 0.5 for jump in JUMPS], axis=0)]
        # A cell is a manager's quarter: numbered by what occurs, because managers may be many and small.
        begins = np.append(True, mgrno[1:] != mgrno[:-1])
        numbered = pc.dictionary_encode(pa.array((np.cumsum(begins) - 1) * N_QUARTERS + index))
        codes, cell = numbered.dictionary.to_numpy(), numbered.indices.to_numpy()
        last = np.empty(len(codes), dtype=np.intp)
        last[cell] = np.arange(len(cell))
        held = np.nan_to_num(holding, posinf=0.0, neginf=0.0)
        cells = _Cells(
            manager=mgrno[begins][codes // N_QUARTERS],
            index=codes % N_QUARTERS,
            assets=aum[last],
            outside=value["outaum"][last],
            held=np.bincount(cell, held),
            weighted=np.bincount(cell, held * weights),
            number=np.bincount(cell[held > 0], minlength=len(codes)),
            positions=np.bincount(cell[continuing], minlength=len(codes)),
            jumps=np.bincount(cell[jumped], minlength=len(codes)),
        )
        # The last manager may go on in the next block.
        if self.waiting is not None:
            goes_on = cells.manager == self.waiting.manager[0]
            cells = self.waiting.joined(cells.where(goes_on)).summed().joined(cells.where(~goes_on))
        is_last = cells.manager == mgrno[-1]
        self._judge(cells.where(~is_last))
        self.waiting = cells.where(is_last)

    def _judge(self, cells: "_Cells") -> None:
        """What whole manager-quarters say."""
        self._count("managers", cells.index)
        self.same.add(cells.manager, cells.index, cells.number, cells.held, cells.weighted)
        self.lost.judge(cells.manager, cells.index, cells.number > 0)
        self.timing.add_managers(cells.manager, cells.index, cells.held, cells.assets, cells.outside)
        with np.errstate(divide="ignore", invalid="ignore"):
            self.ratios[SHARE_OF_ASSETS].add(cells.held / cells.assets)
        odd = np.flatnonzero((cells.positions >= MIN_POSITIONS) & (cells.jumps > cells.positions / 2))
        odd = odd[np.lexsort((cells.index[odd], cells.manager[odd]))]
        finding = self.warnings["unit_jump"]
        finding.count += len(odd)
        for at in odd[: MAX_EXAMPLES - len(finding.examples)]:
            when, counts = _quarter(cells.index[at]), f"{cells.jumps[at]} of {cells.positions[at]} positions"
            finding.examples.append(f"mgrno {cells.manager[at]} after {when}: {counts}")

    def unit_fault(self, rows: int, settings: CheckSettings) -> str:
        """What is wrong with the unit of the money, and the remedy; empty where nothing is. After `finish`."""
        medians = {name: one.median() or 0.0 for name, one in self.money.items()}
        large = [f"the median of {name} is {one:.2g}" for name, one in medians.items() if one > LARGEST_MEDIAN]
        above = {name: self.warnings[f"holding_above_{name}"] for name in ("aum", "me")}
        above = {name: found for name, found in above.items() if found.count > settings.max_share_above * rows}
        many = [f"holding_t is above {name} in {found.count:,} of {rows:,} rows" for name, found in above.items()]
        first = [f"the first is {found.examples[0]}" for found in above.values()][:1]
        if not large and not many:
            return ""
        odd = self.warnings["unit_suspicion"].examples
        far = any((self.ratios[name].median() or 0.0) > high for name, (_, high) in UNIT_RANGES.items())
        remedy = (
            "This looks like dollars, or thousands of them; the contract is $ million: divide by 1e6 or 1e3"
            if large or far
            else f"At most {settings.max_share_above:.1%} may (checks.max_share_above): bring all money to $ million"
        )
        return f"{'; '.join([*large, *odd, *many, *first])}. {remedy} (data/README.md)"

    def timing_fault(self, settings: CheckSettings) -> str:
        """Which columns show the quarter after their rows, and the remedy; empty where none does, or they may."""
        fatal = [fault.text for fault in self.timing.faults() if fault.is_fatal]
        return f"{'; '.join(fatal)}. {TIMING_REMEDY}" if fatal and settings.timing == "refuse" else ""

    def finish(self) -> None:
        """Findings about the slice as a whole."""
        if self.waiting is not None:
            self._judge(self.waiting)
        months = np.array(sorted(self.days), dtype="datetime64[D]").astype("datetime64[M]").astype(np.int64)
        quarter, stamps = np.unique(months // 3, return_counts=True)
        finding = self.warnings["days_per_quarter"]
        several = quarter[stamps > 1]
        finding.count = len(several)
        finding.examples = quarter_labels(several[:MAX_EXAMPLES] + 4 * 1970)
        for name, (low, high) in UNIT_RANGES.items():
            median = self.ratios[name].median()
            if median is not None and not low <= median <= high:
                self.warnings["unit_suspicion"].count += 1
                self.warnings["unit_suspicion"].examples.append(
                    f"the median of {name} is {median:.2g}, expected between {low:g} and {high:g}"
                )
        self._warn("timing", [fault.text for fault in self.timing.faults()])
        same = [
            f"mgrno {one} and {other} in {len(quarters):,} quarters of "
            f"{quarter_span([index + 4 * FIRST_YEAR for index in quarters])}"
            for (one, other), quarters in self.same.pairs().items()
        ]
        self._warn("same_positions", same)
        lost = self.lost.by_stock_quarter(self.stocks)
        number = sum(lost.values())
        if number > max(self.exits, MIN_LOST * int(self.coverage["rows"].sum())):
            self._warn("lost_exits", [f"permno {p} {_quarter(index)}: {count:,}" for (p, index), count in lost.items()])
            self.warnings["lost_exits"].count = number
        self._find_spikes()

    def _find_spikes(self) -> None:
        examples: dict[str, list[str]] = {}
        for permno, index, column, order in self.spikes.found(self.stocks):
            examples.setdefault(f"{permno} {_quarter(index)}", []).append(f"{column} off by 10^{order:.1f}")
        self.odd_stock_quarters = list(examples)
        self._warn("odd_stock_quarter", [f"permno {name}: {', '.join(columns)}" for name, columns in examples.items()])

    def _warn(self, name: str, found: list[str]) -> None:
        self.warnings[name].count = len(found)
        self.warnings[name].examples = found[:MAX_EXAMPLES]


def check_panel(path: str | Path, firm_type: str, settings: CheckSettings = CheckSettings()) -> dict:
    """Check one slice against the panel contract; returns a report of counts, raises PanelError.

    The error names file, column, the number of offending rows, the first of them with their keys, and
    the remedy, for every kind of error in `ERRORS` that occurs; else what says that the money is in another unit.
    Missing factors are normal.
    """
    path = Path(path)
    schema = panel_schema(path)
    is_sorted = check_keys(path)
    seen = _Slice(firm_type, Timing(pq.read_metadata(path).num_rows))
    for block in panel_blocks(path, PANEL_COLUMNS, is_sorted):
        seen.add(block)
    rows = int(seen.coverage["rows"].sum())
    columns = {"infinite_value": f" (column {', '.join(sorted(seen.infinite))})"}
    faults = [
        f"{fault}{columns.get(name, '')} in {finding.count} of {rows} rows ({'; '.join(finding.examples)}). {remedy}"
        for (name, (fault, remedy)), finding in zip(ERRORS.items(), seen.errors.values(), strict=True)
        if finding.count
    ]
    if faults:
        more = f"\n{path}: "
        raise PanelError(f"{path}: {more.join(faults)}")
    seen.finish()
    if fault := seen.unit_fault(rows, settings) or seen.timing_fault(settings):
        raise PanelError(f"{path}: {fault}")
    present = np.flatnonzero(seen.coverage["rows"])
    quarters = quarter_labels(present + 4 * FIRST_YEAR)
    names = ["rows", "managers", "labelled", "zero_holding", *(f"{name}_missing" for name in MAY_BE_MISSING)]
    return {
        "firm_type": firm_type,
        "rows": rows,
        "managers": seen.managers,
        "stocks": len(seen.stocks),
        "pairs": seen.pairs,
        "first_quarter": quarters[0],
        "last_quarter": quarters[-1],
        "sorted": is_sorted,
        "gaps_between_rows_of_a_pair": seen.gaps,
        "timing": seen.timing.shares(),
        "odd_stock_quarters": seen.odd_stock_quarters,
        "column_types": {name: str(schema.field(name).type) for name in PANEL_COLUMNS},
        "warnings": {
            name: {"count": finding.count, "examples": finding.examples}
            for name, finding in seen.warnings.items()
            if finding.count
        },
        "totals": {name: int(seen.coverage[name].sum()) for name in names[2:]},
        "coverage": [
            {"quarter": quarter, **{name: int(seen.coverage[name][at]) for name in names}}
            for quarter, at in zip(quarters, present, strict=True)
        ],
    }


def warning_lines(reports: list[dict]) -> list[str]:
    """What the reports of `check_panel` warn of, and where slices were made in different ways; a line each."""
    lines = [
        f"{report['firm_type']}: {finding['count']:,} {WARNINGS[name]} ({finding['examples'][0]})"
        for report in reports
        for name, finding in report["warnings"].items()
    ]
    return lines + schema_differences(reports)


def report_text(report: dict) -> str:
    """The report of `check_panel` for readers: counts, warnings, coverage per quarter."""
    lines = [
        f"{report['firm_type']}: {report['rows']:,} rows, {report['managers']:,} managers, "
        f"{report['stocks']:,} stocks, {report['pairs']:,} pairs, {report['first_quarter']}-{report['last_quarter']}",
        "sorted by (mgrno, permno, date)"
        if report["sorted"]
        else "not sorted by (mgrno, permno, date): each stage that reads the slice sorts it first",
        f"{report['gaps_between_rows_of_a_pair']:,} gaps between the quarters of a pair",
        "",
        "Are prc, aum and me of the row's quarter? By shift of their rows, 0 must be the largest, where any is large",
        *(
            f"  {name.replace('_', ' ')}: "
            + ", ".join(f"{by_shift[shift]:.3f} at {shift}" for shift in ("-1", "0", "+1"))
            + f" (of {by_shift['of']:,})"
            for name, by_shift in report["timing"].items()
        ),
        "",
        "Warnings" if report["warnings"] else "No warnings",
    ]
    for name, finding in report["warnings"].items():
        lines.append(f"  {name}: {finding['count']:,} {WARNINGS[name]}")
        lines += [f"    {example}" for example in finding["examples"]]
    names = [name for name in report["coverage"][0] if name != "quarter"]
    width = {name: max(len(name), 11) for name in names}
    lines += ["", "Rows per quarter, and how many of them have no value"]
    lines.append("  ".join(["quarter", *(f"{name:>{width[name]}}" for name in names)]))
    for quarter in report["coverage"]:
        lines.append("  ".join([f"{quarter['quarter']:7}", *(f"{quarter[name]:>{width[name]},}" for name in names)]))
    return "\n".join(lines) + "\n"


def schema_differences(reports: list[dict]) -> list[str]:
    """Columns whose types differ between slices: harmless as such, but a sign of slices made in different ways."""
    differences = []
    for column in PANEL_COLUMNS:
        slices: dict[str, list[str]] = {}
        for report in reports:
            slices.setdefault(report["column_types"][column], []).append(report["firm_type"])
        if len(slices) > 1:
            kinds = "; ".join(f"{kind} in {', '.join(names)}" for kind, names in slices.items())
            differences.append(f"column {column!r} is {kinds}")
    return differences
