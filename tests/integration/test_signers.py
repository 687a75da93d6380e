"""Whole errands through external signers: Anvil, which signs for its own accounts, and one that holds a role's key."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import uvicorn
from click.testing import CliRunner, Result

from assay_core.bundle.directory import build_bundle
from assay_core.bundle.manifest import BundleKind
from assay_core.chain.connection import Chain
from assay_core.chain.deploy import deploy
from assay_core.chain.deployment import Deployment
from assay_core.chain.events import Bonded, TaskOpened
from assay_core.chain.keys import (
    LOCAL_ROUNDS,
    PolicyWord,
    WorkerConsent,
    development_account,
    new_keystore,
    recover_policy_signer,
    sign_policy,
    sign_worker_key,
)
from assay_core.chain.sender import Sender, SenderSettings
from assay_core.chain.signers import RemoteAccount
from assay_core.protocol.errors import Stop, Unavailable
from assay_core.protocol.types import Address, Epoch, PolicyVersion, Role, Root, Seed, SubmissionKind, TaskId
from assay_core.transport.relay.client import RelayClient
from assay_core.transport.relay.server import RelaySettings, create_relay, server_config
from assay_protocol.cli import main
from assay_protocol.devnet.anvil import Anvil
from tests.conftest import SenderOf, account_of_role
from tests.integration import chain_walk
from tests.integration.fake_node import Answer, FakeNode, Raw, error, saying
from tests.integration.fake_signer import answering, signer
from tests.integration.stage import PARAMS, Stage, submission

pytestmark = pytest.mark.chain

UNIT = 10**18
HTML = Raw(b"<html><title>Bad gateway</title></html>", 502)


@pytest.fixture
def accounts(anvil: Anvil, chain: Chain) -> list[RemoteAccount]:
    """Three of Anvil's own accounts, with tokens; no process but Anvil's has their keys."""
    bank = Sender(chain, development_account())
    listed = [Address(address) for address in anvil.request("eth_accounts")[1:4]]
    for address in listed:
        bank.send(chain.token.transfer(Address(chain.web3.to_checksum_address(address)), 1_000 * UNIT))
    return [RemoteAccount.connect(anvil.rpc_url, address) for address in listed]


@pytest.fixture
def quick(tmp_path: Path) -> SenderSettings:
    (tmp_path / "nonces").mkdir()
    return SenderSettings(timeout_s=20, first_poll_s=0.01, max_poll_s=0.05, nonces=tmp_path / "nonces")


@pytest.fixture
def guard() -> Iterator[FakeNode]:
    """A signer with the key of the outsider."""
    with FakeNode(rule=signer(account_of_role("outsider"))) as node:
        yield node


def bond(chain: Chain, sender: Sender, role: Role, amount_wei: int) -> None:
    sender.send(chain.token.approve(chain.staking.address, amount_wei))
    assert sender.send(chain.staking.bond(role, amount_wei)).event(Bonded).amount == amount_wei


def test_a_trainers_errands_need_no_key_here(
    chain: Chain, accounts: list[RemoteAccount], sender_of: SenderOf, quick: SenderSettings
) -> None:
    """Bond, name a worker key that another account of the signer has, enlist with it, commit."""
    initiator, params = sender_of("initiator"), chain_walk.PARAMS
    initiator.send(chain.token.approve(chain.registry.address, 500 * UNIT))
    opening = chain.registry.open_task(params, chain_walk.SPEC, "assay:0x01", chain_walk.POLICY, 500 * UNIT)
    task_id = initiator.send(opening).event(TaskOpened).task_id
    cold, hot = (Sender(chain, account, quick) for account in accounts[:2])
    bond(chain, cold, Role.TRAINER, params.trainer_bond)

    deadline = chain.now() + 3_600
    consent = WorkerConsent(cold.address, hot.address, chain.staking.worker_nonce_of(hot.address), deadline)
    agreed = sign_worker_key(accounts[1], chain.deployment.chain_id, chain.staking.address, consent)
    cold.send(chain.staking.set_worker_key(hot.address, deadline, agreed))
    assert chain.staking.operator_of(hot.address) == cold.address

    walk = chain_walk.Walk(chain, sender_of)
    walk.task_id = task_id
    hot.send(chain.commitments.enlist(task_id, walk.ledger().task.terms_hash))
    where = task_id, Epoch(0), SubmissionKind.FULL
    root = Root(b"\x10" * 32)
    hot.send(chain.commitments.commit_submission(*where, root, 10, PolicyVersion(0), is_last=False))
    [committed] = walk.record().submissions
    assert (committed.submission.trainer, committed.submission.manifest_root) == (cold.address, root)


def test_a_policy_is_signed_so_that_contracts_and_others_find_its_signer(
    chain: Chain, accounts: list[RemoteAccount]
) -> None:
    word = PolicyWord(TaskId(2**200), Epoch(3), Seed(b"\x05" * 32), Root(b"\x06" * 32))
    at = chain.deployment.chain_id, chain.deployment.policies
    assert recover_policy_signer(sign_policy(accounts[0], *at, word), *at, word) == accounts[0].address


class Only:
    """A relay's authority that lets one key in."""

    def __init__(self, key: str) -> None:
        self.key = key

    def payer_of(self, key: Address) -> Address | None:
        return key if key == self.key else None

    def is_signed_by(
        self, task_id: TaskId, epoch: Epoch, operator: Address, policy_root: Root, signature: bytes
    ) -> bool:
        return False


