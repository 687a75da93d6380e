"""Run ape, which lives in an environment of its own in the source tree, to create the contracts on a public network."""

import fcntl
import os
import subprocess
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

from assay_core.chain.checkout import source_tree
from assay_core.protocol.errors import Stop
from assay_core.protocol.web import node_urls, public_url

APE_VARIABLE = "ASSAY_APE"


def run_ape(arguments: Sequence[str], rpc_url: str, password: str, timeout_s: float) -> None:
    """`ape run deploy`, which takes the password through a pipe. Raises Stop: no ape, no source tree, or it fails."""
    root = source_tree()
    if root is None:
        raise Stop("a public network is deployed to from Assay's source tree: clone it, and run `make setup` there")
    ape = Path(os.environ.get(APE_VARIABLE) or root / ".venv-ape" / "bin" / "ape")
    if not ape.is_file():
        raise Stop(f"no ape at {ape}: run `make setup` in the source tree, or set {APE_VARIABLE} to the ape command")
    build = root / ".build"
    environment = os.environ | {
        "APE_DATA_FOLDER": str(build / "ape"),
        "ASSAY_RPC_URL": node_urls(rpc_url)[0],
        "PWD": str(root),  # ape-config.yaml names it
        "PYTHONWARNINGS": "ignore",
    }
    with _one_at_a_time(build):
        try:
            done = subprocess.run(
                [str(ape), "run", "deploy", *arguments],
                cwd=root,
                env=environment,
                input=password + "\n",
                capture_output=True,
                text=True,
                timeout=timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise Stop(f"ape did not finish within {timeout_s:.0f} s: look at the node, then deploy again") from error
        if done.returncode != 0:
            said = (done.stdout + done.stderr).replace(node_urls(rpc_url)[0], public_url(rpc_url)).strip()
            raise Stop(f"ape could not deploy: {said[-1_500:]}")


@contextmanager
def _one_at_a_time(build: Path) -> Generator[None]:
    """ape's build folder takes one writer."""
    build.mkdir(exist_ok=True)
    with (build / "ape.lock").open("w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
