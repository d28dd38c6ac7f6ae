"""What a config may say: shipped files are valid, every fault is one line with a remedy, pages follow the classes."""

import copy
import dataclasses
import importlib
import importlib.util
import json
import re
import typing
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from jsonschema import Draft202012Validator
from snakemake.utils import update_config

from workflow_scripts.holdings.panel.contract import FIRM_TYPES, SourceColumn
from workflow_scripts.holdings.panel.importing import RECIPES, STAGED_COLUMNS
from workflow_scripts.holdings.texts.prompts import ROLES
from workflow_scripts.plumbing.cli import read_settings
from workflow_scripts.plumbing.code_digest import ROOT
from workflow_scripts.plumbing.errors import InputError
from workflow_scripts.settings import pages
from workflow_scripts.settings.checks import check_probes, missing_inputs
from workflow_scripts.settings.config import Config, resolved
from workflow_scripts.settings.reading import hints_of, read_config, section_class
from workflow_scripts.settings.uses import USES, adapter_path, forecasters, needed_stages, settings_of, start_model
from workflow_scripts.training.training_settings import GrpoSettings

CONFIGS = [ROOT / "config/config.yaml", ROOT / "config/demo.yaml"]
OVERLAYS = sorted((ROOT / "config/recipes").glob("*.yaml"))


def load(name: str) -> dict:
    return yaml.safe_load((ROOT / "config" / name).read_text())


def changed(**changes) -> dict:
    config = resolved(read_config(load("demo.yaml")))
    for path, value in changes.items():
        *parents, last = path.split("__")
        place = config
        for parent in parents:
            place = place[parent]
        place[last] = value
    return config


def test_production_holds_the_published_recipe():
    config = read_config(load("config.yaml"))
    assert config.model.path == "Qwen/Qwen2.5-7B-Instruct"
    assert sorted(config.firm_types) == sorted(FIRM_TYPES)
    sft, grpo = config.sft, config.grpo
    assert (sft.lora_rank, sft.lora_alpha, sft.learning_rate) == (8, 32, 1e-4)
    assert sft.per_device_train_batch_size * sft.gradient_accumulation_steps == 16
    assert (sft.max_length, sft.num_train_epochs, config.model.torch_dtype) == (2048, 1, "bfloat16")
    assert (grpo.lora_rank, grpo.lora_alpha, grpo.learning_rate, grpo.beta) == (32, 128, 1e-6, 0.02)
    assert (grpo.num_generations, grpo.temperature, grpo.warm_start) == (8, 0.9, "sft")
    assert dict(zip(grpo.rewards, grpo.reward_weights, strict=True)) == {"contract_holdings": 0.3, "mse_holdings": 0.7}


def with_recipe(config: dict, recipe: Path) -> dict:
    """As Snakemake merges a second config file into the first."""
    config = copy.deepcopy(config)
    update_config(config, yaml.safe_load(recipe.read_text()))
    return config


@pytest.mark.parametrize("recipe", OVERLAYS, ids=lambda path: path.stem)
def test_a_recipe_is_a_valid_overlay_with_a_run_of_its_own(recipe):
    for name in ("config.yaml", "demo.yaml"):
        assert read_config(with_recipe(load(name), recipe)).run == recipe.stem
    assert f"`{recipe.name}`" in (ROOT / "docs/recipes.md").read_text()


# Settings of the published recipe's sections that make no other result, and so are no part of it.
NO_RECIPE = {
    *(
        "save_steps",
        "logging_steps",
        "attn_impl",
        "deepspeed",
        "num_gpus",
        "max_dropped_share",
        "tracking",
        "extra_args",
    ),
    *("stall_minutes", "gradient_checkpointing", "use_vllm", "vllm_gpu_memory_utilization", "sleep_level"),
    *("offload_model", "offload_optimizer", "rollout_importance_sampling_mode", "log_completions", "plugins"),
    *("batch_size", "backend", "ticker_mapping"),
}


