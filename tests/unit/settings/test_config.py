"""Every config file that we ship is valid; the schema describes every key and refuses the rest."""

import copy
import json
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from workflow_scripts.holdings.panel.contract import FIRM_TYPES
from workflow_scripts.holdings.panel.importing import RECIPES, STAGED_COLUMNS, ImportSettings
from workflow_scripts.holdings.rewards.rewards import REWARDS, RewardSettings
from workflow_scripts.holdings.texts.prompts import IDENTITIES, ROLES
from workflow_scripts.plumbing.code_digest import ROOT
from workflow_scripts.plumbing.errors import InputError
from workflow_scripts.settings.checks import check_config, missing_slices, restore_types
from workflow_scripts.training.trainer import GrpoSettings

SCHEMA = yaml.safe_load((ROOT / "config/config.schema.yaml").read_text())
VALIDATOR = Draft202012Validator(SCHEMA)
CONFIGS = sorted(p for p in (ROOT / "config").glob("*.yaml") if p.name != "config.schema.yaml")


def load(name: str) -> dict:
    return yaml.safe_load((ROOT / "config" / name).read_text())


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_shipped_configs_are_valid(path: Path):
    config = yaml.safe_load(path.read_text())
    assert [error.message for error in VALIDATOR.iter_errors(config)] == []
    check_config(config)


def test_production_holds_the_published_recipe():
    config = load("config.yaml")
    assert config["model"]["path"] == "Qwen/Qwen2.5-7B-Instruct"
    assert sorted(config["firm_types"]) == sorted(FIRM_TYPES)
    sft, grpo = config["sft"], config["grpo"]
    assert (sft["lora_rank"], sft["lora_alpha"], sft["learning_rate"], sft["save_steps"]) == (8, 32, 1e-4, 500)
    assert sft["per_device_train_batch_size"] * sft["gradient_accumulation_steps"] == 16
    assert (sft["max_length"], sft["num_train_epochs"], config["model"]["torch_dtype"]) == (2048, 1, "bfloat16")
    assert (grpo["lora_rank"], grpo["lora_alpha"], grpo["learning_rate"], grpo["beta"]) == (32, 128, 1e-6, 0.02)
    assert (grpo["num_generations"], grpo["temperature"], grpo["warm_start"]) == (8, 0.9, "sft")
    weights = dict(zip(grpo["rewards"], grpo["reward_weights"], strict=True))
    assert weights == {"contract_holdings": 0.3, "mse_holdings": 0.7}


def objects(schema: dict, path: str = ""):
    if schema.get("type") == "object":
        yield path, schema
    for name, child in {**schema.get("properties", {}), **schema.get("$defs", {})}.items():
        yield from objects(child, f"{path}.{name}")


def test_schema_refuses_unknown_keys_and_describes_all():
    for path, schema in objects(SCHEMA):
        # The keys of import.types are the user's own labels, those of extra_args ms-swift's; values are not free.
        open_keys = path in (".import.types", ".extra_args")
        assert isinstance(schema.get("additionalProperties"), dict) if open_keys else not schema["additionalProperties"]
        for name, child in schema["properties"].items():
            described = child.get("$ref") or child.get("description") or path.endswith((".drift", ".types"))
            assert described, f"{path}.{name} has no description"


def test_schema_and_code_agree_on_choices():
    properties = SCHEMA["properties"]
    assert sorted(properties["firm_types"]["items"]["enum"]) == sorted(FIRM_TYPES) == sorted(ROLES)
    assert sorted(properties["simulation"]["properties"]["drift"]["properties"]) == sorted(FIRM_TYPES)
    assert properties["prompts"]["properties"]["identity"]["enum"] == list(IDENTITIES)
    for items in (properties["grpo"]["properties"]["rewards"], properties["evaluation"]["properties"]["score_rewards"]):
        assert sorted(items["items"]["enum"]) == sorted(REWARDS)
    assert set(properties["import"]["properties"]) == set(ImportSettings.__dataclass_fields__)
    assert set(properties["import"]["properties"]["columns"]["properties"]) == set(RECIPES) == set(STAGED_COLUMNS)
    assert set(properties["rewards"]["properties"]) == set(RewardSettings.__dataclass_fields__) - {"target"}
    assert set(properties["grpo"]["properties"]) - {"warm_start"} == set(GrpoSettings.__dataclass_fields__)


