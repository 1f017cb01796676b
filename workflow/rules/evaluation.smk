"""The ensemble, k-fold cross-validation, and zero-shot transfer to other data sets.

Needs: scores.h5 and metrics.json of every member; for zero-shot the first seed's models, the target's skeletons
and, where FRM is on and the target has videos, its answers.
Makes: results/<benchmark>/ensemble.json, results/<benchmark>/folds.json, folds.csv and folds/<fold>/ensemble.json,
results/<benchmark>/zero-shot/<target>.json
"""


localrules:
    ensemble,
    fold_ensemble,
    folds,


rule ensemble:
    """Add the members' scores and write the benchmark's result."""
    input:
        scores=PLAN.member_files("scores.h5", "seeds"),
        metrics=PLAN.member_files("metrics.json", "first"),
        fit=PLAN.member_files("scores.h5", "fit"),
    output:
        paths.ENSEMBLE,
    log:
        paths.log(paths.ENSEMBLE, "ensemble"),
    conda:
        "../../environment.yml"
    params:
        settings=PLAN.ensemble_settings,
        upstream=PLAN.ensemble_upstream,
    script:
        "../scripts/ensemble.py"


use rule ensemble as fold_ensemble with:
    output:
        paths.FOLD_ENSEMBLE,
    log:
        paths.log(paths.FOLD_ENSEMBLE, "fold_ensemble"),


rule folds:
    """Mean and interval over all folds of the benchmark's protocol."""
    input:
        ensembles=PLAN.fold_ensembles,
    output:
        result=paths.FOLDS,
        table=paths.FOLDS_TABLE,
    log:
        paths.log(paths.FOLDS, "folds"),
    conda:
        "../../environment.yml"
    params:
        settings=PLAN.folds_settings,
        upstream=PLAN.folds_upstream,
    script:
        "../scripts/folds.py"


rule zero_shot:
    """Evaluate the trained models as they are on another data set's clips."""
    input:
        models=PLAN.member_files("model.pt", "first"),
        ensemble=paths.ENSEMBLE,
        skeletons=PLAN.target_skeletons,
        answers=PLAN.target_answers,
    output:
        paths.ZERO_SHOT,
    log:
        paths.log(paths.ZERO_SHOT, "zero_shot"),
    benchmark:
        paths.times(paths.ZERO_SHOT, "zero_shot")
    conda:
        "../../environment.yml"
    threads: PLAN.benchmark_threads
    resources:
        gpu=gpu,
        mem_mb=job_memory(4000, skeletons=4, answers=PLAN.answer_memory),
    params:
        settings=PLAN.zero_shot_settings,
        upstream=PLAN.zero_shot_upstream,
    script:
        "../scripts/zero_shot.py"
