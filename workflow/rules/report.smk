"""The report of a benchmark: pictures, what recognising a clip costs, and one page with everything.

Needs: results/<benchmark>/ensemble.json or results/<benchmark>/ikem/result.json, and what else there is of a finished
benchmark; nothing that takes long is made for it.
Makes: results/<benchmark>/report/<benchmark>-report.{html,md,json}, cost.json, accuracy.png and other pictures, crops.jpg,
gallery.jpg. `snakemake --report FILE results/<benchmark>/report/<benchmark>-report.html` collects them with their captions.
"""


# local for another reason than their size, too: what they need is what there was when the run was planned, and a cluster
# job plans anew
localrules:
    draw_plot,
    draw_crops,
    draw_gallery,
    write_report,


rule draw_plot:
    """Draw one part of a report."""
    input:
        unpack(PLAN.plotted),
    output:
        report(
            paths.PLOT,
            caption="../report/plot.rst",
            category="{benchmark}",
            subcategory="results",
            labels={"figure": "{part}"},
        ),
    log:
        paths.log(paths.PLOT, "draw_plot"),
    wildcard_constraints:
        part="accuracy|confusion|classes|gain|training|transfer|probes|pretraining",
    conda:
        "../../environment.yml"
    resources:
        mem_mb=2000,
    params:
        settings=PLAN.report_settings,
        upstream=PLAN.plot_upstream,
    script:
        "../scripts/draw_plot.py"


rule draw_crops:
    """Draw a contact sheet of person crops."""
    input:
        crops=PLAN.pictured("crops"),
        ensemble=paths.ENSEMBLE,
    output:
        report(
            paths.CROP_SHEET,
            caption="../report/crops.rst",
            category="{benchmark}",
            subcategory="pictures and answers",
            labels={"figure": "person crops"},
        ),
    log:
        paths.log(paths.CROP_SHEET, "draw_crops"),
    conda:
        "../../environment.yml"
    resources:
        mem_mb=2000,
    params:
        settings=PLAN.report_settings,
        upstream=PLAN.sheet_upstream,
    script:
        "../scripts/draw_sheet.py"


rule draw_gallery:
    """Draw a contact sheet of pictures with their classes and answers."""
    input:
        montages=PLAN.pictured("montages"),
        answers=PLAN.pictured("answers"),
        ensemble=paths.ENSEMBLE,
    output:
        report(
            paths.GALLERY,
            caption="../report/gallery.rst",
            category="{benchmark}",
            subcategory="pictures and answers",
            labels={"figure": "questions and answers"},
        ),
    log:
        paths.log(paths.GALLERY, "draw_gallery"),
    conda:
        "../../environment.yml"
    resources:
        mem_mb=job_memory(2000, answers=2),
    params:
        settings=PLAN.report_settings,
        upstream=PLAN.sheet_upstream,
    script:
        "../scripts/draw_sheet.py"


rule measure_cost:
    """Count and time what recognising one clip takes."""
    input:
        ensemble=paths.ENSEMBLE,
        models=PLAN.member_files("model.pt", "first"),
    output:
        paths.COST,
    log:
        paths.log(paths.COST, "measure_cost"),
    benchmark:
        paths.times(paths.COST, "measure_cost")
    conda:
        "../../environment.yml"
    resources:
        mem_mb=job_memory(3000),
    params:
        settings=PLAN.report_settings,
        upstream=PLAN.sheet_upstream,
    script:
        "../scripts/measure_cost.py"


rule write_report:
    """Write everything to one page, and its tables and numbers beside it."""
    input:
        unpack(PLAN.reported),
        plots=PLAN.plots,
        sheets=PLAN.sheets,
        cost=PLAN.cost,
    output:
        page=report(
            paths.REPORT_PAGE,
            caption="../report/page.rst",
            category="{benchmark}",
            subcategory="the whole report",
            labels={"figure": "one page"},
        ),
        markdown=paths.REPORT_PAGE.replace(".html", ".md"),
        json=paths.REPORT_PAGE.replace(".html", ".json"),
    log:
        paths.log(paths.REPORT_PAGE, "write_report"),
    conda:
        "../../environment.yml"
    resources:
        mem_mb=2000,
    params:
        settings=PLAN.report_settings,
        upstream=PLAN.report_upstream,
    script:
        "../scripts/write_report.py"
