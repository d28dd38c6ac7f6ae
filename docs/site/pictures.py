"""The README's two pictures, and its example of a prompt with its answer.

    python -m docs.site.pictures

draws docs/pictures/stages.svg from the demo's rule graph (`snakemake --rulegraph`), copies docs/pictures/answer.png
from the demo's results, and writes one of its test prompts with GRPO's answer between the marks of README.md. It needs
a finished demo; a test holds the drawing to the rules, and the example to the prompts that the workflow writes.
"""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DRAWING, FIGURE, README = ROOT / "docs/pictures/stages.svg", ROOT / "docs/pictures/answer.png", ROOT / "README.md"
DEMO = ROOT / "results/demo"
GRAPH = ("all", "--rulegraph", "--configfile", "config/demo.yaml")
BEGIN, END = "<!-- example: begin (docs/site/pictures.py) -->", "<!-- example: end -->"
# Of a box, and from one box to the next, in pixels.
WIDTH, HEIGHT, ACROSS, DOWN = 102, 46, 128, 64
PLAIN, GATE, GPU = ("#ffffff", "#5b6573"), ("#fff4d6", "#a87900"), ("#e3efff", "#2b64ad")


@dataclass(frozen=True)
class Stage:
    """A box of the drawing: what it says, where it stands, and the rules that it stands for."""

    title: str
    words: str
    column: int
    row: int
    rules: tuple[str, ...]
    colours: tuple[str, str] = PLAIN


STAGES = (
    Stage("Panel", "import, check", 0, 2, ("simulate_panel", "check_panel", "summarize_panel")),
    Stage("Samples", "of 4 quarters", 1, 2, ("build_windows", "build_quarters",
                                                 "sample_windows", "collect_training_windows")),
    Stage("Datasets", "prompts, labels", 2, 2, ("build_prompts", "build_sft_dataset", "build_grpo_dataset",
                                                "build_test_dataset", "write_dataset_card")),
    Stage("Audits", "any leak?", 3, 2, ("audit_sample", "audit_leakage"), GATE),
    Stage("Base model", "such as Qwen2.5", 3, 1, ("build_demo_model",)),
    Stage("Preflight", "rewards teach?", 4, 3, ("preflight_rewards",), GATE),
    Stage("SFT", "from examples", 4, 2, ("train_sft",), GPU),
    Stage("GRPO", "from rewards", 5, 2, ("merge_adapter", "train_grpo"), GPU),
    Stage("Answers", "complete, parse", 6, 2, ("generate_completions", "parse_predictions"), GPU),
    Stage("Baselines", "8 simple rivals", 4, 0, ("predict_baselines", "audit_baselines", "choose_baseline")),
    Stage("Evaluation", "error, rank, test", 7, 2, (
        "evaluate_forecasts", "compare_forecasts", "evaluate_distributions", "score_rewards", "score_periods",
        "trim_metrics", "plot_forecasts",
    )),
    Stage("Report", "one page", 8, 2, ("summarize_run", "summarize_training", "write_model_card", "write_config",
                                       "all")),
)  # fmt: skip


def stage_edges(graph: str) -> set[tuple[str, str]]:
    """Which stage needs which, from Snakemake's rule graph (DOT); ways that lead through another stage are left out.

    Raises ValueError for a rule that no stage of STAGES has, and for one of them that the graph lacks.
    """
    names = dict(re.findall(r'(\d+)\[label = "(\w+)', graph))
    stage_of = {rule: stage.title for stage in STAGES for rule in stage.rules}
    if wrong := set(names.values()) ^ set(stage_of):
        raise ValueError(f"STAGES and the rules of the demo differ in {', '.join(sorted(wrong))}")
    pairs = re.findall(r"(\d+) -> (\d+)", graph)
    edges = {(stage_of[names[a]], stage_of[names[b]]) for a, b in pairs}
    edges = {(a, b) for a, b in edges if a != b}
    return {(a, b) for a, b in edges if not _leads(a, b, edges - {(a, b)})}


