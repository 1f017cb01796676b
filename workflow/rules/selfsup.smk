"""Self-supervised pre-training of skeleton encoders and their distillation (IKEM).

Needs: results/skeletons/<dataset>.h5, of which the training clips are used and no label.
Makes: results/<benchmark>/ikem/pretrain/seed-<n>/{model.pt,settings.json,history.csv}, one encoder per modality, and
the same for its students in results/<benchmark>/ikem/student/seed-<n>/.
"""


rule pretrain_streams:
    """Pre-train one encoder per modality by contrast of two views, then by exchange of knowledge."""
    input:
        skeletons=PLAN.skeletons,
    output:
        model=paths.in_folder(paths.PRETRAIN, "model.pt"),
        settings=paths.in_folder(paths.PRETRAIN, "settings.json"),
        history=paths.in_folder(paths.PRETRAIN, "history.csv"),
    log:
        paths.log(paths.PRETRAIN, "pretrain_streams"),
    benchmark:
        paths.times(paths.PRETRAIN, "pretrain_streams")
    conda:
        "../../environment.yml"
    threads: PLAN.benchmark_threads
    resources:
        gpu=training_gpus,
        processes=PLAN.training_processes,
        mem_mb=job_memory(4000, skeletons=6),
    params:
        settings=PLAN.pretrain_streams_settings,
        upstream=PLAN.prepared_upstream,
    script:
        "../scripts/pretrain_streams.py"


rule distil_student:
    """Distil the encoders of all modalities into fewer."""
    input:
        skeletons=PLAN.skeletons,
        teachers=paths.in_folder(paths.PRETRAIN, "model.pt"),
    output:
        model=paths.in_folder(paths.STUDENT, "model.pt"),
        settings=paths.in_folder(paths.STUDENT, "settings.json"),
        history=paths.in_folder(paths.STUDENT, "history.csv"),
    log:
        paths.log(paths.STUDENT, "distil_student"),
    benchmark:
        paths.times(paths.STUDENT, "distil_student")
    conda:
        "../../environment.yml"
    threads: PLAN.benchmark_threads
    resources:
        gpu=training_gpus,
        processes=PLAN.training_processes,
        mem_mb=job_memory(4000, skeletons=6),
    params:
        settings=PLAN.student_settings,
        upstream=PLAN.student_upstream,
    script:
        "../scripts/distil_student.py"
