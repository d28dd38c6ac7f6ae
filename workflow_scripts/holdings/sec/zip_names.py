"""Names of the SEC's Form 13F data sets, one zip per quarter or three months: the files of a folder."""

import re
from pathlib import Path

# 2023q4_form13f.zip, since 2024 01jan2024-29feb2024_form13f.zip. A name is part of paths of the workflow.
NAME = re.compile(r"[\w-]*form13f[\w-]*", re.IGNORECASE | re.ASCII)


def zip_names(folder: str | Path) -> list[str]:
    """Names, without `.zip`, of the Form 13F data sets in a folder, sorted; none where there is no such folder."""
    return sorted(path.stem for path in Path(folder).glob("*.zip") if path.is_file() and NAME.fullmatch(path.stem))