def test_a_relay_takes_what_a_signer_has_signed_for(
    chain: Chain, accounts: list[RemoteAccount], tmp_path: Path
) -> None:
    member, stranger, chain_id = accounts[0], accounts[1], chain.deployment.chain_id
    settings = RelaySettings(directory=tmp_path / "relay", chain_id=chain_id, port=0, min_free_bytes=0)
    server = uvicorn.Server(server_config(settings, create_relay(settings, Only(member.address), Only(member.address))))
    threading.Thread(target=server.run, daemon=True).start()
    while not server.started:
        time.sleep(0.01)
    url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    (tmp_path / "task").mkdir()
    (tmp_path / "task" / "spec.json").write_bytes(b"{}")
    manifest = build_bundle(tmp_path / "task", BundleKind.TASK, {})
    with RelayClient([url], tmp_path / "cache", chain_id=chain_id) as client:
        with pytest.raises(Stop):
            client.publish(tmp_path / "task", manifest, stranger)
        client.publish(tmp_path / "task", manifest, member)
        assert client.has(manifest.root)
    server.should_exit = True


# -- a signer that fails on the way


def pay(chain: Chain, sender: Sender) -> None:
    sender.send(chain.token.transfer(chain.deployment.payouts, 1))


def paid(chain: Chain) -> int:
    return chain.token.balance_of(chain.deployment.payouts)


def test_a_call_waits_for_a_signer_that_is_away_and_is_sent_once(
    chain: Chain, sender_of: SenderOf, guard: FakeNode, quick: SenderSettings
) -> None:
    before = sender_of("outsider")
    sender = Sender(chain, RemoteAccount.connect(guard.url), quick)
    honest = signer(account_of_role("outsider"))
    for away in (HTML, error(-32603, "the device is busy")):
        answering(guard, honest, "eth_signTransaction", lambda _, away=away: away)
        with pytest.raises(Unavailable, match="signer at"):
            pay(chain, sender)
        assert paid(chain) == 0 and not before.is_sending()
    guard.rule = honest
    pay(chain, sender)
    assert paid(chain) == 1 and not before.is_sending()


@pytest.mark.parametrize("name", ["nonce", "gas", "to", "chainId"])
def test_nothing_is_sent_when_the_signer_signs_something_else(
    chain: Chain, sender_of: SenderOf, guard: FakeNode, quick: SenderSettings, name: str
) -> None:
    outsider, honest = sender_of("outsider"), signer(account_of_role("outsider"))

    def change(method: str, params: list[dict[str, str]], ask: Callable[..., dict[str, object]]) -> Answer:
        if method == "eth_signTransaction":
            params = [{**params[0], name: params[0]["from"] if name == "to" else hex(int(params[0][name], 16) + 1)}]
        return honest(method, params, ask)

    sender = Sender(chain, RemoteAccount.connect(guard.url), quick)
    guard.rule = change
    with pytest.raises(Stop, match=f"changed {name} of the transaction"):
        pay(chain, sender)
    assert paid(chain) == 0 and not outsider.is_sending()


