"""The rows of `benchmarks/gpu.py`: what each measures, and what is to be reached."""

from typing import NamedTuple


class Row(NamedTuple):
    """A row of the table.

    Attributes:
        function: `module:name` in this folder; it takes a `Measurement` and the arguments.
        about: what is measured.
        goal: how many times the reference way, None where nothing is to be reached.
        limit: seconds on a GPU.
        arguments: of the function, by name.
    """

    function: str
    about: str
    goal: float | None
    limit: float
    arguments: dict[str, str]


def _step(backbone: str, precision: str) -> dict[str, str]:
    return {"backbone": backbone, "precision": precision}


NTU = "200 clips of NTU's shape"

ROWS = {
    "ctrgcn-bf16": Row(
        "training:ntu", f"CTR-GCN training step, {NTU}, bf16", 5, 100, _step("ctrgcn", "bf16")
    ),
    "ctrgcn-tf32": Row("training:ntu", f"CTR-GCN training step, {NTU}, tf32", 2, 60, _step("ctrgcn", "tf32")),
    "ucla": Row("training:ucla", "CTR-GCN training step, 16 clips of NW-UCLA's shape, tf32", 10, 45, {}),
    "blip": Row("blip:answers", "BLIP answers, 480 px, bf16", 60, 100, {}),
    "inference": Row("inference:clips", "CTR-GCN inference, 256 clips, bf16", 4, 45, {"people": "both"}),
    "inference-single": Row(
        "inference:clips", "CTR-GCN inference, 256 clips of one person, bf16", 7, 45, {"people": "one"}
    ),
    "ikem": Row("ikem:step", "IKEM pre-training step, six modalities, batch 128, memory 32768", 4, 60, {}),
    "fam": Row("fam:step", "CTR-GCN with FAM and Inception trained along, 200 clips, bf16", 3, 80, {}),
    "stgcn16": Row("training:ntu", f"ST-GCN 16 training step, {NTU}, bf16", 3, 45, _step("stgcn16", "bf16")),
    "infogcn": Row("training:ntu", f"InfoGCN training step, {NTU}, bf16", 3, 60, _step("infogcn", "bf16")),
    "hdgcn": Row("training:ntu", f"HD-GCN training step, {NTU}, bf16", 3, 60, _step("hdgcn", "bf16")),
    "ctrs": Row("training:ntu", f"CTRS-GCN training step, {NTU}, bf16", 3, 45, _step("ctrs", "bf16")),
    "stgcn": Row("training:ntu", f"ST-GCN training step, {NTU}, bf16", 3, 45, _step("stgcn", "bf16")),
    "kernels": Row("kernels:every", "every Triton kernel against its plain form", None, 60, {}),
    "members": Row("small:members", "four NW-UCLA steps at once against one after another", None, 30, {}),
    "order": Row(
        "small:order", "1×1 product and batch norm, channel-major against channels-last", None, 20, {}
    ),
    "ctrgcn-fp32": Row(
        "training:ntu", f"CTR-GCN training step, {NTU}, fp32", None, 60, _step("ctrgcn", "fp32")
    ),
}
"""In the order in which they are measured: what matters most comes first, should the time not suffice."""
