# What a run shows: how far it is, why a job runs again, and what failed jobs said.
from snakemake.logging import logger
from snakemake.persistence import ParamsChange

from workflow_scripts.plumbing.errors import last_message
from workflow_scripts.plumbing.param_changes import param_changes
from workflow_scripts.plumbing.progress import ProgressHandler, with_few_files

# The reason of a job, in a plan too. Snakemake's own words are both configurations in full, where one setting differs.
ParamsChange.__str__ = lambda change: param_changes(change.only_old, change.only_new)


def show_progress():
    """Put lines for people in the place of Snakemake's, unless these are asked for: VERBOSE=1, or one of its options.
    Returns whether it does. A plan keeps them, with a few files of each job.

    Its log in .snakemake/log has them as before. What jobs print is in their logs, and then no longer on the screen.
    """
    asked = workflow.output_settings
    plain = [one for one in logger.handlers if one.name == "DefaultStreamHandler"]
    is_verbose = os.environ.get("VERBOSE", "0") not in ("", "0") or asked.verbose or asked.printshellcmds or asked.quiet
    if not workflow.is_main_process or is_verbose or not plain:
        return False
    if asked.dryrun:
        plain[0].addFilter(with_few_files)
        return False
    logger.removeHandler(plain[0])
    logger.addHandler(ProgressHandler(plain[0].stream))
    return True


SHOWS_PROGRESS = show_progress()


def end_progress():
    """Whatever is printed at the end of a run stands below its last line."""
    for handler in logger.handlers:
        if isinstance(handler, ProgressHandler):
            handler.finish()


def tell_failures():
    """Show once and last what each failed job said: the end of its log, from the error on."""
    end_progress()
    for job in sorted(workflow.scheduler.failed, key=lambda job: (job.rule.name, str(job.wildcards))):
        log = Path(job.log[0])
        text = last_message(log.read_text(encoding="utf-8", errors="replace")) if log.is_file() else ""
        what = " ".join([job.rule.name, *map(str, job.wildcards)])
        print(f"\n{what} failed ({log}):\n{text or 'it left no message; it was probably killed'}", file=sys.stderr)