def test_a_signer_that_leaves_before_a_fee_is_raised_leaves_the_first_one_waiting(
    chain: Chain, anvil: Anvil, sender_of: SenderOf, guard: FakeNode, quick: SenderSettings
) -> None:
    sender_of("outsider")
    impatient = replace(quick, timeout_s=1.0, stuck_after_s=0.1)
    sender = Sender(chain, RemoteAccount.connect(guard.url), impatient)
    signed = list[Answer]()
    honest = signer(account_of_role("outsider"))

    def once(honestly: Answer) -> Answer:
        signed.append(honestly)
        return honestly if len(signed) == 1 else HTML

    answering(guard, honest, "eth_signTransaction", once)
    anvil.request("evm_setAutomine", False)
    try:
        with pytest.raises(Unavailable):
            pay(chain, sender)
        assert len(signed) > 1
        anvil.mine()
    finally:
        anvil.request("evm_setAutomine", True)
    guard.rule = honest
    pay(chain, sender)  # finds the first one
    assert paid(chain) == 1


# -- daemons


def test_a_task_is_trained_and_verified_by_daemons_without_keys(stage: Stage) -> None:
    """Also across a time without a signer: the trainer waits for it, and goes on."""
    keys = {role: account_of_role(role) for role in ("trainer", "verifier")}
    rules = {role: signer(key, dialect="web3signer") for role, key in keys.items()}
    with FakeNode(rule=rules["trainer"]) as trainers, FakeNode(rule=rules["verifier"]) as verifiers:
        stage.bond("verifier", Role.VERIFIER, PARAMS.verifier_bond)
        address = Path(keys["verifier"].address)
        verifier = stage.verifier("verifier", keystore=address, password_file=None, signer=verifiers.url)
        stage.run([verifier], lambda: len(stage.ledger().verifiers) == 1)
        trainer = stage.trainer("trainer", keystore=None, password_file=None, signer=trainers.url)
        trainers.rule = saying(HTML)
        with pytest.raises(Unavailable, match="signer at"):
            for _ in range(9):
                trainer.run_once()
        trainers.rule = rules["trainer"]
        submission([trainer])
        stage.run([verifier], lambda: stage.ledger().newest_policy().version == 1)
        ledger = stage.ledger()
        assert ledger.epochs[Epoch(0)].scores == bytes([100])
        with RelayClient([stage.relay], stage.folder / "reader", chain_id=stage.chain.deployment.chain_id) as client:
            [signed] = client.signatures(stage.task_id, Epoch(0))
        assert signed.operator == keys["verifier"].address
        assert verifiers.calls["eth_signTypedData"] >= 3  # twice for the envelope, and the policy


# -- commands

Assay = Callable[..., Result]


