"""From raw recordings to an ensemble's accuracy. `snakemake --list` names the rules, README the targets."""

from snakemake.utils import min_version

min_version("9.19")


include: "workflow/rules/start.smk"


# where a configuration of one's own stands alone (--directory and --configfile), it does so without the demo's
if Path("config.yaml").exists():

    configfile: str(DEMO)


configfile: "config.yaml"


report: "workflow/report/workflow.rst"


# one GPU job at a time on this machine, as many as the scheduler grants on a cluster
resource_scopes:
    gpu="local",


include: "workflow/rules/common.smk"
include: "workflow/rules/recordings.smk"
include: "workflow/rules/poses.smk"
include: "workflow/rules/pictures.smk"
include: "workflow/rules/answers.smk"
include: "workflow/rules/training.smk"
include: "workflow/rules/selfsup.smk"
include: "workflow/rules/probing.smk"
include: "workflow/rules/evaluation.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/demo_weights.smk"
include: "workflow/rules/watching.smk"


onstart:
    hold_outputs()
    find_weights()
    discard(file for job in workflow.dag.jobs if not workflow.dag.needrun(job) for file in job.output)
    # the first run of a working directory: records belong to the results from the beginning
    keep_records(Path("results"), Path(".snakemake/metadata"))
    begin_watching()


onsuccess:
    discard_of_finished()
    say_where()


onerror:
    discard_of_finished()
    say_what_failed()


rule all:
    """The whole demo: every stage, the ensemble, zero-shot transfer, and pre-training, distillation and probes."""
    default_target: True
    input:
        "results/demo_xsub/ensemble.json",
        "results/demo_xsub/zero-shot/demo_target.json",
        "results/demo_ikem/ikem/result.json",