def _leads(start: str, goal: str, edges: set[tuple[str, str]]) -> bool:
    """Whether a way leads from one stage to another."""
    seen: set[str] = set()
    ahead = [start]
    while ahead:
        here = ahead.pop()
        if here == goal:
            return True
        if here not in seen:
            seen.add(here)
            ahead += [b for a, b in edges if a == here]
    return False


def drawing(edges: set[tuple[str, str]]) -> str:
    """The stages and what needs what, as SVG with a light ground, which dark pages show as well."""
    left = {stage.title: (12 + stage.column * ACROSS, 12 + stage.row * DOWN) for stage in STAGES}
    width, height = (24 + max(stage.column for stage in STAGES) * ACROSS + WIDTH, 24 + 3 * DOWN + HEIGHT)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'role="img" font-family="Helvetica, Arial, sans-serif" text-anchor="middle">',
        "<title>The stages of a run and what each of them needs</title>",
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0 8 4 0 8z" fill="#5b6573"/></marker></defs>',
        f'<rect width="{width}" height="{height}" rx="8" fill="#f6f8fa"/>',
    ]
    for start, goal in sorted(edges):
        (x1, y1), (x2, y2) = left[start], left[goal]
        x1, y1, y2 = x1 + WIDTH, y1 + HEIGHT // 2, y2 + HEIGHT // 2
        # From the main row a line turns at once, and back to it as late as it can: so it crosses no box.
        turn = x1 + 10 if y1 == left["Panel"][1] + HEIGHT // 2 else x2 - 14
        parts.append(
            f'<path d="M{x1} {y1}H{turn}V{y2}H{x2 - 2}" fill="none" stroke="#5b6573" stroke-width="1.5" '
            'stroke-linejoin="round" marker-end="url(#tip)"/>'
        )
    for stage in STAGES:
        (x, y), (fill, line) = left[stage.title], stage.colours
        middle = x + WIDTH // 2
        parts += [
            f"<g><title>{escape(', '.join(stage.rules))}</title>",
            f'<rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="6" fill="{fill}" stroke="{line}" '
            'stroke-width="1.5"/>',
            f'<text x="{middle}" y="{y + 20}" font-size="14" font-weight="bold" fill="#1c2733">{stage.title}</text>',
            f'<text x="{middle}" y="{y + 36}" font-size="10.5" fill="#3b4653">{escape(stage.words)}</text></g>',
        ]
    return "\n".join([*parts, "</svg>", ""])


def example() -> str:
    """A test prompt of the demo's banks whose answer keeps the contract, GRPO's answer to it, and the truth."""
    answers = _rows("completions/grpo.jsonl")
    row, answer = next(
        (row, answer)
        for row, answer in zip(_rows("datasets/test.jsonl"), answers, strict=True)
        if row["window_id"] == answer["window_id"] and answer["completion"].startswith("<think>")
    )
    system, user = (message["content"] for message in row["messages"][:2])
    asked = f"```text\n{system}\n\n{user}\n```"
    answered = f"The demo's model after GRPO answers\n\n```text\n{answer['completion']}\n```"
    truth = f"and the position changed by {row['label_delta']:.2f}."
    return "\n\n".join([BEGIN, asked, answered, truth, END])


def _rows(name: str) -> list[dict]:
    with open(DEMO / "banks" / name, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def main() -> None:
    """Draw, copy, write."""
    snakemake = Path(sys.executable).parent / "snakemake"
    graph = subprocess.run([snakemake, *GRAPH], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    DRAWING.write_text(drawing(stage_edges(graph)), encoding="utf-8")
    shutil.copyfile(DEMO / "summary/answer.png", FIGURE)
    before, rest = README.read_text(encoding="utf-8").split(BEGIN)
    README.write_text(before + example() + rest.split(END)[1], encoding="utf-8")


if __name__ == "__main__":
    main()