def changed(**changes) -> dict:
    config = copy.deepcopy(load("demo.yaml"))
    for path, value in changes.items():
        *parents, last = path.split("__")
        place = config
        for parent in parents:
            place = place[parent]
        place[last] = value
    return config


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"splits__grpo": {"start": "2016-12-31", "end": "2018-12-31"}}, "splits.grpo starts in a quarter"),
        ({"splits__test": {"start": "2018-11-01", "end": None}}, "splits.test starts in a quarter that splits.grpo"),
        ({"splits__grpo": {"start": "2019-01-01", "end": "2018-12-31"}}, "splits.grpo ends before it starts"),
        ({"splits__sft": {"start": None, "end": None}}, "splits.sft.end and splits.grpo.start must be given"),
        ({"splits__sft": {"start": None, "end": "2016-13-31"}}, "splits.sft.end: 2016-13-31 is not a day"),
        ({"grpo__per_device_train_batch_size": 3}, "not divisible by num_generations = 8"),
        ({"grpo__reward_weights": [1.0]}, "give one weight per reward"),
        ({"generation__samples": 4}, "the same text every time"),
        ({"labels__think_template": "{holding_t1}"}, "labels.think_template: .*unknown"),
        ({"prompts__identity": "ticker"}, "name the CSV in prompts.ticker_mapping"),
        ({"simulation__drift": {"banks": 0.1}}, "simulation.drift has no mutual_funds"),
        ({"model__path": "./no_such_model"}, "no_such_model is not a folder"),
        ({"simulation__first_year": 2030}, "first_year lies after"),
        ({"panel": "imported"}, "import is missing; panel: imported needs it"),
        (
            {"panel": "imported", "import": {"source": "x.dta", "columns": {"date": None}}},
            "import.columns.date is null",
        ),
        (
            {"panel": "imported", "import": {"source": "x.dta", "start": "2016-02-30"}},
            "import.start: 2016-02-30 is not",
        ),
    ],
)
def test_cross_checks(changes, message):
    with pytest.raises(InputError, match=message):
        check_config(changed(**changes))


@pytest.mark.parametrize("key", ["simulation", "demo_model"])
def test_sections_that_a_choice_needs(key):
    config = changed()
    del config[key]
    with pytest.raises(InputError, match=f"{key} is missing"):
        check_config(config)


def test_settings_of_the_command_line_get_their_types_back():
    config = changed(grpo__beta="0.04", sample__drop_zero_holding="false", grpo__reward_weights=["0.5", "0.5"])
    config["splits"]["sft"] = {"start": "null", "end": "2016-12-31"}
    restore_types(config, SCHEMA)
    assert config["grpo"]["beta"] == 0.04
    assert config["sample"]["drop_zero_holding"] is False
    assert config["grpo"]["reward_weights"] == [0.5, 0.5]
    assert config["splits"]["sft"] == {"start": None, "end": "2016-12-31"}
    assert config["labels"] == load("demo.yaml")["labels"]
    assert list(VALIDATOR.iter_errors(config)) == []


def test_a_missing_slice_is_named_with_what_is_there(tmp_path):
    (tmp_path / "banks.parquet").touch()
    assert "no slice for mutual_funds; there are: banks." in missing_slices(changed(panel=str(tmp_path)))
    (tmp_path / "mutual_funds.parquet").touch()
    assert missing_slices(changed(panel=str(tmp_path))) == ""
    assert missing_slices(changed()) == ""
    source = tmp_path / "holdings.dta"
    assert missing_slices(changed(panel="imported", **{"import": {"source": str(source)}})).endswith("does not exist")
    assert missing_slices(changed(panel="imported", **{"import": {"source": str(tmp_path / "empty")}})) != ""
    (tmp_path / "empty").mkdir()
    assert "no parquet" in missing_slices(changed(panel="imported", **{"import": {"source": str(tmp_path / "empty")}}))
    source.touch()
    assert missing_slices(changed(panel="imported", **{"import": {"source": str(source)}})) == ""


@pytest.mark.parametrize(
    "changes",
    [{"run": "../elsewhere"}, {"run": "/elsewhere"}, {"run": ".."}, {"run": "a/b"}, {"run": ""}, {"run": "demo\n"},
     {"import": {"source": "a.dta", "typse": {}}}, {"import": {"source": "a.dta", "types": {"9": "bank"}}},
     {"firm_types": ["bank"]}, {"firm_types": []}, {"sft__lora_rnk": 8}, {"seed": -1},
     {"splits__sft": {"start": None, "end": "31.12.2016"}}, {"grpo__rewards": ["profit"]}],
)  # fmt: skip
def test_schema_refuses(changes):
    assert list(VALIDATOR.iter_errors(json.loads(json.dumps(changed(**changes)))))
