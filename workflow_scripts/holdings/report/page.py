"""The report: one HTML file without outside references, from the template `page.html.j2` beside this module."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

TEMPLATE = Path(__file__).with_name("page.html.j2")


@dataclass(frozen=True)
class Image:
    """A figure inside the page: its name, and its PNG in base64."""

    name: str
    data: str


@dataclass(frozen=True)
class Part:
    """A part of the page: a title, and a table (folded away or not), a paragraph or figures below it."""

    title: str = ""
    table: Markup | None = None
    rows: int = 0
    folded: bool = False
    text: str = ""
    images: tuple[Image, ...] = ()


def table_part(title: str, table: pd.DataFrame, folded: bool = False) -> Part:
    """A table with three decimals; what is missing stays empty. Folded, it shows only how many rows it has."""
    # pandas escapes the cells itself.
    cells = Markup(table.to_html(index=False, float_format="{:.3f}".format, na_rep=""))
    return Part(title, cells, len(table), folded)


def figures_part(title: str, paths: Sequence[str | Path]) -> Part:
    """PNG figures side by side."""
    images = (Image(Path(path).stem, base64.b64encode(Path(path).read_bytes()).decode()) for path in paths)
    return Part(title, images=tuple(images))


def page(run: str, trained_on: str, oracle_note: str, warnings: Sequence[str], parts: Sequence[Part]) -> str:
    """The whole page; every text but the tables' own is escaped."""
    loader = FileSystemLoader(TEMPLATE.parent, encoding="utf-8")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    return environment.get_template(TEMPLATE.name).render(
        run=run, trained_on=trained_on, oracle_note=oracle_note, warnings=warnings, parts=parts
    )
