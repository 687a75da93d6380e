"""The wheel works where no checkout is: built, installed into an empty environment, and used in an empty folder."""

import json
import shutil
import signal
import site
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from assay_core.chain.checkout import source_tree
from assay_protocol.devnet.anvil import free_port

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(420)]

READY_WITHIN_S = 120
SOURCES = ("offchain", "trainer", "verifier", "examples", "setup.py", "pyproject.toml", "README.md", "LICENSE")
# A single small submission: whether anything is learned is not asked.
SMALL = (
    ("groups = 64", "groups = 8"),
    ("groups_per_step = 16", "groups_per_step = 8"),
    ("inner_steps = 16", "inner_steps = 2"),
    ("steps = 32", "steps = 2"),
    ("max_epochs = 20", "max_epochs = 1"),
    ("max_epoch_units = 512", "max_epoch_units = 8"),
    ("challenge_window = 30", "challenge_window = 2"),
)

Assay = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy of the sources, so that nothing is left in the checkout, nor found there."""
    root = source_tree()
    assert root is not None
    copy, out = tmp_path_factory.mktemp("sources"), tmp_path_factory.mktemp("dist")
    for name in SOURCES:
        path = root / name
        if path.is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
            shutil.copytree(path, copy / name, symlinks=True, ignore=ignored)
        else:
            shutil.copy(path, copy)
    build = ["wheel", "-q", "--no-deps", "--no-index", "--no-build-isolation", "-w", str(out), str(copy)]
    subprocess.run([sys.executable, "-m", "pip", *build], check=True, timeout=120)
    [built] = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel alone, which sees what is installed here, and not the checkout."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True, timeout=60)
    python = folder / "bin" / "python"
    install = ["--python", str(python), "install", "-q", "--no-deps", "--no-index", str(wheel)]
    subprocess.run([sys.executable, "-m", "pip", *install], check=True, timeout=60)
    [packages] = folder.glob("lib/python*/site-packages")
    # what such a file names is searched, but the .pth files there, an editable install's among them, are not read
    (packages / "dependencies.pth").write_text("\n".join(site.getsitepackages()) + "\n")
    return python


@pytest.fixture
def assay(python: Path, tmp_path: Path) -> Assay:
    """The installed command, in an empty folder, with a bare path."""
    (tmp_path / "here").mkdir()

    def run(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        command = [str(python.with_name("assay")), *arguments]
        environment = bare(tmp_path) | env
        return subprocess.run(
            command, capture_output=True, text=True, timeout=200, env=environment, cwd=tmp_path / "here", check=False
        )

    return run


def bare(home: Path) -> dict[str, str]:
    return {"PATH": "/usr/bin:/bin", "HOME": str(home), "OMP_NUM_THREADS": "1"}


def put_anvil(folder: Path) -> None:
    """As `npm install @foundry-rs/anvil` leaves it there."""
    root = source_tree()
    assert root is not None
    (folder / "node_modules").mkdir()
    (folder / "node_modules" / "@foundry-rs").symlink_to(root / "node_modules" / "@foundry-rs")


@pytest.fixture
def network(assay: Assay, python: Path, tmp_path: Path) -> Iterator[dict[str, Any]]:
    """`assay up` with a small task and one verifier, as it describes itself. Ends by SIGTERM, as by Ctrl-C."""
    here = tmp_path / "here"
    put_anvil(here)
    text = told(assay("task", "example", "sorting"))
    for whole, part in SMALL:
        assert whole in text
        text = text.replace(whole, part)
    (here / "small.toml").write_text(text)
    ports = [flag for name in ("chain", "relay", "explorer") for flag in (f"--{name}-port", str(free_port()))]
    command = [str(python.with_name("assay")), "up", "--json", "--verifiers", "1", "--task-file", "small.toml", *ports]
    out, log = tmp_path / "out", tmp_path / "up.log"
    with out.open("wb") as stdout, log.open("wb") as stderr:
        process = subprocess.Popen(command, stdout=stdout, stderr=stderr, env=bare(tmp_path), cwd=here)
    try:
        deadline = time.monotonic() + READY_WITHIN_S
        while not out.read_text().rstrip().endswith("}"):
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()[-2000:]
            time.sleep(0.2)
        yield json.loads(out.read_text())
    finally:
        process.send_signal(signal.SIGTERM)  # a shell may have its children ignore SIGINT
        try:
            process.wait(30)
        finally:
            process.kill()


def told(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_nothing_of_the_checkout_is_used(python: Path, tmp_path: Path) -> None:
    code = (
        "import assay_core, assay_trainer, assay_verifier, assay_protocol as p, sys; print(p.__file__); print(sys.path)"
    )
    done = subprocess.run(
        [str(python), "-c", code], capture_output=True, text=True, cwd=tmp_path, env=bare(tmp_path), check=True
    )
    where, path = done.stdout.splitlines()
    assert Path(where).is_relative_to(python.parents[1])
    assert f"'{source_tree()}/offchain'" not in path


def test_without_anvil_one_line_says_how_to_get_it(assay: Assay) -> None:
    done = assay("up", "--chain-port", str(free_port()), "--relay-port", str(free_port()))
    assert done.returncode != 0
    assert done.stderr.strip().splitlines()[-1].endswith("run `npm install @foundry-rs/anvil` here, or install Foundry")


def test_a_network_runs_and_a_trainer_earns(network: dict[str, Any], assay: Assay, tmp_path: Path) -> None:
    lines = Path(network["env_file"]).read_text().splitlines()
    env = dict(line.removeprefix("export ").replace("'", "").split("=", 1) for line in lines)
    key = ("--keystore", "worker")
    told(assay("stake", "bond", "--role", "trainer", "100", *key, **env))
    told(assay("trainer", "run", "--task", str(network["task_id"]), *key, **env))  # ends once its submission is judged
    deadline = time.monotonic() + 60
    while (claimed := json.loads(told(assay("rewards", "claim", *key, "--json", **env))))["amount_wei"] == 0:
        assert time.monotonic() < deadline, told(assay("rewards", "show", *key, **env))
        time.sleep(1)
    assert int(claimed["amount_wei"]) == 8 * 10**16  # 8 units at 0.01 tokens
    explained = told(assay("explain", f"{network['task_id']}/0/0", "--save", "saved", **env))
    assert "claimed" in explained
    assert "accepted" in told(assay("verify", "saved/submission", **env))
    told(assay("deploy", "--check", **env))
