"""Kernels compiled for an H100 where there is none."""

import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass, field

import pytest

SCRIPT = """
import importlib, json, pathlib, re, subprocess, sys, tempfile
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

tool = pathlib.Path(triton.__file__).parent / "backends/nvidia/bin/cuobjdump"
found = []
for form in json.load(sys.stdin):
    kernel = getattr(importlib.import_module(form["module"]), form["kernel"])
    places = {name: number for number, name in enumerate(kernel.arg_names)}
    attributes = {(places[name],): [["tt.divisibility", 16]] for name in form["aligned"]}
    signature = {**form["arguments"], **dict.fromkeys(form["constants"], "constexpr")}
    source = ASTSource(fn=kernel, signature=signature, constexprs=form["constants"], attrs=attributes)
    made = triton.compile(source, target=GPUTarget("cuda", form["target"], 32), options=form["options"])
    use = {"shared": made.metadata.shared, "ptx": made.asm["ptx"]}
    if tool.exists():
        with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
            file.write(made.asm["cubin"])
            file.flush()
            text = subprocess.run([tool, "-res-usage", file.name], capture_output=True, text=True).stdout
        use |= {name.lower(): int(value) for name, value in re.findall(r"(REG|STACK|LOCAL):(\\d+)", text)}
    found.append(use)
json.dump(found, sys.stdout)
"""


@dataclass
class Form:
    """One of the forms that a kernel is compiled in.

    Args:
        module, kernel: where it is.
        arguments: their Triton types, in the kernel's order.
        constants: values of what is a constant of it.
        aligned: arguments that are a multiple of 16.
        options: `num_warps` and the like.
        target: compute capability.
    """

    module: str
    kernel: str
    arguments: dict[str, str]
    constants: dict[str, object]
    aligned: list[str] = field(default_factory=list)
    options: dict[str, int] = field(default_factory=dict)
    target: int = 90


def compiled(forms: list[Form]) -> list[dict]:
    """What each form uses: `shared` bytes, `reg`isters, bytes of `stack` and `local` memory; and its `ptx`."""
    pytest.importorskip("triton")
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        input=json.dumps([asdict(form) for form in forms]),
        capture_output=True,
        text=True,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
