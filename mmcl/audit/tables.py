"""An audit as tables to print, and lines in place of empty tables."""

from rich.table import Table

from mmcl.audit.finding import HINTS, KINDS
from mmcl.audit.run import Report, counts


def tables(report: Report, rows: int) -> list[Table | str]:
    """Summary by kind, `rows` examples of each kind, and the copies across training and test.

    Args:
        report: of an audit.
        rows: examples of each kind, and rows of the last table.
    """
    summary = Table(title=f"{report.clips} clips")
    for column in ("found", "findings", "clips", "what it is"):
        summary.add_column(column, justify="right" if column in ("findings", "clips") else "left")
    for kind, (number, clips) in counts(report).items():
        meaning = KINDS[kind] + (" (a hint)" if kind in HINTS else "")
        summary.add_row(kind, str(number), str(clips), meaning)
    made: list[Table | str] = [summary]
    if rows and report.findings:
        made.append(_examples(report, rows))
    if report.protocol:
        made.append(_across(report, rows))
    return made


def _examples(report: Report, rows: int) -> Table:
    table = Table(title=f"At most {rows} of each kind")
    for column in ("found", "clips", "detail"):
        table.add_column(column, overflow="fold")
    seen: dict[str, int] = {}
    for finding in report.findings:
        seen[finding.kind] = seen.get(finding.kind, 0) + 1
        if seen[finding.kind] <= rows:
            more = f" and {len(finding.clips) - 3} more" if len(finding.clips) > 3 else ""
            table.add_row(finding.kind, ", ".join(finding.clips[:3]) + more, finding.detail)
    return table


def _across(report: Report, rows: int) -> Table | str:
    pairs = report.train_test_duplicates
    tested = len({pair["test"] for pair in pairs})
    share = 100 * tested / max(1, report.test_clips)
    copied = f"{tested} of {report.test_clips} test clips ({share:.1f} %) are copies of training clips"
    title = f"{report.protocol}: {copied}"
    if not pairs:
        return title
    table = Table(title=title, min_width=len(title))
    for column in ("test", "train", "how"):
        table.add_column(column)
    for pair in pairs[:rows]:
        table.add_row(pair["test"], pair["train"], pair["kind"])
    if len(pairs) > rows:
        table.add_row("…", f"{len(pairs) - rows} more", "")
    return table
