"""What the demo knows of a trainer and its assistant comes from what the leader says."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from eth_account import Account

from assay_core.protocol.types import TaskId
from assay_protocol.devnet.demo.group import Group, make_group
from assay_protocol.devnet.demo.outcome import GroupSubmission
from assay_protocol.devnet.localnet import Party


@pytest.fixture
def group(tmp_path: Path) -> Group:
    leader = Party("trainer-3", Account.from_key(b"\x01" * 32), tmp_path / "key.json")
    return Group(leader, 9_000, tmp_path / "group.secret", tmp_path / "status.jsonl")


def say(group: Group, *lines: Mapping[str, object]) -> None:
    group.status_file.write_text("".join(json.dumps({"at": 1.0, **line}) + "\n" for line in lines))


@pytest.mark.parametrize(
    ("last", "amid"),
    [
        ({"message": "inner step", "members": 2}, True),
        ({"message": "inner step", "members": 1}, False),
        ({"message": "inner step"}, False),
        ({"message": "inner steps shared", "steps": 16, "shared": 16, "members": 2}, False),
    ],
)
def test_the_assistant_is_amid_steps_while_the_last_one_was_shared(
    group: Group, last: dict[str, object], amid: bool
) -> None:
    assert not group.is_amid_steps()
    say(group, {"message": "submission begun"}, last)
    assert group.is_amid_steps() is amid


def test_shared_steps_are_added_up_over_the_submissions(group: Group) -> None:
    assert group.submission() == GroupSubmission("trainer-3", "trainer-3-assistant", inner_steps=0, shared=0)
    shared = [{"message": "inner steps shared", "steps": 16, "shared": each} for each in (16, 5, 0)]
    say(group, {"message": "submission begun"}, *shared)
    with group.status_file.open("a") as stream:
        stream.write('{"at": 2.0, "message": "inner st')  # it is being written
    assert group.submission() == GroupSubmission("trainer-3", "trainer-3-assistant", inner_steps=48, shared=21)


def test_leader_and_assistant_share_a_secret_that_others_cannot_read(group: Group, tmp_path: Path) -> None:
    pytest.importorskip("torchft")
    made = make_group(group.leader, tmp_path / "state", TaskId(1))
    assert made is not None
    assert made.secret.stat().st_mode & 0o077 == 0
    assert made.leaders_options == ("--group", f"127.0.0.1:{made.port}", "--group-secret", str(made.secret))
    assert made.status_file == tmp_path / "state" / "task-1" / "status.jsonl"