def test_the_published_recipe_is_the_default_and_undoes_every_other():
    """Each setting of its sections is spelt out, so that it counts whatever the file before it says."""
    published = ROOT / "config/recipes/published.yaml"
    wanted = dataclasses.replace(read_config(load("config.yaml")), run="published")
    assert read_config(with_recipe(load("config.yaml"), published)) == wanted
    spelt, defaults = yaml.safe_load(published.read_text()), resolved(wanted)
    for section in ("sample", "prompts", "labels", "sft", "grpo", "rewards", "generation"):
        assert spelt[section] == {name: one for name, one in defaults[section].items() if name not in NO_RECIPE}, (
            section
        )
    for recipe in OVERLAYS:
        config = read_config(with_recipe(with_recipe(load("config.yaml"), recipe), published))
        # Which rewards are replayed is no part of it.
        assert dataclasses.replace(config, evaluation=wanted.evaluation) == wanted, recipe.stem


def test_what_the_papers_prescribe():
    grpo = {recipe.stem: read_config(with_recipe(load("config.yaml"), recipe)).grpo for recipe in OVERLAYS}
    dapo, gspo, dr_grpo, lora = (grpo[name] for name in ("dapo", "gspo", "dr_grpo", "lora_without_regret"))
    assert (dapo.loss_type, dapo.epsilon, dapo.epsilon_high, dapo.beta) == ("dapo", 0.2, 0.28, 0.0)
    assert (dapo.dynamic_sample, dapo.overlong_filter, dapo.num_generations) == (True, True, 16)
    assert dapo.steps_per_generation == 16 * dapo.gradient_accumulation_steps
    assert (gspo.importance_sampling_level, gspo.epsilon, gspo.epsilon_high, gspo.beta) == ("sequence", 3e-4, 4e-4, 0.0)
    assert gspo.steps_per_generation == 4 * gspo.gradient_accumulation_steps
    assert (dr_grpo.loss_type, dr_grpo.scale_rewards, dr_grpo.beta) == ("dr_grpo", "none", 0.0)
    assert lora.learning_rate == pytest.approx(10 * grpo["published"].learning_rate)
    assert grpo["row_scale"].rewards == ["contract_holdings", "scaled_mae_holdings"]


def test_losses_and_scales_are_those_of_the_installed_ms_swift():
    """Read out of its source: to import it takes many seconds.

    But for two, which 4.6.0 refuses whatever the settings: it takes every GRPO run for one with a teacher.
    """
    folder = Path(importlib.util.find_spec("swift").origin).parent / "rlhf_trainers"
    trainer, arguments = ((folder / name).read_text() for name in ("grpo_trainer.py", "args_mixin.py"))
    lists = re.findall(r"self\.loss_type (?:==|in) (\[.*?\]|'\w+')", trainer)
    lists += re.findall(r"LOSS_TYPES = (\[.*?\])", trainer)
    grpo = typing.get_type_hints(GrpoSettings)
    assert "if self._has_teacher and (self.loss_type in ['real', 'fipo']" in trainer
    losses = {name for text in lists for name in re.findall(r"'(\w+)'", text)}
    assert losses - {"real", "fipo"} == set(typing.get_args(grpo["loss_type"]))
    for name in ("scale_rewards", "importance_sampling_level"):
        choices = re.search(rf"^    {name}: .*?Literal\[(.*?)\]", arguments, re.MULTILINE)[1]
        assert set(re.findall(r"'(\w+)'", choices)) == set(typing.get_args(grpo[name]))


def test_completions_that_are_scored_together_are_those_of_a_rollout():
    for steps, together in ((None, 64), (8, 256)):
        config = read_config(changed(grpo__gradient_accumulation_steps=2, grpo__steps_per_generation=steps))
        for rule in ("preflight_rewards", "score_rewards"):
            used = json.loads(settings_of(config, rule)(SimpleNamespace(stage="grpo")))
            assert used["completions_per_step"] == together, "32 completions in each of 2 or 8 forward passes"


