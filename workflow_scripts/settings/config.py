"""The configuration of a run: every section with its type, composed of the settings that stand beside the code.

A field's annotation holds its bounds and the sentence that explains it; its value is the default. From these come the
checks, the types of settings given on the command line, `config/config.schema.yaml` and
`docs/settings.md` (`settings/pages.py`).
"""

from dataclasses import asdict, dataclass, field, fields, make_dataclass
from typing import Annotated, Any, Literal

from annotated_doc import Doc
from annotated_types import Ge, Le, MinLen, Predicate

from workflow_scripts.holdings.evaluation.settings import EvaluationSettings, InferenceSettings, TrimSettings
from workflow_scripts.holdings.forecasts.stages import STAGES
from workflow_scripts.holdings.panel.checks import CheckSettings
from workflow_scripts.holdings.panel.contract import FIRM_TYPES, Day, FirmType
from workflow_scripts.holdings.panel.import_settings import ImportSettings
from workflow_scripts.holdings.panel.simulation import SimulationSettings
from workflow_scripts.holdings.rewards.preflight import PreflightSettings
from workflow_scripts.holdings.rewards.rewards import REWARD_NAMES, reward_of
from workflow_scripts.holdings.sec.filing_settings import FilingSettings
from workflow_scripts.holdings.sec.panel_settings import SecPanelSettings
from workflow_scripts.holdings.texts.label_settings import LabelSettings
from workflow_scripts.holdings.texts.probe_prompts import ProbeSettings
from workflow_scripts.holdings.texts.prompts import PromptStyle
from workflow_scripts.holdings.windows.newest import ForecastSettings
from workflow_scripts.holdings.windows.sampling import BaselineSettings, SampleLimit, Stratification
from workflow_scripts.holdings.windows.splits import SplitSettings
from workflow_scripts.holdings.windows.windows import WindowSettings
from workflow_scripts.training.base_model import ModelSettings
from workflow_scripts.training.demo_settings import DemoModelSettings
from workflow_scripts.training.generation import GenerationSettings
from workflow_scripts.training.own_adapters import AdapterSettings
from workflow_scripts.training.training_settings import GrpoSettings, LoraSettings

SIMULATED = "simulated"
IMPORTED = "imported"
SEC = "sec"
# Words in place of a folder: the run makes its slices itself.
MADE_PANELS = (SIMULATED, IMPORTED, SEC)
# What the report calls a folder of slices, which has no other name than its path.
OWN_SLICES = "slices"
DEMO = "demo"
FROM_FILINGS = "from_filings"
# The folder of comparisons of runs, beside the folders of the runs.
COMPARISONS = "compare"


def is_run_name(text: str) -> bool:
    """Whether a text is the name of one folder: letters, digits, `_`, `.` and `-`, the first a letter or a digit.

    The folder of comparisons is nobody's.
    """
    allowed = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-")
    return set(text) <= allowed and text[:1] not in ("", "_", ".", "-") and text != COMPARISONS


def is_forecaster_name(text: str) -> bool:
    """Whether a text can name a forecaster, and so a file and a part of a pattern: as a run, without a dot."""
    return is_run_name(text) and "." not in text


def seed_run(run: str, seed: int) -> str:
    """The run of another seed of `seeds`.

    >>> seed_run("mine", 2)
    'mine-seed2'
    """
    return f"{run}-seed{seed}"


RunName = Annotated[str, Predicate(is_run_name)]
ForecasterName = Annotated[str, Predicate(is_forecaster_name)]


@dataclass(frozen=True)
class SimulationSection(SimulationSettings):
    """The simulated panel and its law; used with `panel: simulated`. Money in $ million."""

    drift: Annotated[
        dict[FirmType, float], Doc("Constant part of a firm type's change per quarter, $ million, by firm type.")
    ] = field(default_factory=dict)


@dataclass(frozen=True)
class SecSection(SecPanelSettings, FilingSettings):
    """The SEC's Form 13F data sets; used with `panel: sec`."""

    zips: Annotated[
        str, MinLen(1), Doc("Folder with the quarterly zips under the SEC's names, such as 2023q4_form13f.zip.")
    ] = "data/raw/sec/form13f"


