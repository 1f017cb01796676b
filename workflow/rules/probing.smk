"""What pre-trained and distilled encoders know of actions, by frozen features.

Needs: results/skeletons/<dataset>.h5, and results/<from>/ikem/{pretrain,student}/seed-<n>/model.pt of the benchmark
itself or of another (selfsup.probe.from).
Makes: results/<benchmark>/ikem/probe/<what>/seed-<n>/{metrics.json,scores.h5} and results/<benchmark>/ikem/result.json
"""


localrules:
    ikem_result,


rule probe_stream:
    """Train linear classifiers on frozen features, and look at their nearest neighbours."""
    input:
        model=PLAN.probed_model,
        skeletons=PLAN.skeletons,
    output:
        scores="results/{benchmark}/ikem/probe/{what}/seed-{seed}/scores.h5",
        metrics="results/{benchmark}/ikem/probe/{what}/seed-{seed}/metrics.json",
    log:
        "results/logs/probe_stream/{benchmark}/{what}/seed-{seed}.log",
    benchmark:
        "results/times/probe_stream/{benchmark}/{what}/seed-{seed}.tsv"
    conda:
        "../../environment.yml"
    threads: PLAN.benchmark_threads
    resources:
        gpu=GPU,
        mem_mb=16000,
    params:
        settings=PLAN.probe_settings,
    script:
        "../scripts/probe_stream.py"


rule ikem_result:
    """Mean and standard deviation over the seeds of everything probed."""
    input:
        unpack(PLAN.probes),
    output:
        "results/{benchmark}/ikem/result.json",
    log:
        "results/logs/ikem_result/{benchmark}.log",
    conda:
        "../../environment.yml"
    params:
        settings=PLAN.ikem_settings,
    script:
        "../scripts/ikem_result.py"