def test_the_defaults_are_the_production_run():
    assert read_config({"run": "production"}) == read_config(load("config.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_the_resolved_record_is_a_config_file_again(path: Path):
    config = read_config(yaml.safe_load(path.read_text()))
    record = yaml.safe_load(yaml.safe_dump(resolved(config), sort_keys=False))
    # By their texts, because a rule that sees 1.0 where it saw 1 runs again.
    assert repr(read_config(record)) == repr(config)
    sections = {key for key, hint in hints_of(Config).items() if section_class(hint)} - {"import", "replay"}
    assert sections <= record.keys()


def test_the_pages_are_those_of_the_classes():
    remedy = "run: python -m workflow_scripts.settings.pages"
    assert pages.SCHEMA.read_text() == pages.schema_text(), remedy
    assert pages.TABLE.read_text() == pages.table_text(), remedy


def test_the_schema_accepts_what_the_reader_accepts():
    validator = Draft202012Validator(yaml.safe_load(pages.SCHEMA.read_text()))
    for path in CONFIGS:
        assert [error.message for error in validator.iter_errors(yaml.safe_load(path.read_text()))] == []
    assert list(validator.iter_errors(changed(sft__lora_rnk=8)))
    assert list(validator.iter_errors(changed(seed=-1)))


def test_choices_that_are_written_as_types_are_those_of_the_tables():
    assert set(FIRM_TYPES) == set(ROLES)
    assert set(typing.get_args(SourceColumn)) == set(RECIPES) == set(STAGED_COLUMNS)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sede": 3}, r"^sede is no setting; did you mean seed\?$"),
        ({"grpo__lora_rnk": 3}, r"^grpo.lora_rnk is no setting; did you mean grpo.lora_rank\?$"),
        ({"beta": 0.1}, r"^beta is no setting; did you mean grpo.beta\?$"),
        ({"seed": "many"}, r'^seed: "many" is not allowed; input should be a valid integer$'),
        ({"seed": True}, "seed: true is not allowed"),
        ({"seed": -1}, "seed: -1 is not allowed; input should be greater than or equal to 0"),
        # A thousand positions as the scale of an error: all answers would earn the same.
        ({"rewards": {"scale_floor": 1000}}, "rewards.scale_floor: 1000 is not allowed; input should be less than or "),
        ({"sft": 3}, r"^sft: 3 is no section; write keys with values, as in 'sft=\{...\}'$"),
        ({"grpo": '{"beta" 0.04}'}, "^grpo: .* is no section; write keys with values"),
        ({"grpo__learning_rate": float("nan")}, "^grpo.learning_rate: nan is not allowed; write a finite number$"),
        ({"grpo__reward_weights": [0.3, float("inf")]}, "^grpo.reward_weights.1: inf is not allowed"),
        ({"sft__learning_rate": ".inf"}, "^sft.learning_rate: inf is not allowed"),
        ({"grpo__use_vllm": True}, "^grpo.use_vllm needs the package vllm, which is not installed"),
        ({"generation__backend": "vllm"}, "^generation.backend needs the package vllm"),
        ({"sft__deepspeed": "zero2"}, "^sft.deepspeed needs the package deepspeed"),
        (
            {"grpo__rewards": ["profit"]},
            "grpo.rewards: profit is no reward; there are: contract_holdings, crps_holdings, direction",
        ),
        ({"firm_types": ["bank"]}, "firm_types.0: \"bank\" is not allowed; input should be 'banks'"),
        ({"firm_types": []}, "firm_types: .* is not allowed"),
        ({"firm_types": ["banks", "banks"]}, "firm_types: banks stands there more than once"),
        ({"run": "../elsewhere"}, "run: '../elsewhere' is no name of a folder"),
        ({"run": "demo\n"}, "is no name of a folder"),
        ({"run": ""}, "is no name of a folder"),
        ({"import": {"source": "a.dta", "typse": {}}}, r"import.typse is no setting; did you mean import.types\?"),
        ({"import": {"source": "a.dta", "types": {"9": "bank"}}}, "import.types.9"),
        ({"import": {"columns": {}}}, "import.source is missing; add it"),
        ({"splits__sft": {"start": None, "end": "31.12.2016"}}, "splits.sft.end: '31.12.2016' is not a day"),
        ({"splits__sft": {"start": None, "end": "2016-13-31"}}, "splits.sft.end: '2016-13-31' is not a day"),
        ({"evaluation__knowledge_cutoff": "2020-02-31"}, "evaluation.knowledge_cutoff: '2020-02-31' is not a day"),
        ({"splits__grpo": {"start": "2016-12-31", "end": "2018-12-31"}}, "splits.grpo starts in a quarter"),
        ({"splits__test": {"start": "2018-11-01", "end": None}}, "splits.test starts in a quarter that splits.grpo"),
        ({"splits__grpo": {"start": "2019-01-01", "end": "2018-12-31"}}, "splits.grpo ends before it starts"),
        ({"splits__sft": {"start": None, "end": None}}, "splits.sft.end and splits.grpo.start must be given"),
        ({"grpo__per_device_train_batch_size": 3}, "not divisible by num_generations = 8"),
        (
            {"grpo__gradient_accumulation_steps": 2, "grpo__steps_per_generation": 3},
            "grpo.steps_per_generation: 3 is neither a multiple nor a divisor of .* = 2",
        ),
        (
            {"grpo__per_device_train_batch_size": 4, "grpo__steps_per_generation": 1},
            "per_device_train_batch_size x steps_per_generation x num_gpus = 4 .* not divisible by num_generations = 8",
        ),
        ({"grpo__importance_sampling_level": "sequence"}, "importance_sampling_level does nothing .* one update"),
        ({"grpo__epsilon_high": 0.28}, "grpo.epsilon_high does nothing where each rollout gives one update"),
        ({"grpo__loss_type": "cispo"}, "cispo caps the ratio itself at it, and at 0.2 it would cut every token's"),
        ({"grpo__reward_weights": [1.0]}, "give one weight per reward"),
        (
            {"model__device": "cpu", "model__torch_dtype": "float16"},
            "^model.torch_dtype: float16 cannot be used with model.device: cpu; set model.device to auto",
        ),
        ({"grpo__warm_start": "stf"}, 'grpo.warm_start: "stf" is not allowed'),
        ({"generation__samples": 4}, "the same text every time"),
        (
            {"generation__samples": 4, "generation__temperature": 0.9, "prompts__answer": "quantiles"},
            "^generation.samples is above 1 with prompts.answer: quantiles, .* set generation.samples to 1, or prompts",
        ),
        (
            {"prompts__answer": "quantiles"},
            "^generation.max_tokens: 48 tokens cut answers off that are seven quantiles; set at least 100",
        ),
        (
            {"prompts__answer": "quantiles", "generation__max_tokens": 100},
            "^grpo.max_completion_length: 48 tokens cut answers off",
        ),
        (
            {"prompts__answer": "quantile"},
            "prompts.answer: \"quantile\" is not allowed; input should be 'number' or 'qu",
        ),
        ({"labels__think": "none", "labels__grpo_exemplar": True}, "grpo_exemplar shows a think block, and .* none"),
        ({"labels__think_template": "{holding_t1}"}, "labels.think_template: .*unknown"),
        ({"prompts__identity": "ticker"}, "name the CSV in prompts.ticker_mapping"),
        ({"simulation__drift": {"banks": 0.1}}, "simulation.drift has no mutual_funds"),
        ({"model__path": "./no_such_model"}, "no_such_model is not a folder"),
        ({"simulation__first_year": 2030}, "first_year lies after"),
        ({"sft__extra_args": {"hub_token": "x"}}, "put a token into the environment"),
        (
            {"import": {"source": "x.dta"}},
            "import is there, but panel is simulated; write panel: imported, or leave import out",
        ),
        ({"evaluation__stages": ["sft", "dpo"]}, "evaluation.stages: dpo is no stage; there are: base, sft, grpo"),
        ({"evaluation__stages": ["sft", "sft"]}, "evaluation.stages: sft stands there more than once"),
        ({"evaluation__stages": []}, "evaluation.stages is empty; name a stage there, or an adapter or a file"),
        ({"adapters": {"mine": {"path": "x"}}}, "adapters.mine.base_model is missing; add it"),
        (
            {"adapters": {"mine": {"path": "x", "base_modle": "y"}}},
            r"adapters.mine.base_modle is no setting; did you mean adapters.mine.base_model\?",
        ),
        ({"adapters": {"sft": {"path": "x", "base_model": "demo"}}}, "adapters: sft is the name of another forecaster"),
        ({"adapters": {"a.b": {"path": "x", "base_model": "demo"}}}, "adapters.a.b: 'a.b' is no name of a forecaster"),
        ({"forecasts": {"ridge": "a.csv"}}, "forecasts: ridge is the name of another forecaster"),
        (
            {"forecasts": {"mine": "a.csv"}, "adapters": {"mine": {"path": "x", "base_model": "demo"}}},
            "forecasts: mine is the name of another forecaster",
        ),
        ({"panel": "imported"}, "import is missing; panel: imported needs it"),
        (
            {"panel": "imported", "import": {"source": "x.dta", "columns": {"date": None}}},
            "import.columns.date is null",
        ),
        (
            {"panel": "imported", "import": {"source": "x.dta", "start": "2016-02-30"}},
            "import.start: '2016-02-30' is not",
        ),
    ],
)
def test_a_fault_is_one_line_with_the_key_and_the_remedy(changes, message):
    with pytest.raises(InputError, match=message) as caught:
        read_config(changed(**changes))
    assert "\n" not in str(caught.value).replace("demo\\n", "")