@dataclass(frozen=True)
class SampleSection(Stratification):
    """The stratified sample of windows per firm type and split."""

    sft: Annotated[SampleLimit, Doc("Windows that train SFT.")] = SampleLimit()
    grpo: Annotated[SampleLimit, Doc("Windows that train GRPO.")] = SampleLimit()
    test: Annotated[SampleLimit, Doc("Windows that are forecast and scored.")] = SampleLimit()


@dataclass(frozen=True)
class PromptSection(PromptStyle):
    """What a prompt asks and shows."""

    ticker_mapping: Annotated[
        str | None, Doc("CSV with permno, ticker, company; needed for identity ticker, else null.")
    ] = None


@dataclass(frozen=True)
class GrpoSection(GrpoSettings):
    """GRPO with our rewards (swift rlhf --rlhf_type grpo)."""

    warm_start: Annotated[
        Literal["sft", "continue", "none"],
        Doc(
            "sft starts a new adapter on the merged SFT model; continue goes on with the SFT adapter itself, of the "
            "same rank; none starts a new adapter on the base model."
        ),
    ] = "sft"


@dataclass(frozen=True)
class RewardFiles:
    """Where rewards of the user's own come from."""

    plugins: Annotated[
        list[str],
        Doc(
            "Python files that register rewards of your own in ms-swift's orms; then grpo.rewards and "
            "evaluation.score_rewards may name them."
        ),
    ] = field(default_factory=list)


@dataclass(frozen=True)
class ReplaySettings:
    """A file of completions to replay through evaluation.score_rewards: the target replay_rewards."""

    completions: Annotated[str, MinLen(1), Doc("JSON lines with window_id and completion, of whatever origin.")]
    dataset: Annotated[str, MinLen(1), Doc("The dataset (JSON lines) whose prompts were completed.")]


# Each reward's constants stand in its own module, or in one that several share; a reward without any adds nothing. Type
# checkers know no class that is put together at run time.
REWARD_SETTINGS = dict.fromkeys(reward_of(name).settings for name in REWARD_NAMES)
RewardSection = make_dataclass(
    "RewardSection",
    [],
    bases=(RewardFiles, *(settings for settings in REWARD_SETTINGS if fields(settings))),
    frozen=True,
    namespace={"__doc__": "Constants of the rewards that have some, and files of your own rewards."},
)


@dataclass(frozen=True)
class EvaluationSection(InferenceSettings, TrimSettings, EvaluationSettings):
    """Metrics, comparisons and replays of rewards."""

    stages: Annotated[
        list[str],
        Doc(
            "The stages that are evaluated: base, sft, grpo or some of them. Nothing is trained but these and what "
            "they start from; an empty list evaluates baselines, adapters and forecasts alone."
        ),
    ] = field(default_factory=lambda: list(STAGES))
    knowledge_cutoff: Annotated[
        Day | None,
        Doc(
            "Last day of what the base model was trained on, as YYYY-MM-DD, else null: errors are reported before and "
            "after it."
        ),
    ] = None
    seed_runs: Annotated[
        list[RunName],
        Doc(
            "Names of finished runs that differ from this one in run and seed alone: the summary gives mean and "
            "standard deviation over them."
        ),
    ] = field(default_factory=list)
    rolling_runs: Annotated[
        list[RunName],
        Doc(
            "Names of finished runs that differ from this one in their splits alone: their test windows are evaluated "
            "together here, and this run trains nothing. workflow_scripts.settings.roll_origins makes them."
        ),
    ] = field(default_factory=list)
    score_rewards: Annotated[list[str], MinLen(1), Doc("Rewards to replay on the test completions.")] = field(
        default_factory=lambda: ["contract_holdings", "mse_holdings", "external_holdings", "scaled_mae_holdings"]
    )


