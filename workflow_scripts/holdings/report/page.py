"""A page for readers: one HTML file without outside references and scripts, from `page.html.j2` beside this module."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from workflow_scripts.holdings.report.answers import Answer
from workflow_scripts.holdings.report.captions import CAPTIONS
from workflow_scripts.holdings.report.dictionary import name_of
from workflow_scripts.holdings.report.run_facts import Fact
from workflow_scripts.holdings.report.samples import Sample
from workflow_scripts.holdings.report.tables import Table, described

# The others are folded away.
SHOWN_WARNINGS = 8
TEMPLATE = Path(__file__).with_name("page.html.j2")


@dataclass(frozen=True)
class Figure:
    """A figure inside the page: title, what to see in it, how it looks in words, and its PNG in base64."""

    title: str
    text: str
    alt: str
    png: str
    width: int
    height: int


@dataclass(frozen=True)
class Formula:
    """A term and how it is worked out."""

    term: str
    text: str


# What a chapter holds, in its order; a text is a paragraph.
Part = str | Table | Figure | Sample | Sequence[Formula]


@dataclass(frozen=True)
class Chapter:
    """A chapter: its title, and its place in the address of the page."""

    title: str
    parts: Sequence[Part]

    @property
    def anchor(self) -> str:
        """The title as the part of an address."""
        return "".join(letter if letter.isalnum() else "-" for letter in self.title.lower())


@dataclass(frozen=True)
class Page:
    """The first screen and the chapters. `about` are sentences below the title, `caution` those below the answers."""

    title: str
    about: Sequence[str]
    answers: Sequence[Answer]
    chapters: Sequence[Chapter]
    caution: Sequence[str] = ()
    figure: Figure | None = None
    warnings: Sequence[str] = ()
    facts: Sequence[Fact] = field(default=())


def figure_part(path: Path, of: str = "") -> Figure:
    """A PNG with the caption of its name; `of` says what of it is shown, such as a firm type."""
    caption = CAPTIONS[path.stem] if path.stem in CAPTIONS else CAPTIONS[path.parent.name]
    png = path.read_bytes()
    # The head of a PNG: two numbers of four bytes.
    width, height = (int.from_bytes(png[place : place + 4], "big") for place in (16, 20))
    title = f"{caption.title}: {of}" if of else caption.title
    alt = f"{caption.alt} ({of})" if of else caption.alt
    return Figure(title, caption.text, alt, base64.b64encode(png).decode(), width, height)


def columns_shown(chapters: Sequence[Chapter]) -> list[tuple[str, str, str]]:
    """What is meant by each column of the page's tables: its name for readers, in files, and the sentence."""
    sources = {
        name for chapter in chapters for part in chapter.parts if isinstance(part, Table) for name in part.source
    }
    rows = [(name_of(name), name, described(name, {})[1]) for name in sources]
    return sorted(rows, key=lambda row: (row[0].lower(), row[1]))


def kind_of(part: Part) -> str:
    """How the template tells the parts of a chapter apart."""
    kinds = {str: "text", Table: "table", Figure: "figure", Sample: "sample"}
    return kinds.get(type(part), "formulas")


def render(page: Page) -> str:
    """The whole page; every text is escaped."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATE.parent, encoding="utf-8"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.tests["kind"] = lambda part, kind: kind_of(part) == kind
    return (
        environment.get_template(TEMPLATE.name).render(
            page=page, meanings=columns_shown(page.chapters), shown_warnings=SHOWN_WARNINGS
        )
        + "\n"
    )