def test_answers_that_are_quantiles_are_not_probed_and_the_run_says_so_before_its_first_job():
    """Other targets of such a run, and the probe of another one, are as they were."""
    config = read_config(changed(prompts__answer="quantiles", **LONG))
    for rule in ("build_probes", "rank_answers", "score_probes"):
        with pytest.raises(InputError, match="probe a run with prompts"):
            check_probes(config, {"build_prompts", rule})
    check_probes(config, {"train_sft", "generate_completions"})
    check_probes(read_config(changed()), {"build_probes", "rank_answers"})


def test_run_is_needed():
    with pytest.raises(InputError, match="run is missing"):
        read_config({"seed": 1})


def test_settings_of_the_command_line_get_their_types_back():
    typed = changed()
    text = copy.deepcopy(typed)
    text["grpo"] |= {"beta": "0.04", "learning_rate": "1e-4", "reward_weights": ["0.5", "0.5"]}
    text["sample"]["drop_zero_holding"] = "false"
    text["splits"]["sft"] = {"start": "null", "end": "2016-12-31"}
    text["simulation"]["drift"] = {"banks": "0.1", "mutual_funds": "-1"}
    config = read_config(text)
    assert (config.grpo.beta, config.grpo.learning_rate, config.grpo.reward_weights) == (0.04, 1e-4, [0.5, 0.5])
    assert config.sample.drop_zero_holding is False
    assert (config.splits.sft.start, config.splits.sft.end) == (None, "2016-12-31")
    assert config.simulation.drift == {"banks": 0.1, "mutual_funds": -1.0}
    assert config.labels == read_config(typed).labels


