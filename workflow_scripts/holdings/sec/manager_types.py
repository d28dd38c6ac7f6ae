"""The firm type of each manager: from a CSV of the user's, else from its name and its registration, with the reason."""

import re
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa

from workflow_scripts.holdings.panel.contract import FIRM_TYPES, FirmType
from workflow_scripts.holdings.panel.importing import TYPE_LABELS
from workflow_scripts.plumbing.errors import InputError

FALLBACK = "investment_advisors"
# In this order: a bank's pension fund is a pension fund, an insurer's trust company an insurer. What a name says is a
# guess: whoever has a list of types names it in sec.types.
NAME_RULES: Sequence[tuple[FirmType, str]] = (
    (
        "pension_funds",
        r"\bPENSIONS?\b|\bRETIREMENT (?:SYSTEMS?|FUNDS?|BOARD|PLAN|TRUST)\b|SUPERANNUATION|\bPROVIDENT FUNDS?\b|"
        r"\bTEACHERS?\b|\bPERMANENT SCHOOL FUND\b|\bEMPLOYEES\b.*\bSYSTEM\b|\bSTATE BOARD OF ADMINISTRATION\b|"
        r"\bPENSIOEN\w*|\bPENSIONSFOND\w*|\bINVESTMENT BOARD\b",
    ),
    (
        "insurance_companies",
        r"\bINSURANCE\b|\bASSURANCE\b|\bREINSURANCE\b|\bRE-?INSURANCE\b|\bINS CO\b|\bLIFE\b|\bANNUITY\b|"
        r"\bCASUALTY\b|\bINDEMNITY\b|\bVERSICHERUNG\w*|\bSTATE FARM\b|\bALLSTATE\b|\bBERKSHIRE HATHAWAY\b|\bMETLIFE\b|"
        r"\bPRUDENTIAL FINANCIAL\b|\bMARKEL\b",
    ),
    (
        "banks",
        r"\bBANK(?:S|ING|ERS)?\b|\bBANC(?:ORP\w*|SHARES)?\b|\bBANKSHARES\b|\bBANQUE\b|\bBANCO\b|\bBANCA\b|SPARKASSE|"
        r"\bTRUST CO(?:MPANY|RP)?\b|\bNATIONAL ASSOCIATION\b|\bN\.? ?A\.?$|\bSAVINGS\b|\bCREDIT UNION\b|\bJPMORGAN\b|"
        r"\bJ\.?P\.? MORGAN\b|\bMORGAN STANLEY\b|\bGOLDMAN SACHS GROUP\b|\bSTATE STREET\b|\bWELLS FARGO\b|"
        r"\bCITIGROUP\b|\bNORTHERN TRUST\b|\bBNP PARIBAS\b|\bUBS GROUP\b|\bCREDIT SUISSE\b|\bBARCLAYS\b|\bHSBC\b|"
        r"\bING GROEP\b|\bBROWN BROTHERS HARRIMAN\b|\bPNC FINANCIAL\b|\bFIFTH THIRD\b",
    ),
    (
        "mutual_funds",
        r"\bMUTUAL FUNDS?\b|\bFUNDS (?:INC|LLC|TRUST|MANAGEMENT)\b|\bETFS?\b|\bVANGUARD\b|^FMR\b|\bT\.? ?ROWE\b|"
        r"\bCAPITAL (?:RESEARCH|WORLD|INTERNATIONAL) (?:& MANAGEMENT|INVESTORS|GLOBAL)\b|\bDODGE & COX\b|"
        r"\bFRANKLIN RESOURCES\b|\bINVESCO\b|\bDIMENSIONAL FUND\b|\bJANUS\b|\bMASSACHUSETTS FINANCIAL\b|\bPUTNAM\b|"
        r"\bAMERICAN CENTURY\b|\bOPPENHEIMER ?FUNDS\b|\bDAVIS SELECTED\b|\bTHIRD AVENUE MANAGEMENT\b",
    ),
    ("other", r"\bENDOWMENT\b|\bFOUNDATION\b|\bUNIVERSITY\b|\bCOLLEGE\b"),
    (
        "investment_advisors",
        r"CAPITAL|ADVIS[OE]R|INVEST|ASSET|MANAG|PARTNERS|WEALTH|FINANCIAL|\bFUNDS?\b|\bL\.?L\.?P\b|\bL\.?P\b|SECURITIES|"
        r"\bADV\b|COUNSEL|PORTFOLIO|EQUIT|\bL\.?L\.?C\b",
    ),
)


def read_types(path: str | Path) -> dict[int, str]:
    """Firm type of each manager from a CSV with cik, type (a name of the panel contract, or one that imports know)."""
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    table.columns = [str(name).strip().lower() for name in table.columns]
    missing = [name for name in ("cik", "type") if name not in table]
    if missing:
        raise InputError(f"{path}: column {', '.join(missing)} is missing; it needs cik, type")
    found: dict[int, str] = {}
    for line, (cik, word) in enumerate(zip(table["cik"], table["type"], strict=True), start=2):
        firm_type = TYPE_LABELS.get(word.strip().lower().replace(" ", "_"))
        if not cik.strip().isdigit():
            raise InputError(f"{path}: cik {cik!r} in line {line} is no number; write the SEC's number of the manager")
        if firm_type is None:
            raise InputError(f"{path}: type {word!r} in line {line} is none of {', '.join(FIRM_TYPES)}")
        if found.setdefault(int(cik), firm_type) != firm_type:
            raise InputError(f"{path}: cik {cik} has two types (line {line}); keep one")
    return found


def type_by_name(name: str) -> tuple[str, str]:
    """Firm type and reason of a manager's name; empty where no rule fits.

    >>> type_by_name("IBM Retirement Fund")
    ('pension_funds', "name: 'RETIREMENT FUND'")
    """
    for firm_type, pattern in NAME_RULES:
        if match := re.search(pattern, name.upper()):
            return firm_type, f"name: {match[0]!r}"
    return "", ""


def manager_types(managers: pa.Table, given: dict[int, str]) -> pd.DataFrame:
    """One row per manager, sorted: mgrno, name, type, reason. One type for a manager's whole history.

    The name is that of its last quarter. Where no rule fits the name, a manager with a number of the register of
    advisers (columns crd_number, sec_file_number, where `managers` has them) is an investment advisor, any other other.
    """
    frame = managers.to_pandas().sort_values(["mgrno", "quarter"], kind="stable")
    last = frame.drop_duplicates("mgrno", keep="last").reset_index(drop=True)
    registers = [name for name in ("crd_number", "sec_file_number") if name in frame]
    registered = set(frame.loc[(frame[registers].fillna("") != "").any(axis=1), "mgrno"]) if registers else set()
    types, reasons = [], []
    for mgrno, name in zip(last["mgrno"].tolist(), last["name"].fillna("").tolist(), strict=True):
        firm_type, reason = (given[mgrno], "sec.types") if mgrno in given else type_by_name(name)
        if not firm_type:
            is_adviser = mgrno in registered
            firm_type = FALLBACK if is_adviser else "other"
            reason = "registered as adviser" if is_adviser else "neither name nor registration says more"
        types.append(firm_type)
        reasons.append(reason)
    return pd.DataFrame({"mgrno": last["mgrno"], "name": last["name"], "type": types, "reason": reasons})
