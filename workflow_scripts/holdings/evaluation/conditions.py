"""Whether the stages that are compared have answered under the same conditions."""

from workflow_scripts.plumbing.errors import InputError

# Of the conditions of a stage's completions, what may differ between stages.
WEIGHTS = ("model", "adapter")


def check_conditions(conditions: dict[str, dict]) -> None:
    """Raise InputError unless all stages answered the same prompts in the same way; keys are the files' names."""
    (first, expected), *others = conditions.items()
    for path, found in others:
        differing = [key for key in expected if key not in WEIGHTS and found[key] != expected[key]]
        if differing:
            raise InputError(f"{path} and {first} differ in {', '.join(differing)}; generate the completions again")
