"""What is shown of a run: a line for all jobs on a terminal, and where everything lies at its end."""

import sys

from mmcl.watch import ending, line
from mmcl.watch.jobs import Jobs
from snakemake.logging import logger

WATCHED = {}


def begin_watching():
    """Count the run's jobs from here on, and show the line where there is a terminal."""
    planned = list(workflow.dag.needrun_jobs())
    names = [job.rule.name for job in planned]
    measured = {job.rule.name for job in planned if job.benchmark}
    jobs = Jobs({name: names.count(name) for name in set(names)}, measured)
    logger.addHandler(jobs)
    quiet = {str(one.name).lower() for one in workflow.output_settings.quiet or ()}
    WATCHED.update(jobs=jobs, line=line.show(jobs, logger, quiet))


def end_watching():
    """Remove the line; returns the jobs, None if the run was not watched."""
    if shown := WATCHED.pop("line", None):
        shown.close()
    return WATCHED.pop("jobs", None)


def say_where():
    """At the end of a run: where its results lie."""
    if jobs := end_watching():
        targets = set(workflow.dag.targetfiles)
        for job in workflow.dag.targetjobs:
            targets.update(job.output or job.input)
        logger.info(ending.finished(jobs, targets, CONFIG.benchmarks))


def say_what_failed():
    """At the end of a run that failed: what failed, and how to go on."""
    if jobs := end_watching():
        logger.error(ending.failed(jobs, sys.argv[1:]))
