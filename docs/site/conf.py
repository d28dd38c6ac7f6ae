"""The site of the pages that also read well in the repository: Sphinx with MyST, over the whole project (`make docs`).

Pages stay where they are, so that one set of links serves the repository and the site. A link to a file that is no
page, such as a configuration or a module, becomes a download; a link that leads nowhere ends the build.
"""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

project = "Holdings adjustment"
author = "The holdings-adjustment authors"
release = re.search(r"^version: (\S+)", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)[1]
extensions = ["myst_parser"]
root_doc = "README"
include_patterns = ["*.md", "config/*.md", "data/README.md", "docs/*.md", "results/README.md"]
# Headings are named as GitHub names them, so that links to #headings are checked, too.
myst_heading_anchors = 4
suppress_warnings = ["misc.highlighting_failure"]
# Blocks without a language are commands, and no Python.
highlight_language = "none"
html_theme = "furo"
html_title = f"{project} {release}"
html_additional_pages = {"index": "redirect.html"}
templates_path = ["."]
html_copy_source = False
html_static_path = ["site.css"]
html_css_files = ["site.css"]

# A folder's page is named after the folder in the repository; here it says what it is about.
TITLES = {"data/README": "Your own data", "config/README": "Configuration", "results/README": "Results"}
CHAPTERS = {
    "Use it": ("data/README", "config/README", "docs/recipes", "docs/cluster", "docs/forecast", "docs/compare",
               "docs/probes", "results/README", "docs/troubleshooting", "docs/reruns"),
    "Understand it": ("docs/glossary", "docs/methods", "docs/evaluation", "docs/demo", "docs/architecture"),
    "Look it up": ("docs/settings", "docs/columns", "docs/names"),
    "Work on it": ("CONTRIBUTING", "CHANGELOG"),
}  # fmt: skip


def with_contents(app, docname: str, source: list[str]) -> None:
    """The site's contents, at the end of its first page: in the repository they would be noise."""
    if docname == root_doc:
        for title, pages in CHAPTERS.items():
            entries = "\n".join(f"{TITLES[page]} </{page}>" if page in TITLES else f"/{page}" for page in pages)
            source[0] += f"\n```{{toctree}}\n:hidden:\n:caption: {title}\n\n{entries}\n```\n"


def setup(app) -> None:
    """Sphinx's hook."""
    app.connect("source-read", with_contents)
