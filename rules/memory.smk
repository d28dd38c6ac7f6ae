# What Snakemake remembers of outputs: of some of them nothing, and of those that are taken from another run.
from workflow_scripts.plumbing.base_run import Memory, let_go, take


def mark_unrecorded_outputs(memory):
    """Make outputs again that were made here, but of which Snakemake has no record.

    Ctrl-C on a cluster can come between the end of a job and Snakemake's next look at it. The outputs are then there, and
    nothing says with which settings they were made, so that a changed setting would go unnoticed.
    """
    patterns = [str(output) for rule in workflow.rules for output in rule.output]
    for path in made_since_first_start(CONFIG.run, patterns):
        if not Path(memory._record_path(memory._metadata_path, path)).is_file():
            memory._mark_incomplete(path, None)


def take_from_base_run(memory):
    """Link what the base run has made. For a plan, too: it shows what is left to do."""
    if not CONFIG.base_run or not Path(f"results/{CONFIG.base_run}/config.yaml").is_file():
        return
    try:
        check_base_run(CONFIG)
    except InputError as error:
        fail(f"config: {error}")
    places = (memory._metadata_path, memory._incomplete_path)
    record, unfinished = (lambda path, place=place: Path(memory._record_path(place, path)) for place in places)
    if taken := take(CONFIG.run, CONFIG.base_run, Memory(record, unfinished)):
        print(f"base_run: {taken} outputs of results/{CONFIG.base_run} taken into {RESULTS}", file=sys.stderr)


def recall_outputs():
    """What there is already, and how far it can be trusted; before the jobs are planned."""
    memory = FilePersistence(nolock=True)
    take_from_base_run(memory)
    mark_unrecorded_outputs(memory)


def let_base_run_go():
    """Delete what was taken and is not valid here, so that it stands nowhere under this run's name."""
    if CONFIG.base_run:
        let_go(CONFIG.run, CONFIG.base_run, [path for job in workflow.dag.needrun_jobs() for path in job.output])