@pytest.fixture
def assay(chain: Chain, deployment: Deployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Assay:
    """Run `assay` on the test network, in a home without keys."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ASSAY_DEPLOYMENTS", str(tmp_path))
    deployment.write(tmp_path)
    monkeypatch.setenv("ASSAY_NETWORK", deployment.network)

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(main, list(arguments), prog_name="assay")

    return run


def told(result: Result) -> dict[str, object]:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_commands_take_a_signer_in_place_of_a_keystore(
    assay: Assay, anvil: Anvil, chain: Chain, accounts: list[RemoteAccount], monkeypatch: pytest.MonkeyPatch
) -> None:
    cold, hot = accounts[0].address, accounts[1].address
    monkeypatch.setenv("ASSAY_SIGNER", anvil.rpc_url)
    refused = assay("stake", "bond", "--role", "trainer", "100")
    assert refused.exit_code == 1 and f"several accounts: choose with --keystore ADDRESS among {cold}" in (
        refused.stderr.replace(development_account().address + ", ", "")
    )
    wrong = assay("stake", "bond", "--role", "trainer", "100", "--keystore", "worker")
    assert wrong.exit_code == 1 and "'worker' is no address: beside --signer" in wrong.stderr
    as_cold = ("--keystore", cold)
    assert told(assay("keys", "show", "--json", *as_cold)) == {"name": None, "address": cold, "signer": anvil.rpc_url}
    dry = told(assay("stake", "bond", "--role", "trainer", "100", "--dry-run", "--json", *as_cold))
    assert dry["dry_run"] is True and chain.staking.bond_of(Address(cold), Role.TRAINER).bonded_wei == 0
    told(assay("stake", "bond", "--role", "trainer", "100", "--json", *as_cold))
    assert chain.staking.bond_of(Address(cold), Role.TRAINER).bonded_wei == 100 * UNIT
    told(assay("stake", "worker-key", hot, "--json", *as_cold))
    assert chain.staking.operator_of(Address(hot)) == cold
    assert told(assay("stake", "show", "--json", "--keystore", hot))["operator"] == cold


def test_a_worker_key_may_lie_elsewhere_than_the_operators(
    assay: Assay,
    guard: FakeNode,
    chain: Chain,
    keystore_of: Callable[[str], Path],
    password_file: Path,
    accounts: list[RemoteAccount],
    anvil: Anvil,
) -> None:
    hot = account_of_role("outsider").address
    operator = ("--keystore", str(keystore_of("operator")), "--password-file", str(password_file))
    told(assay("stake", "worker-key", hot, "--worker-signer", guard.url, "--json", *operator))
    assert chain.staking.operator_of(Address(hot)) == account_of_role("operator").address
    stored = str(keystore_of("trainer"))
    remote = ("--signer", anvil.rpc_url, "--keystore", accounts[2].address)
    told(assay("stake", "worker-key", stored, "--worker-password-file", str(password_file), "--json", *remote))
    assert chain.staking.operator_of(Address(account_of_role("trainer").address)) == accounts[2].address
    odd = assay("stake", "worker-key", hot, "--worker-signer", "nowhere", *operator)
    assert odd.exit_code == 2 and "the signer's URL is none" in odd.stderr


def test_a_command_whose_signer_is_away_may_be_tried_again(assay: Assay, guard: FakeNode) -> None:
    guard.rule = saying(HTML)
    away = assay("stake", "bond", "--role", "trainer", "1", "--signer", guard.url)
    assert away.exit_code == 75 and "Bad gateway" in away.stderr
    assert assay("stake", "bond", "--role", "trainer", "1", "--signer", "nowhere").exit_code == 2


def test_a_signer_deploys_to_a_public_network_without_ape(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    node = Anvil(chain_id=11_155_111)
    node.start()
    try:
        monkeypatch.setenv("ASSAY_APE", str(tmp_path / "no-ape"))
        deployer = RemoteAccount.connect(node.rpc_url, node.request("eth_accounts")[3])
        made = deploy("sepolia", node.rpc_url, deployer, folder=tmp_path)
        assert made.chain_id == 11_155_111 and Chain.connect(made).token.balance_of(Address(deployer.address)) > 0
    finally:
        node.stop()


def test_nothing_is_created_where_the_signer_stops_half_way(anvil: Anvil, chain: Chain, tmp_path: Path) -> None:
    path = tmp_path / "deployer.json"
    account = new_keystore(path, "secret", rounds=LOCAL_ROUNDS)
    anvil.set_balance(Address(account.address), 10**19)
    left = list(range(5))

    def tire(honest: Answer) -> Answer:
        return (left.pop(), honest)[1] if left else error(-32000, "Request denied")

    with FakeNode(rule=signer(account)) as node:
        answering(node, signer(account), "eth_signTransaction", tire)
        with pytest.raises(Stop, match="Request denied"):
            deploy("local-none", anvil.rpc_url, RemoteAccount.connect(node.url), folder=tmp_path)
    assert chain.web3.eth.get_transaction_count(account.address) == 0
