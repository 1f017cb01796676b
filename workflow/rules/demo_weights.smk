"""The demo's small networks, trained on drawn pictures of other subjects than the demo's.

Run by hand: `snakemake --cores 2 train_demo_weights`. What the rules write to resources/demo is committed.
Needs: nothing.
Makes: resources/demo/{detector,cnn,pose}.safetensors and vlm/ in the project's folder, and beside every other result
their settings and figures, results/demo_weights/{detector,vlm,cnn,pose}.json
"""


rule train_demo_weights:
    """All four of the demo's networks."""
    input:
        expand("results/demo_weights/{network}.json", network=["detector", "vlm", "cnn", "pose"]),


rule draw_training_pictures:
    """Clips of subjects that the demo does not have, as pictures of five crops and as frames."""
    output:
        temp("results/demo_weights/{part}.h5"),
    log:
        "results/logs/draw_training_pictures/{part}.log",
    benchmark:
        "results/times/draw_training_pictures/{part}.tsv"
    wildcard_constraints:
        part="train|held_out",
    conda:
        "../../environment.yml"
    threads: 2
    resources:
        mem_mb=3000,
    params:
        settings=CONFIG.values["demo_weights"],
    script:
        "../scripts/draw_training_pictures.py"


rule train_demo_detector:
    """A YOLOv5n that finds drawn people (ultralytics, AGPL-3.0)."""
    input:
        pictures="results/demo_weights/train.h5",
        held_out="results/demo_weights/held_out.h5",
    output:
        "results/demo_weights/detector.json",
    log:
        "results/logs/train_demo_detector.log",
    benchmark:
        "results/times/train_demo_detector.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        gpu=GPU,
        mem_mb=8000,
    params:
        settings=CONFIG.values["demo_weights"],
    script:
        "../scripts/train_demo_detector.py"


rule train_demo_vlm:
    """A small BLIP that answers questions about drawn pictures."""
    input:
        pictures="results/demo_weights/train.h5",
        held_out="results/demo_weights/held_out.h5",
    output:
        "results/demo_weights/vlm.json",
    log:
        "results/logs/train_demo_vlm.log",
    benchmark:
        "results/times/train_demo_vlm.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        gpu=GPU,
        mem_mb=8000,
    params:
        settings=CONFIG.values["demo_weights"],
    script:
        "../scripts/train_demo_vlm.py"


rule train_demo_cnn:
    """A ShuffleNet that names the object in the hand."""
    input:
        pictures="results/demo_weights/train.h5",
        held_out="results/demo_weights/held_out.h5",
    output:
        "results/demo_weights/cnn.json",
    log:
        "results/logs/train_demo_cnn.log",
    benchmark:
        "results/times/train_demo_cnn.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        gpu=GPU,
        mem_mb=8000,
    params:
        settings=CONFIG.values["demo_weights"],
    script:
        "../scripts/train_demo_cnn.py"


rule train_demo_pose:
    """The detector with a head that finds drawn people's joints (ultralytics, AGPL-3.0)."""
    input:
        # the detector that it starts from lies beside its own weights
        "results/demo_weights/detector.json",
        pictures="results/demo_weights/train.h5",
        held_out="results/demo_weights/held_out.h5",
    output:
        "results/demo_weights/pose.json",
    log:
        "results/logs/train_demo_pose.log",
    benchmark:
        "results/times/train_demo_pose.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        gpu=GPU,
        mem_mb=8000,
    params:
        settings=CONFIG.values["demo_weights"],
    script:
        "../scripts/train_demo_pose.py"
