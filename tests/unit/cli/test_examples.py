"""What comes with the package: found without a source tree, and told when it is not there."""

from pathlib import Path

import pytest

from assay_core.chain.checkout import source_commit, source_tree
from assay_core.chain.deployment import deployments_folder
from assay_core.chain.networks import configured_networks, node_url
from assay_core.protocol.errors import Stop
from assay_protocol.devnet.anvil import anvil_command
from assay_protocol.task_file import load_task_file
from assay_protocol.tasks import example_task, example_tasks, network_task
from tests.unit.cli.conftest import Assay

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def no_source_tree(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """As an installed package sees it, in an empty folder."""
    for module in ("chain.checkout", "chain.deployment", "chain.networks"):
        monkeypatch.setattr(f"assay_core.{module}.source_tree", lambda: None)
    monkeypatch.setattr("assay_protocol.devnet.anvil.source_tree", lambda: None)
    monkeypatch.delenv("ASSAY_DEPLOYMENTS", raising=False)
    monkeypatch.setenv("PATH", "")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_examples_are_those_of_the_folder() -> None:
    assert {path.name for path in example_tasks()} == {path.name for path in (ROOT / "examples").glob("*.toml")}
    assert load_task_file(example_task("sorting")).spec == load_task_file(ROOT / "examples" / "sorting.toml").spec
    assert {name: network_task(name).is_file() for name in ("sorting", "real")} == {"sorting": True, "real": True}
    with pytest.raises(Stop, match=r"no example is named '\.\./x': smollm2, sorting, syllogism-lora are"):
        example_task("../x")


def test_an_example_is_printed_to_start_from(assay: Assay) -> None:
    assert assay("task", "example").stdout.split() == ["smollm2", "sorting", "syllogism-lora"]
    assert assay("task", "example", "sorting").stdout == (ROOT / "examples" / "sorting.toml").read_text()


def test_without_a_source_tree_files_are_those_of_the_working_directory(no_source_tree: Path) -> None:
    assert deployments_folder() == Path("deployments")
    assert set(configured_networks()) == {"mainnet", "sepolia", "holesky"} and node_url("local") is None
    assert source_commit().startswith("assay-protocol ")


def test_anvil_is_taken_from_where_npm_puts_it_else_from_the_path(
    no_source_tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Stop, match="run `npm install @foundry-rs/anvil` here, or install Foundry"):
        anvil_command()
    on_path = no_source_tree / "bin" / "anvil"
    from_npm = no_source_tree / "node_modules" / "@foundry-rs" / "anvil-linux-amd64" / "bin" / "anvil"
    for path in (on_path, from_npm):
        path.parent.mkdir(parents=True)
        path.write_text("#!/bin/sh\n")
        path.chmod(0o755)
        monkeypatch.setenv("PATH", str(on_path.parent))
        assert anvil_command() == str(path)


def test_the_source_tree_is_found_in_a_checkout() -> None:
    assert source_tree() == ROOT
