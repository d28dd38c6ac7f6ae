"""docs/names.md names only settings, rules and modules that there are."""

import re

from workflow_scripts.plumbing.code_digest import ROOT
from workflow_scripts.settings.config import Config
from workflow_scripts.settings.reading import hints_of, section_class


def setting_exists(path: str) -> bool:
    """Whether `splits.sft.end` and the like is a setting."""
    cls = Config
    for part in path.split("."):
        if cls is None or part not in hints_of(cls):
            return False
        cls = section_class(hints_of(cls)[part])
    return True


def test_the_page_of_names_is_true():
    page = (ROOT / "docs/names.md").read_text()
    rules = {name for path in (ROOT / "rules").glob("*.smk") for name in re.findall(r"rule (\w+):", path.read_text())}
    words = [word for line in page.splitlines() for word in re.findall(r"`([^`]+)`", line.split(" | ", 1)[-1])]
    modules = [word for word in words if re.fullmatch(r"(holdings|training)/[\w/]+\.py", word)]
    assert len(modules) > 4
    for module in modules:
        assert (ROOT / "workflow_scripts" / module).is_file(), module
    settings = [word.split(":")[0] for word in words if re.fullmatch(r"[a-z_]+(\.[a-z_<>]+)+(: \w+)?", word)]
    settings = [word for word in settings if not word.endswith((".py", ".sh", ".md"))]
    assert len(settings) > 20
    for setting in settings:
        assert setting_exists(setting.replace("<split>", "test")), setting
    named = [
        word for word in words if re.fullmatch(r"(build|sample|train|merge|score|preflight|generate|parse)_\w+", word)
    ]
    assert len(named) > 10
    assert set(named) <= rules
