"""The library on a real chain: what it sends, what it tells, and what it refuses before anything is sent."""

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

import assay_protocol as assay
from assay_core.chain.connection import Chain
from assay_core.chain.deployment import Deployment
from assay_core.policy import load_policy
from assay_core.protocol.types import Address, Role, TaskId
from assay_core.transport.choose import Transport
from assay_protocol.network import Network
from tests.conftest import SenderOf
from tests.fakes import Shelf

pytestmark = pytest.mark.chain

QUICK = (
    ("commit_window = 600", "commit_window = 60"),
    ("attest_window = 600", "attest_window = 60"),
    ("reveal_window = 300", "reveal_window = 60"),
    ("appeal_window = 600", "appeal_window = 60"),
    ("steps = 32", "steps = 1"),
)


@pytest.fixture
def network(chain: Chain, tmp_path: Path) -> Network:
    shelf = nullcontext(Shelf())
    return Network(chain, tmp_path / "state", lambda: cast(AbstractContextManager[Transport], shelf))


@pytest.fixture
def task_file(tmp_path: Path) -> Path:
    text = assay.example_task("sorting").read_text()
    for whole, part in QUICK:
        assert whole in text
        text = text.replace(whole, part)
    (tmp_path / "task.toml").write_text(text)
    return tmp_path / "task.toml"


def test_a_task_is_opened_followed_and_its_policy_exported(
    network: Network, task_file: Path, sender_of: SenderOf, tmp_path: Path
) -> None:
    initiator = sender_of("initiator")
    opened = assay.open_task(network, assay.load_task_file(task_file), account=initiator.account)
    assert (opened.task_id, network.task_count) == (1, 1)
    stop = threading.Event()
    following: Iterator[assay.TaskLedger] = assay.follow_task(network, 1, poll_s=0.05, stop=stop)
    first = next(following)
    assert first.newest_policy().policy_root == opened.bundles.policy.root
    before = first.position
    approve = network.chain.token.approve(network.chain.registry.address, 10**18)
    for call in (approve, network.chain.registry.fund_task(TaskId(1), 10**18)):
        initiator.send(call)
    assert next(following) is first and first.position != before
    stop.set()
    assert list(following) == []

    record = assay.export_policy(network, 1, tmp_path / "exported")
    assert record.version == 0 and load_policy(tmp_path / "exported").vocabulary > 0
    with pytest.raises(assay.Stop, match="is not empty: name a new folder"):
        assay.export_policy(network, 1, tmp_path / "exported")
    with pytest.raises(assay.Stop, match="versions 0 to 0, and no 3"):
        assay.export_policy(network, 1, tmp_path / "other", version=3)


def test_terms_that_the_contracts_refuse_are_told_before_a_policy_is_built(
    network: Network, task_file: Path, sender_of: SenderOf
) -> None:
    account = sender_of("initiator").account
    task = assay.load_task_file(task_file)
    with pytest.raises(assay.Stop, match="does not pay for one epoch"):
        assay.open_task(network, replace(task, budget="1"), account=account)
    long = task.terms.model_copy(update={"commit_window": 5_000})
    with pytest.raises(assay.Stop, match="but bonds can be withdrawn after"):
        assay.open_task(network, replace(task, terms=long), account=account)
    assert network.task_count == 0 and not (network.state_dir / "tasks").exists()


def test_a_bond_is_put_down_and_nothing_is_due_yet(network: Network, sender_of: SenderOf) -> None:
    worker = sender_of("trainer").account
    assert assay.bond(network, worker, "12.5", role="trainer") == 125 * 10**17
    assert network.chain.staking.bond_of(Address(worker.address), Role.TRAINER).free_wei == 125 * 10**17
    earned = assay.earnings(network, worker.address.lower())
    assert (earned.operator, earned.submissions, earned.earned_wei) == (worker.address, (), 0)
    assert assay.claim(network, worker).calls == ()
    with pytest.raises(assay.Stop, match="'0x12' is not an address"):
        assay.earnings(network, "0x12")


def test_a_network_is_found_by_the_path_of_its_file(
    deployment: Deployment, chain: Chain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = assay.connect(deployment.write(tmp_path), state_dir=tmp_path / "state")
    assert (
        found.chain.deployment == deployment == assay.connect(tmp_path / f"{deployment.network}.json").chain.deployment
    )
    with pytest.raises(assay.Stop, match="names no relay: name one"):
        found.open_transport()
    with pytest.raises(assay.Stop, match=f"no task 1 on network '{deployment.network}': there is none yet"):
        next(assay.follow_task(found, 1))
    with pytest.raises(assay.Stop, match="no task 1"):
        assay.run_trainer(found, 1, keystore=tmp_path / "none.json")
    with pytest.raises(assay.Stop, match="names no submission: write task/epoch/index"):
        assay.explain(found, "nonsense")
    monkeypatch.setenv("ASSAY_DEPLOYMENTS", str(tmp_path))
    assert assay.connect(deployment.network).chain.deployment == deployment
    with pytest.raises(assay.Stop, match="no deployment 'nowhere'"):
        assay.connect("nowhere")