@dataclass(frozen=True)
class Config:
    """A run. A key that a config file leaves out has its default."""

    run: Annotated[
        RunName,
        Doc("Name of the run: letters, digits, `_`, `.` and `-`. All outputs go below results/<run>/."),
    ]
    base_run: Annotated[
        RunName | None,
        Doc(
            "Name of a run on the same panel and windows whose files are taken, not made again, wherever the settings "
            "that they depend on are the same; only what differs is made (docs/compare.md)."
        ),
    ] = None
    seed: Annotated[int, Ge(0), Le(2**31 - 1), Doc("Seed of the simulation, the samples and the trainings.")] = 42
    seeds: Annotated[
        list[Annotated[int, Ge(0), Le(2**31 - 1)]],
        Doc(
            "Seeds to train with, such as [1, 2, 3]: `make seeds CONFIG=...` makes a run of each, and the summary of "
            "this one, which has the first, gives mean, standard deviation and each. Empty: seed alone."
        ),
    ] = field(default_factory=list)
    firm_types: Annotated[
        list[FirmType], MinLen(1), Doc("The firm types to run, each with a row of artefacts of its own.")
    ] = field(default_factory=lambda: list(FIRM_TYPES))
    panel: Annotated[
        str,
        MinLen(1),
        Doc(
            "Folder with one {firm_type}.parquet per firm type (data/README.md); or the word imported, with a section "
            "import; or the word sec, for Form 13F data sets of the SEC; or the word simulated."
        ),
    ] = "data/processed/panel_quarter.parquet"
    panel_exits: Annotated[
        Literal["zero_rows", "from_filings"],
        Doc(
            "Where the label of a sold position comes from: zero_rows of the panel; or from_filings, where rows of "
            "holding 0 are added wherever the manager files in the next quarter and the position is gone."
        ),
    ] = "zero_rows"
    import_: Annotated[
        ImportSettings | None, Doc("One big file of holdings to make the slices of; needed with panel: imported.")
    ] = None
    sec: Annotated[SecSection, Doc("The SEC's files to make the slices of.")] = SecSection()
    simulation: Annotated[SimulationSection, Doc("The simulated panel.")] = SimulationSection()
    checks: Annotated[CheckSettings, Doc("The checks of the panel.")] = CheckSettings()
    windows: Annotated[WindowSettings, Doc("The history.")] = WindowSettings()
    splits: Annotated[SplitSettings, Doc("The splits.")] = SplitSettings()
    sample: Annotated[SampleSection, Doc("The samples.")] = SampleSection()
    baselines: Annotated[BaselineSettings, Doc("What the baselines are fitted on.")] = BaselineSettings()
    prompts: Annotated[PromptSection, Doc("The prompts.")] = PromptSection()
    labels: Annotated[LabelSettings, Doc("The labels.")] = LabelSettings()
    model: Annotated[ModelSettings, Doc("The base model.")] = ModelSettings()
    demo_model: Annotated[DemoModelSettings, Doc("The demo's base model.")] = DemoModelSettings()
    sft: Annotated[LoraSettings, Doc("The SFT stage.")] = field(default_factory=LoraSettings)
    grpo: Annotated[GrpoSection, Doc("The GRPO stage.")] = field(default_factory=GrpoSection)
    rewards: Annotated[RewardSection, Doc("Rewards.")] = RewardSection()  # type: ignore[valid-type]
    preflight: Annotated[PreflightSettings, Doc("The trial of the rewards.")] = PreflightSettings()
    generation: Annotated[GenerationSettings, Doc("The completions of the test prompts.")] = GenerationSettings()
    evaluation: Annotated[EvaluationSection, Doc("The evaluation.")] = field(default_factory=EvaluationSection)
    probes: Annotated[ProbeSettings, Doc("The probes of memory.")] = ProbeSettings()
    forecast: Annotated[ForecastSettings, Doc("The forecast of the next quarter.")] = ForecastSettings()
    replay: Annotated[ReplaySettings | None, Doc("Completions to replay; needed by the target replay_rewards.")] = None
    adapters: Annotated[
        dict[ForecasterName, AdapterSettings],
        Doc("Adapters of your own by the name that they get as forecasters, beside the stages in every table."),
    ] = field(default_factory=dict)
    forecasts: Annotated[
        dict[ForecasterName, str],
        Doc(
            "CSV files of your own forecasts (window_id, predicted_delta in $ million, quantiles if you like) by the "
            "name that they get as forecasters; {firm_type} in a path stands for the firm type."
        ),
    ] = field(default_factory=dict)


def key_of(name: str) -> str:
    """Key of a field in a config file: `import_` is `import`, which Python keeps for itself.

    >>> key_of("import_")
    'import'
    """
    return name.rstrip("_")


def resolved(config: Config) -> dict[str, Any]:
    """The configuration with every default, as a config file would hold it; a section that is None is left out."""
    return {key_of(name): value for name, value in asdict(config).items() if value is not None}