@pytest.mark.parametrize("rule", sorted(USES.keys() - {"simulate_panel", "import_panel"}))
def test_each_rule_has_settings_without_a_simulation(rule):
    config = read_config({"run": "production"})
    wildcards = SimpleNamespace(firm_type="banks", split="test", stage="grpo")
    assert json.loads(settings_of(config, rule)(wildcards))


def test_without_think_blocks_every_stage_knows_it():
    """`labels.think: none` reaches prompts, SFT data, rewards, their preflight and replay, parsing and the audits."""

    def used(rule: str, **changes) -> dict:
        wildcards = SimpleNamespace(firm_type="banks", split="sft", stage="grpo")
        return json.loads(settings_of(read_config(changed(**changes)), rule)(wildcards))

    def place(content: dict, path: str):
        for key in path.split("."):
            content = content[key]
        return content

    for rule, path, none in (
        ("build_prompts", "think", False),
        ("build_sft_dataset", "think", None),
        ("build_demo_model", "prompts.think", False),
        ("build_demo_model", "think", None),
        ("train_grpo", "rewards.think", False),
        ("preflight_rewards", "rewards.think", False),
        ("score_rewards", "rewards.think", False),
        ("parse_predictions", "think", False),
        ("audit_leakage", "prompts.think", False),
        ("audit_leakage", "think", None),
    ):
        assert place(used(rule, labels__think="none"), path) is none, rule
        assert place(used(rule), path), rule
        unused = used(rule, labels__think="none", labels__think_template="x")
        assert unused == used(rule, labels__think="none"), f"a template that {rule} does not use"


