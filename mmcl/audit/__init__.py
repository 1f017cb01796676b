"""`mmcl audit`: errors in a data set, above all test clips that are copies of training clips.

    source = open_folder(RecordingsSettings(reader="nw_ucla", skeletons="all_sqe"))
    report = audit(source, part(source, "nw_ucla", None), "nw_ucla")

The detectors are one file each: `damage`, `sides`, `copies`, `labels`, `videos`, `names`. docs/audit.md describes what
each of them detects, and its error rates.
"""

from mmcl.audit.finding import HINTS, KINDS, Finding
from mmcl.audit.run import TOLERANCE, Report, audit, write_exclusion
from mmcl.audit.source import Source, open_folder, open_store, part
from mmcl.audit.tables import tables

__all__ = [
    "HINTS",
    "KINDS",
    "TOLERANCE",
    "Finding",
    "Report",
    "Source",
    "audit",
    "open_folder",
    "open_store",
    "part",
    "tables",
    "write_exclusion",
]
