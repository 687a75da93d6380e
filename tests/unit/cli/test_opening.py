"""Building a task's bundles: what cannot be is refused first, and nothing is built twice."""

import subprocess
import sys
from pathlib import Path

import pytest
from transformers import MambaConfig

from assay_core.protocol.errors import Rejected, Stop
from assay_protocol.opening import build_task
from assay_protocol.task_file import load_task_file
from assay_protocol.tasks import example_task
from tests.unit.cli.conftest import Assay
from tests.unit.policy.models import WORDS, llama, write_model

SMALL = {"steps = 32, batch = 128": "steps = 1, batch = 4", "width = 96": "width = 32", "groups = 64": "groups = 16"}


def task_text(**changes: str) -> str:
    text = example_task("sorting").read_text()
    for old, new in (SMALL | {"groups_per_step = 16": "groups_per_step = 8"} | changes).items():
        assert old in text, old
        text = text.replace(old, new)
    return text


def write(folder: Path, **changes: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / "task.toml"
    path.write_text(task_text(**changes))
    return path


@pytest.mark.slow
def test_what_was_built_is_not_built_again(tmp_path: Path) -> None:
    task = load_task_file(write(tmp_path))
    first = build_task(task, tmp_path / "tasks")
    mark = first.folder / "mark"
    mark.touch()
    assert build_task(task, tmp_path / "tasks") == first
    assert mark.exists()


@pytest.mark.slow
@pytest.mark.parametrize("change", [{"seed = 7": "seed = 8"}, {"digits = 4": "digits = 3"}], ids=["policy", "task"])
def test_another_file_leads_to_other_bundles(tmp_path: Path, change: dict[str, str]) -> None:
    first = build_task(load_task_file(write(tmp_path)), tmp_path / "tasks")
    other = build_task(load_task_file(write(tmp_path, **change)), tmp_path / "tasks")
    assert other.folder != first.folder and first.folder.is_dir()


@pytest.mark.slow
def test_bundles_that_were_damaged_since_are_built_again(tmp_path: Path) -> None:
    task = load_task_file(write(tmp_path))
    first = build_task(task, tmp_path / "tasks")
    damaged = next(path for path in sorted(first.policy_dir.iterdir()) if path.suffix == ".safetensors")
    whole = damaged.read_bytes()
    damaged.write_bytes(bytes(len(whole)))
    assert build_task(task, tmp_path / "tasks") == first
    assert damaged.read_bytes() == whole


UNKNOWN = {'name = "sorting"': 'name = "juggling"'}


def test_an_unknown_environment_is_refused_before_a_policy_is_built(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match="unknown environment 'juggling': take 'sorting'"):
        build_task(load_task_file(write(tmp_path, **UNKNOWN)), tmp_path / "tasks")
    assert not (tmp_path / "tasks").exists()


def test_economics_refuse_an_unknown_environment(assay: Assay, tmp_path: Path) -> None:
    result = assay("economics", str(write(tmp_path / "x", **UNKNOWN)))
    assert result.exit_code == 1 and "unknown environment 'juggling'" in result.stderr


@pytest.mark.slow
def test_an_unknown_environment_is_refused_before_torch_is_loaded(tmp_path: Path) -> None:
    program = (
        "import sys\nfrom assay_protocol.opening import build_task\n"
        "from assay_protocol.task_file import load_task_file\n"
        "try:\n    build_task(load_task_file(sys.argv[1]), sys.argv[2])\n"
        "except Exception as error:\n    print(error, 'torch' in sys.modules)"
    )
    path = write(tmp_path, **UNKNOWN)
    done = subprocess.run([sys.executable, "-c", program, path, tmp_path], capture_output=True, text=True, check=True)
    assert "unknown environment" in done.stdout and done.stdout.strip().endswith("False")


def with_model(folder: Path) -> Path:
    path = folder / "task.toml"
    table = 'kind = "hf"\npath = "model"\ntemplate = "sort {prompt}"\neos = "<end>"\ntrainable = ["*"]\n'
    path.write_text(task_text().partition("[policy]")[0] + "[policy]\n" + table)
    return path


@pytest.mark.slow
def test_a_local_model_becomes_a_policy(tmp_path: Path) -> None:
    write_model(tmp_path / "model", llama())
    bundles = build_task(load_task_file(with_model(tmp_path)), tmp_path / "tasks")
    assert (bundles.policy_dir / "config.json").is_file()


def test_a_policy_that_cannot_be_sampled_from_leaves_no_bundles(tmp_path: Path) -> None:
    config = MambaConfig(vocab_size=len(WORDS), hidden_size=16, state_size=4, num_hidden_layers=1)
    write_model(tmp_path / "model", config)
    with pytest.raises(Stop, match="cannot sample from this architecture"):
        build_task(load_task_file(with_model(tmp_path)), tmp_path / "tasks")
    assert [path.name for path in (tmp_path / "tasks").iterdir()] == [".building"]
