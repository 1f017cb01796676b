"""Recordings and skeletons.

Needs: a data set's folder (or, for the demo, nothing).
Makes: results/demo/raw/<dataset>/, results/index/<dataset>.tsv, results/skeletons/<dataset>.h5
"""


rule draw_demo:
    """Draw a demo data set: videos and skeletons in a real data set's own file form."""
    output:
        "results/demo/raw/{dataset}/drawn.json",
    log:
        "results/logs/draw_demo/{dataset}.log",
    benchmark:
        "results/times/draw_demo/{dataset}.tsv"
    conda:
        "../../environment.yml"
    threads: 2
    resources:
        mem_mb=2000,
    params:
        settings=PLAN.drawn_settings,
    script:
        "../scripts/draw_demo.py"


rule index_clips:
    """List a data set's clips: name, class, subject, camera, setup, video, and why a clip is left out."""
    input:
        PLAN.recordings,
    output:
        "results/index/{dataset}.tsv",
    log:
        "results/logs/index_clips/{dataset}.log",
    conda:
        "../../environment.yml"
    params:
        settings=PLAN.index_settings,
    script:
        "../scripts/index_clips.py"


rule prepare_skeletons:
    """Read and clean every skeleton of a data set into one store."""
    input:
        index="results/index/{dataset}.tsv",
        poses=PLAN.poses,
        layout=PLAN.layout_file,
    output:
        "results/skeletons/{dataset}.h5",
    log:
        "results/logs/prepare_skeletons/{dataset}.log",
    benchmark:
        "results/times/prepare_skeletons/{dataset}.tsv"
    conda:
        "../../environment.yml"
    threads: PLAN.dataset_threads
    resources:
        mem_mb=4000,
    params:
        settings=PLAN.prepare_settings,
        skeletons=PLAN.folder("skeletons"),
        videos=PLAN.folder("videos"),
    script:
        "../scripts/prepare_skeletons.py"
