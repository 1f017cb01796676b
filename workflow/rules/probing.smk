"""Action recognition on the frozen features of pre-trained and distilled encoders.

Needs: results/skeletons/<dataset>.h5, and results/<from>/ikem/{pretrain,student}/seed-<n>/model.pt of the benchmark
itself or of another (selfsup.probe.from).
Makes: results/<benchmark>/ikem/probe/<what>/seed-<n>/{metrics.json,scores.h5} and results/<benchmark>/ikem/result.json
"""


localrules:
    ikem_result,


rule probe_stream:
    """Train linear classifiers on frozen features, and evaluate their nearest neighbours."""
    input:
        model=PLAN.probed_model,
        skeletons=PLAN.skeletons,
    output:
        scores=paths.in_folder(paths.PROBE, "scores.h5"),
        metrics=paths.in_folder(paths.PROBE, "metrics.json"),
    log:
        paths.log(paths.PROBE, "probe_stream"),
    benchmark:
        paths.times(paths.PROBE, "probe_stream")
    conda:
        "../../environment.yml"
    threads: PLAN.benchmark_threads
    resources:
        gpu=gpu,
        mem_mb=job_memory(4000, skeletons=4),
    params:
        settings=PLAN.probe_settings,
        upstream=PLAN.probe_upstream,
    script:
        "../scripts/probe_stream.py"


rule ikem_result:
    """Mean and standard deviation over the seeds of everything probed."""
    input:
        unpack(PLAN.probes),
    output:
        paths.IKEM_RESULT,
    log:
        paths.log(paths.IKEM_RESULT, "ikem_result"),
    conda:
        "../../environment.yml"
    params:
        settings=PLAN.ikem_settings,
        upstream=PLAN.ikem_upstream,
    script:
        "../scripts/ikem_result.py"
