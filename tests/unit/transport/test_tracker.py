"""Trackers: bounded, forgetful, and writable by members only."""

import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from eth_account.signers.local import LocalAccount

from assay_core.protocol.errors import Stop, Unavailable
from assay_core.protocol.types import Address, Epoch, Root, TaskId
from assay_core.transport.engine import PolicySignature
from assay_core.transport.swarm.engine import SwarmClient, SwarmPlace
from assay_core.transport.swarm.torrents import TorrentSession
from assay_core.transport.swarm.tracker import MAX_PEERS_TOLD, NOTICE_S, Notes, NoticeOut
from assay_core.transport.swarm.trackers import Trackers
from assay_protocol.devnet.anvil import free_port
from tests.unit.transport.swarm_peer import CHAIN_ID
from tests.unit.transport.trackers_running import Members, RunningTracker

TASK, EPOCH = TaskId(7), Epoch(2)


def test_signatures_are_on_the_tracker_and_come_back_after_it_restarts(
    members: Members, tmp_path: Path, trainer: LocalAccount
) -> None:
    signed = PolicySignature(Address(trainer.address), Root(b"\x05" * 32), b"\x06" * 65)
    port = free_port()
    first = RunningTracker(port, members)
    place = SwarmPlace("127.0.0.1", 0, tmp_path)
    with SwarmClient([first.url], tmp_path / "c", place, trainer, chain_id=CHAIN_ID, announce_s=0.2) as client:
        client.post_signature(TASK, EPOCH, signed)
        assert client.signatures(TASK, EPOCH) == [signed]
        first.stop()
        with pytest.raises(Unavailable, match="no swarm tracker answers"):
            client.signatures(TASK, EPOCH)
        again = RunningTracker(port, members)
        for _ in range(100):
            if client.signatures(TASK, EPOCH) == [signed]:
                break
            time.sleep(0.05)
        else:
            pytest.fail("the signature did not come back")
        again.stop()


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/swarm/" + "0" * 64, {"info_hash": "ab" * 32, "port": 80}, 401),  # not signed
        ("/v1/swarm/" + "0" * 64, {"info_hash": "nonsense", "port": 80}, 422),
        ("/v1/swarm/" + "0" * 64, {"info_hash": "ab" * 32, "port": 0}, 422),
        ("/v1/swarm/" + "0" * 63, {"info_hash": "ab" * 32, "port": 80}, 422),
        ("/v1/swarm/" + "0" * 64, {"info_hash": "ab" * 1_000, "port": 80}, 413),
        ("/v1/tasks/1/epochs/1/signatures/0x12", {}, 422),
    ],
)
def test_impossible_requests_are_refused(tracker: RunningTracker, path: str, body: dict[str, Any], status: int) -> None:
    assert httpx.put(tracker.url + path, json=body).status_code == status


def notice(port: int) -> NoticeOut:
    return NoticeOut(info_hash="ab" * 32, host="10.0.0.1", port=port, is_whole=True)


def test_notices_end_unless_they_are_repeated() -> None:
    now = [0.0]
    notes = Notes(lambda: now[0])
    root, payer = Root(bytes(32)), Address("0x1")
    notes.note(root, payer, notice(1))
    now[0] = NOTICE_S - 1
    assert notes.holders(root) == [notice(1)]
    notes.note(root, payer, notice(2))
    now[0] = NOTICE_S + 1
    assert notes.holders(root) == [notice(2)]


def test_nobody_drowns_out_the_others() -> None:
    notes = Notes(lambda: 0.0)
    root = Root(bytes(32))
    notes.note(root, Address("0xhonest"), notice(1))
    for port in range(2, 200):
        notes.note(root, Address("0xloud"), notice(port))
    told = notes.holders(root)
    assert len(told) == MAX_PEERS_TOLD
    assert notice(1) in told[:2]


def test_one_payer_has_so_many_notices_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assay_core.transport.swarm.tracker.MAX_NOTICES_PER_PAYER", 3)
    notes = Notes(lambda: 0.0)
    kept = [notes.note(Root(bytes([number]) * 32), Address("0x1"), notice(1)) for number in range(5)]
    assert kept == [True, True, True, False, False]
    assert notes.note(Root(bytes(32)), Address("0x1"), notice(1))  # those that are there may be repeated
    assert notes.note(Root(bytes(32)), Address("0x2"), notice(2))


def test_taken_port_stops() -> None:
    first = TorrentSession("127.0.0.1", 0)
    with pytest.raises(Stop, match="choose another port"):
        TorrentSession("127.0.0.1", first.port)
    first.close()


def test_no_tracker_is_a_setting_to_correct(trainer: LocalAccount) -> None:
    with pytest.raises(Stop, match="no swarm tracker"):
        Trackers((), trainer, CHAIN_ID)
