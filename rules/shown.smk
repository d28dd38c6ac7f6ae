# What a run shows: why a job runs again, and what failed jobs said.
from snakemake.persistence import ParamsChange

from workflow_scripts.plumbing.errors import last_message
from workflow_scripts.plumbing.param_changes import param_changes

# The reason of a job, in a plan too. Snakemake's own words are both configurations in full, where one setting differs.
ParamsChange.__str__ = lambda change: param_changes(change.only_old, change.only_new)


def tell_failures():
    """Show once and last what each failed job said: the end of its log, from the error on."""
    for job in sorted(workflow.scheduler.failed, key=lambda job: (job.rule.name, str(job.wildcards))):
        log = Path(job.log[0])
        text = last_message(log.read_text(encoding="utf-8", errors="replace")) if log.is_file() else ""
        what = " ".join([job.rule.name, *map(str, job.wildcards)])
        print(f"\n{what} failed ({log}):\n{text or 'it left no message; it was probably killed'}", file=sys.stderr)
