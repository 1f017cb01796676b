"""What pyproject.toml cannot say: a built package carries the workflow and what it reads, as mmcl/_project.

In the repository these lie at the top level, where a user of a clone looks for them.
"""

from collections.abc import Iterator
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

CARRIED = ("Snakefile", "config.yaml", "environment.yml", "profiles", "resources", "workflow")
"""Files and folders, also listed in MANIFEST.in for the source distribution."""


class BuildWithProject(build_py):
    """Copies them, unless the package is installed as an editable one, which finds them where they lie."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            for source, target in self._carried():
                Path(target).parent.mkdir(parents=True, exist_ok=True)
                self.copy_file(source, target)

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        return [*super().get_outputs(include_bytecode), *(target for _, target in self._carried())]

    def _carried(self) -> Iterator[tuple[str, str]]:
        """Source and target of every file."""
        for name in CARRIED:
            for path in (Path(name), *sorted(Path(name).rglob("*"))):
                if path.is_file() and "__pycache__" not in path.parts:
                    yield str(path), str(Path(self.build_lib, "mmcl", "_project", path))


setup(cmdclass={"build_py": BuildWithProject})
