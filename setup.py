"""Puts the examples into a wheel; all else about the distribution is in pyproject.toml."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithExamples(build_py):
    """They lie at the top of the source tree, where people look for them, and inside the package once it is built."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            target = Path(self.build_lib) / "assay_protocol" / "examples"
            shutil.copytree(Path(__file__).parent / "examples", target, dirs_exist_ok=True)


setup(cmdclass={"build_py": BuildWithExamples})
