"""Self-supervised pre-training of skeleton encoders and their distillation (IKEM).

Needs: results/skeletons/<dataset>.h5, of which the training clips are used and no label.
Makes: results/<benchmark>/ikem/pretrain/seed-<n>/{model.pt,settings.json,history.csv}, an encoder a modality, and
the same for its students in results/<benchmark>/ikem/student/seed-<n>/.
"""


rule pretrain_streams:
    """Pre-train an encoder a modality by contrast of two views, then by exchange of knowledge."""
    input:
        skeletons=PLAN.skeletons,
    output:
        model="results/{benchmark}/ikem/pretrain/seed-{seed}/model.pt",
        settings="results/{benchmark}/ikem/pretrain/seed-{seed}/settings.json",
        history="results/{benchmark}/ikem/pretrain/seed-{seed}/history.csv",
    log:
        "results/logs/pretrain_streams/{benchmark}/seed-{seed}.log",
    benchmark:
        "results/times/pretrain_streams/{benchmark}/seed-{seed}.tsv"
    conda:
        "../../environment.yml"
    threads: PLAN.benchmark_threads
    resources:
        gpu=PLAN.training_gpus,
        processes=PLAN.training_processes,
        mem_mb=16000,
    params:
        settings=PLAN.pretrain_streams_settings,
    script:
        "../scripts/pretrain_streams.py"


rule distil_student:
    """Distil the encoders of all modalities into fewer."""
    input:
        skeletons=PLAN.skeletons,
        teachers="results/{benchmark}/ikem/pretrain/seed-{seed}/model.pt",
    output:
        model="results/{benchmark}/ikem/student/seed-{seed}/model.pt",
        settings="results/{benchmark}/ikem/student/seed-{seed}/settings.json",
        history="results/{benchmark}/ikem/student/seed-{seed}/history.csv",
    log:
        "results/logs/distil_student/{benchmark}/seed-{seed}.log",
    benchmark:
        "results/times/distil_student/{benchmark}/seed-{seed}.tsv"
    conda:
        "../../environment.yml"
    threads: PLAN.benchmark_threads
    resources:
        gpu=PLAN.training_gpus,
        processes=PLAN.training_processes,
        mem_mb=16000,
    params:
        settings=PLAN.student_settings,
    script:
        "../scripts/distil_student.py"