LONG = {"generation__max_tokens": 128, "grpo__max_completion_length": 128}


def test_what_an_answer_says_is_known_to_every_stage():
    """`prompts.answer: quantiles` reaches prompts, SFT data, rewards, their preflight and replay, parsing and words."""
    for rule, *path in (
        ("build_prompts", "answer"),
        ("build_forecast_prompts", "answer"),
        ("write_model_card", "answer"),
        ("build_sft_dataset", "answer"),
        ("build_demo_model", "prompts", "answer"),
        ("train_grpo", "rewards", "answer"),
        ("preflight_rewards", "rewards", "answer"),
        ("score_rewards", "rewards", "answer"),
        ("replay_rewards", "rewards", "answer"),
        ("parse_predictions", "answer"),
        ("check_answers", "contract", "answer"),
        ("audit_leakage", "prompts", "answer"),
        ("write_dataset_card", "answer"),
        ("summarize_run", "told", "answer"),
    ):
        for answer in ("number", "quantiles"):
            wildcards = SimpleNamespace(firm_type="banks", split="sft", stage="grpo")
            config = read_config(changed(prompts__answer=answer, **LONG))
            content = json.loads(settings_of(config, rule)(wildcards))
            for key in path:
                content = content[key]
            assert content == answer, rule


@pytest.mark.parametrize("rule", sorted(USES))
def test_each_rules_settings_are_read_into_its_class(rule):
    """What `settings/uses.py` passes is what the entry module takes: nothing unknown, nothing missing."""
    if rule == "write_config":
        return
    config = read_config(changed(panel="imported", **{"import": {"source": "x.csv"}}))
    stage = "sft" if rule == "train_sft" else "grpo"
    wildcards = SimpleNamespace(firm_type="banks", split="sft", stage=stage)
    content = json.loads(settings_of(config, rule)(wildcards))
    module = importlib.import_module(f"workflow_scripts.{rule}")
    classes = {
        "build_sec_positions": "FilingSettings",
        "import_panel": "ImportSettings",
        "check_panel": "CheckSettings",
        "build_windows": "WindowSettings",
        "build_prompts": "PromptSettings",
        "build_forecast_prompts": "PromptSettings",
        "score_forecasts": "EvaluationSettings",
        "merge_adapter": "ModelSettings",
        "parse_predictions": "Contract",
        "write_dataset_card": "CardFacts",
        "write_model_card": "PromptSettings",
    }
    cls = getattr(module, classes.get(rule, "Settings"))
    settings = read_settings(cls, content)
    given = {one.name for one in fields(cls)}
    assert content.keys() == given, "a default would stand in for a setting that the rule does not pass"
    assert settings is not None


