"""Recordings and skeletons.

Needs: a data set's folder (or, for the demo, nothing).
Makes: results/demo/raw/<dataset>/, results/index/<dataset>.tsv, results/skeletons/<dataset>.h5
"""


rule draw_demo:
    """Draw a demo data set: videos and skeletons in a real data set's own file form."""
    output:
        paths.DRAWN,
    log:
        paths.log(paths.RAW, "draw_demo"),
    benchmark:
        paths.times(paths.RAW, "draw_demo")
    conda:
        "../../environment.yml"
    threads: 2
    resources:
        mem_mb=job_memory(1000, of_thread=500),
    params:
        settings=PLAN.drawn_settings,
    script:
        "../scripts/draw_demo.py"


rule index_clips:
    """List a data set's clips: name, class, subject, camera, setup, video, and why a clip is left out."""
    input:
        PLAN.recordings,
    output:
        paths.INDEX,
    log:
        paths.log(paths.INDEX, "index_clips"),
    benchmark:
        paths.times(paths.INDEX, "index_clips")
    conda:
        "../../environment.yml"
    resources:
        mem_mb=job_memory(2000),
    params:
        settings=PLAN.index_settings,
        upstream=PLAN.index_upstream,
        stamp=PLAN.stamp,
        skeletons=PLAN.folder("skeletons"),
        videos=PLAN.folder("videos"),
    script:
        "../scripts/index_clips.py"


rule prepare_skeletons:
    """Read and clean every skeleton of a data set into one store."""
    input:
        index=paths.INDEX,
        poses=PLAN.poses,
        layout=PLAN.layout_file,
    output:
        paths.SKELETONS,
    log:
        paths.log(paths.SKELETONS, "prepare_skeletons"),
    benchmark:
        paths.times(paths.SKELETONS, "prepare_skeletons")
    conda:
        "../../environment.yml"
    threads: PLAN.dataset_threads
    resources:
        mem_mb=job_memory(1000, of_thread=300),
    params:
        settings=PLAN.prepare_settings,
        upstream=PLAN.prepare_upstream,
        skeletons=PLAN.folder("skeletons"),
        videos=PLAN.folder("videos"),
    script:
        "../scripts/prepare_skeletons.py"
