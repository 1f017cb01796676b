"""The demo's small networks, trained on drawn pictures of other subjects than the demo's.

Run by hand (`snakemake --cores 2 train_demo_weights`); what they write to resources/demo is committed.
Needs: nothing. Makes: resources/demo/{detector.safetensors,vlm/,cnn.safetensors}
"""


rule train_demo_weights:
    """All three of the demo's networks."""
    input:
        "results/demo_weights/detector.json",
        "results/demo_weights/vlm.json",
        "results/demo_weights/cnn.json",


rule train_demo_detector:
    """A YOLOv5n that finds drawn people (ultralytics, AGPL-3.0)."""
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
        mem_mb=6000,
    params:
        settings=CONFIG.values["demo_weights"],
    script:
        "../scripts/train_demo_detector.py"


rule train_demo_vlm:
    """A small BLIP that answers questions about drawn pictures."""
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
        mem_mb=6000,
    params:
        settings=CONFIG.values["demo_weights"],
    script:
        "../scripts/train_demo_vlm.py"


rule train_demo_cnn:
    """A ShuffleNet that names the object in the hand."""
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
        mem_mb=6000,
    params:
        settings=CONFIG.values["demo_weights"],
    script:
        "../scripts/train_demo_cnn.py"
