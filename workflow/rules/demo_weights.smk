"""The demo's small networks, trained on drawn pictures of other subjects than the demo's.

Run by hand: `snakemake --cores 2 train_demo_weights`. What the rules write to resources/demo is committed.
Needs: nothing.
Makes: resources/demo/{detector,cnn,pose}.safetensors and vlm/ in the project's folder, and beside every other result
their settings and figures, results/demo_weights/{detector,vlm,cnn,pose}.json
"""


rule train_demo_weights:
    """All four of the demo's networks."""
    input:
        expand(paths.DEMO_NETWORK, network=["detector", "vlm", "cnn", "pose"]),


rule draw_training_pictures:
    """Clips of subjects that the demo does not have, as pictures of five crops and as frames."""
    output:
        temp(paths.DEMO_PICTURES),
    log:
        paths.log(paths.DEMO_PICTURES, "draw_training_pictures"),
    benchmark:
        paths.times(paths.DEMO_PICTURES, "draw_training_pictures")
    wildcard_constraints:
        part="train|held_out",
    conda:
        "../../environment.yml"
    threads: 2
    resources:
        mem_mb=job_memory(3000),
    params:
        settings=CONFIG.demo_weights.dump(),
    script:
        "../scripts/draw_training_pictures.py"


rule train_demo_network:
    """Train one of them: a YOLOv5n and its pose head (ultralytics, AGPL-3.0), a small BLIP, a ShuffleNet."""
    input:
        first=PLAN.demo_network_before,
        pictures=paths.at(paths.DEMO_PICTURES, part="train"),
        held_out=paths.at(paths.DEMO_PICTURES, part="held_out"),
    output:
        paths.DEMO_NETWORK,
    log:
        paths.log(paths.DEMO_NETWORK, "train_demo_network"),
    benchmark:
        paths.times(paths.DEMO_NETWORK, "train_demo_network")
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        gpu=gpu,
        mem_mb=job_memory(6000),
    params:
        settings=CONFIG.demo_weights.dump(),
    script:
        "../scripts/train_demo_network.py"