@pytest.mark.parametrize(
    ("files", "found"),
    [
        (["panel"], "is a file, not a folder with one slice per firm type"),
        (["panel/type=banks/a.parquet", "panel/type=other/a.parquet"], r"is partitioned into folders \(type=banks\)"),
        (["panel/banks.parquet/part-0.parquet"], r"holds a folder of part files \(banks.parquet\)"),
        (["panel/part-0.parquet", "panel/part-1.parquet"], r"holds part files \(part-0.parquet\)"),
    ],
)
def test_a_panel_in_another_layout_is_one_to_import(tmp_path, files, found):
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    panel = str(tmp_path / "panel")
    [message] = missing_inputs(read_config(changed(panel=panel)))
    assert re.fullmatch(
        rf"panel: {panel} {found}; write panel: imported, and import: {{source: {panel}}} \(.*\)", message
    )


def test_swapped_values_are_another_text():
    """Snakemake compares params as a set: names inside the values keep seed 2, drift 1 and seed 1, drift 2 apart."""
    wildcards = SimpleNamespace(firm_type="banks")
    a, b = (
        settings_of(
            read_config(changed(seed=seed, simulation__drift={"banks": drift, "mutual_funds": 0})), "simulate_panel"
        )
        for seed, drift in ((2, 1), (1, 2))
    )
    assert a(wildcards) != b(wildcards)


def test_settings_of_a_job_refuse_what_they_do_not_know():
    from workflow_scripts.holdings.windows.sampling import SampleSettings

    with pytest.raises(InputError, match="SampleSettings: unknown: per_tpye_limit"):
        read_settings(SampleSettings, {"per_tpye_limit": 3})


def test_what_is_trained_follows_the_stages_that_are_evaluated():
    """SFT without GRPO trains SFT alone; GRPO needs the SFT that it starts from, unless it starts from the base."""

    def needed(stages: list[str], **changes) -> tuple[str, ...]:
        return needed_stages(read_config(changed(evaluation__stages=stages, **changes)))

    assert needed(["sft", "base"]) == ("sft",)
    assert needed(["grpo"]) == ("sft", "grpo")
    assert needed(["grpo"], grpo__warm_start="none") == ("grpo",)
    shape = {"grpo__lora_rank": 8, "grpo__lora_alpha": 32}
    assert needed(["base", "grpo"], grpo__warm_start="continue", **shape) == ("sft", "grpo"), "it goes on with SFT's"
    assert needed(["base"]) == needed([], forecasts={"mine": "a.csv"}) == ()
    config = read_config(changed(evaluation__stages=["sft", "base"], forecasts={"mine": "a.csv"}))
    assert forecasters(config)[-4:] == ("base", "sft", "mine", "oracle")


def test_an_adapters_model_is_its_own_and_its_precision_the_runs():
    adapter = {"path": "theirs/{firm_type}", "base_model": "llama", "model_type": "llama", "revision": "v2"}
    demo = {"path": "x", "base_model": "demo"}
    config = read_config(changed(adapters={"theirs": adapter, "mine": demo}, model__revision="v1"))
    model = start_model(config, "banks", "theirs")
    assert (model.path, model.model_type, model.template, model.revision) == ("llama", "llama", "qwen2_5", "v2")
    assert model.torch_dtype == config.model.torch_dtype
    assert adapter_path(config, "banks", "theirs") == "theirs/banks"
    assert start_model(config, "banks", "mine").path == "results/demo/demo_model"
    assert start_model(config, "banks", "grpo").path == "results/demo/banks/merged/sft"
    assert (adapter_path(config, "banks", "base"), adapter_path(config, "banks", "sft")) == (
        "none", "results/demo/banks/adapters/sft",
    )  # fmt: skip


def test_missing_adapters_and_forecasts_are_named(tmp_path):
    forecasts, adapter = str(tmp_path / "{firm_type}.csv"), {"path": str(tmp_path), "base_model": "demo"}
    (tmp_path / "banks.csv").touch()
    (tmp_path / "adapter_config.json").touch()
    missing = missing_inputs(read_config(changed(forecasts={"mine": forecasts}, adapters={"theirs": adapter})))
    assert missing == [
        f"forecasts.mine: {tmp_path}/mutual_funds.csv does not exist",
        f"adapters.theirs.path: {tmp_path}/adapter_model.safetensors does not exist",
    ]


