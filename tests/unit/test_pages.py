"""The pages are true: links, messages, the README's drawing and its examples."""

import ast
import json
import os
import re
import subprocess

import pytest
import yaml

from docs.site import pictures
from docs.site.conf import CHAPTERS
from tests.forks import snakemake_in_a_fork
from tests.pages import anchors, blocks, links, pages, target_of, text_of
from tests.project import SECRET
from workflow_scripts.plumbing.code_digest import ROOT
from workflow_scripts.settings.reading import read_config


@pytest.mark.parametrize("page", pages())
def test_every_link_leads_to_a_file_of_the_project_and_a_heading_in_it(page):
    """A page or heading that was renamed fails here, without a site having to be built."""
    for link in links(page):
        if link.startswith(("https://", "mailto:")):
            continue
        path, heading = target_of(page, link)
        assert path.exists(), f"{page}: {link}"
        command = ["git", "ls-files", "-co", "--exclude-standard", "--error-unmatch", str(path)]
        assert subprocess.run(command, cwd=ROOT, capture_output=True).returncode == 0, f"{page}: {link} is not in git"
        if heading:
            name = str(path.resolve().relative_to(ROOT))
            assert heading in anchors(name), f"{page}: {link}"


def test_every_page_is_in_the_contents_of_the_site_and_linked_from_the_readme():
    listed = {f"{page}.md" for chapter in CHAPTERS.values() for page in chapter}
    assert listed | {"README.md"} == set(pages())
    linked = {str(target_of("README.md", link)[0].relative_to(ROOT)) for link in links("README.md")}
    assert listed <= linked


def test_no_word_of_a_page_is_taken_for_a_tag():
    """`results/<run>` outside of code would lose its <run> on every site."""
    for page in pages():
        text = re.sub(r"```.*?```|`[^`]*`|<!--.*?-->|\\<", "", text_of(page), flags=re.DOTALL)
        assert not re.findall(r"<[a-z][^>]*>", text), page


def literals(node: ast.AST) -> str:
    """The text of a string expression, with … in place of what is filled in."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else "…"
    if isinstance(node, ast.JoinedStr):
        return "".join(literals(one) if isinstance(one, ast.Constant) else "…" for one in node.values)
    return "…"


def code_texts() -> list[str]:
    """Every text of the modules, with … for what is filled in; rules and Makefile with their texts joined."""
    texts = []
    for path in (ROOT / "workflow_scripts").rglob("*.py"):
        nodes = ast.walk(ast.parse(path.read_text()))
        texts += [literals(node) for node in nodes if isinstance(node, ast.JoinedStr | ast.Constant)]
    for path in (ROOT / "rules").glob("*.smk"):
        texts.append(re.sub(r"\{[^{}]*\}", "…", re.sub(r'"\s*\n\s*f?"', "", path.read_text())))
    return [*texts, (ROOT / "Makefile").read_text().replace("%d.%d", "…")]


def test_the_messages_on_the_page_of_troubles_are_those_of_the_code():
    """A message that was reworded fails here: a reader finds the page by the exact words."""
    page = text_of("docs/troubleshooting.md")
    messages = re.findall(r"^\| `([^`]+)` \|", page, re.MULTILINE)
    assert len(messages) > 25
    texts = code_texts()
    for message in messages:
        pattern = re.compile(".*".join(re.escape(part.strip()) for part in message.split("…")))
        assert any(pattern.search(text) for text in texts), message


def test_the_drawing_has_the_stages_and_needs_of_the_rules():
    """A new rule, or a new need of a stage, fails here until the drawing is made again."""
    result = snakemake_in_a_fork(ROOT, os.environ | {"HF_TOKEN": SECRET}, list(pictures.GRAPH))
    assert result.returncode == 0, result.stderr
    drawn = pictures.drawing(pictures.stage_edges(result.stdout))
    assert drawn == pictures.DRAWING.read_text(), "run: python -m docs.site.pictures"


def test_a_stage_without_a_rule_and_a_rule_without_a_stage_are_named():
    with pytest.raises(ValueError, match=r"differ in .*a_new_rule.*train_sft"):
        pictures.stage_edges('0[label = "all", x];\n1[label = "a_new_rule", x];\n1 -> 0\n')


def without_numbers(text: str) -> str:
    return re.sub(r"-?\d+(\.\d+)?|NA", "0", text)


def test_the_example_in_the_readme_is_a_prompt_as_the_workflow_writes_it():
    """But for its numbers it is the golden prompt; and its answer keeps the contract."""
    example = text_of("README.md").split(pictures.BEGIN)[1].split(pictures.END)[0]
    prompt, answer = (content.strip() for _, content in blocks(example))
    golden = json.loads((ROOT / "tests/golden/prompt.json").read_text())
    assert without_numbers(prompt) == without_numbers(f"{golden['system']}\n\n{golden['user']}")
    assert re.fullmatch(r'<think>.+</think><answer>\{"holding_delta": -?\d+\.?\d*\}</answer>', answer)


def test_the_configurations_in_the_readme_are_valid():
    """Laid over the demo's, as the README says, each alone and both together."""
    demo = yaml.safe_load((ROOT / "config/demo.yaml").read_text())
    examples = [yaml.safe_load(content) for language, content in blocks(text_of("README.md")) if language == "yaml"]
    assert len(examples) == 2
    for example in (*examples, examples[0] | examples[1]):
        assert read_config(demo | example)
