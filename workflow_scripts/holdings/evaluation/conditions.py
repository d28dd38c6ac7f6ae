"""Under which conditions forecasters have answered: what the stages must share, and where each comes from."""

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from workflow_scripts.plumbing.errors import InputError

# Of the conditions of a stage's completions, what may differ between stages.
WEIGHTS = ("model", "adapter")
# What an adapter of the user's own may have of its own as well: its base model, and how that is read and asked.
OWN = ("base_model", "engine")
ORIGIN_COLUMNS = ("forecaster", "kind", "source", "base_model", "base_model_identity", "adapter_sha256")


def check_conditions(conditions: Mapping[str, dict], own: Iterable[str] = ()) -> None:
    """Raise InputError unless all answered the same prompts in the same way; keys are the forecasters' names.

    Those in `own` may sit on another base model; its precision has to be that of the others. Nothing is said where
    nobody answered.
    """
    expected: dict[str, dict] = {}
    own = set(own)
    for name, found in sorted(conditions.items(), key=lambda item: item[0] in own):
        ignored = {"digest", *WEIGHTS, *(OWN if name in own else ())}
        shown = {**found, "precision": found.get("engine", {}).get("torch_dtype")}
        for other, first in expected.items():
            differing = [key for key in first if key not in ignored and shown[key] != first[key]]
            if differing:
                raise InputError(
                    f"the completions of {name} and {other} differ in {', '.join(differing)}; generate them again"
                )
        expected = expected or {name: shown}


def origins(
    forecasters: Iterable[str],
    conditions: Mapping[str, dict],
    sources: Mapping[str, str],
    base_models: Mapping[str, str],
) -> pd.DataFrame:
    """One row per forecaster with ORIGIN_COLUMNS; empty texts where something does not apply.

    `conditions` are those of the forecasters that complete prompts, `sources` the folders and files of the user's own,
    `base_models` the base models by name. Kinds: stage, adapter, forecasts (a file), baseline (the oracle included).
    base_model_identity is the base model's content, or its name on a hub: two forecasters with different ones differ in
    more than their training.
    """
    rows = []
    for name in forecasters:
        known = conditions.get(name, {})
        if name in sources:
            kind = "adapter" if name in base_models else "forecasts"
        else:
            kind = "stage" if name in base_models else "baseline"
        values = (
            name,
            kind,
            sources.get(name, ""),
            base_models.get(name, ""),
            known.get("base_model", ""),
            known.get("adapter") or "",
        )
        rows.append(dict(zip(ORIGIN_COLUMNS, values, strict=True)))
    return pd.DataFrame(rows, columns=ORIGIN_COLUMNS)


def with_base_models(comparisons: pd.DataFrame, origins: pd.DataFrame) -> pd.DataFrame:
    """Comparisons with same_base_model: `yes` or `no` for two forecasters that complete prompts, else an empty text."""
    known = origins.set_index("forecaster")["base_model_identity"].fillna("")
    first, second = (known.reindex(comparisons[name]).to_numpy(str) for name in ("baseline", "candidate"))
    same = np.where(first == second, "yes", "no")
    return comparisons.assign(same_base_model=np.where((first == "") | (second == ""), "", same))