def test_base_models_that_are_no_folder_are_missing_and_not_taken_for_names_on_the_hub(tmp_path):
    """What the run makes itself need not be there, nor what it makes for a replay."""
    for name in ("adapter_model.safetensors", "adapter_config.json"):
        (tmp_path / name).touch()

    def missing(base: str) -> list[str]:
        return missing_inputs(read_config(changed(adapters={"theirs": {"path": str(tmp_path), "base_model": base}})))

    message = "adapters.theirs.base_model: the folder results/old/banks/merged/sft does not exist"
    assert message in missing("results/old/{firm_type}/merged/sft")
    assert missing("/nowhere") == ["adapters.theirs.base_model: the folder /nowhere does not exist"]
    for there in ("results/demo/{firm_type}/merged/sft", "org/name", "gpt2", str(tmp_path), "demo"):
        assert missing(there) == [], there
    replay = {"completions": "results/demo/banks/completions/sft.jsonl", "dataset": "results/x/test.jsonl"}
    assert missing_inputs(read_config(changed(replay=replay))) == [
        "replay.dataset: results/x/test.jsonl does not exist"
    ]


def test_an_adapter_on_the_runs_own_model_has_its_revision():
    """The pin of the paper's model is that of last year's adapter on it, too, unless it says otherwise."""

    def revision(**adapter) -> str:
        model = {"model__path": "org/name", "model__revision": "abc123"}
        config = read_config(changed(**model, adapters={"old": {"path": "x", **adapter}}))
        return start_model(config, "banks", "old").revision

    assert revision(base_model="org/name") == "abc123"
    assert revision(base_model="org/name", revision="def456") == "def456"
    assert revision(base_model="org/other") == ""


def test_the_files_of_a_panel_from_filings_are_named_where_they_are_not_there(tmp_path):
    """config/sec.yaml and demo_sec.yaml are valid below the other two; what they and sec name has to be there."""
    for overlay in ("sec.yaml", "demo_sec.yaml"):
        for name in ("config.yaml", "demo.yaml"):
            assert read_config(with_recipe(load(name), ROOT / "config" / overlay)).panel == "sec"
        assert read_config(load(overlay)).panel == "sec"
    own = {name: str(tmp_path / name) for name in ("zips", "types", "values", "identifiers", "fundamentals")}
    told = missing_inputs(read_config(changed(panel="sec", sec=own)))
    assert [line.split(":")[0] for line in told] == [f"sec.{name}" for name in own]
    for name in ("types", "values"):
        (tmp_path / name).touch()
    for name, file in (("zips", "2020q1_form13f.zip"), ("identifiers", "x.csv"), ("fundamentals", "2020q1.zip")):
        (tmp_path / name).mkdir()
        (tmp_path / name / file).touch()
    assert missing_inputs(read_config(changed(panel="sec", sec=own))) == []


def test_a_missing_slice_is_named_with_what_is_there(tmp_path):
    def missing(**changes) -> str:
        return "\n".join(missing_inputs(read_config(changed(**changes))))

    (tmp_path / "banks.parquet").touch()
    assert "no slice for mutual_funds; there are: banks." in missing(panel=str(tmp_path))
    (tmp_path / "mutual_funds.parquet").touch()
    assert missing(panel=str(tmp_path)) == ""
    assert missing() == ""
    source = tmp_path / "holdings.dta"
    assert missing(panel="imported", **{"import": {"source": str(source)}}).endswith("does not exist")
    (tmp_path / "empty").mkdir()
    assert "no parquet" in missing(panel="imported", **{"import": {"source": str(tmp_path / "empty")}})
    source.touch()
    assert missing(panel="imported", **{"import": {"source": str(source)}}) == ""
