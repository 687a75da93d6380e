"""What was committed to in a challenge outlives the terminal: written before it is sent, read back as it was."""

import json
import os
from pathlib import Path

import pytest

from assay_core.chain.challenging import Objection
from assay_core.protocol.errors import Stop
from assay_core.protocol.types import Address, Epoch, SubmissionId, SubmissionIndex, TaskId
from assay_protocol.challenge_store import Objections

SUBMISSION = SubmissionId(TaskId(3), Epoch(1), SubmissionIndex(2))


def objection(score: int, index: int = 2) -> Objection:
    return Objection(TaskId(3), Epoch(1), SubmissionIndex(index), score, Address("0x" + "ab" * 20), bytes([score]) * 32)


def test_what_is_kept_is_read_back_oldest_first(tmp_path: Path) -> None:
    kept = Objections(tmp_path / "challenges")
    assert kept.of(SUBMISSION) == []
    for score in (70, 0, 255):
        kept.add(objection(score))
    kept.add(objection(5, index=22))  # of another submission
    again = Objections(tmp_path / "challenges")
    assert again.of(SUBMISSION) == [objection(70), objection(0), objection(255)]
    assert [each.commitment for each in again.of(SUBMISSION)] == [objection(score).commitment for score in (70, 0, 255)]


def test_nobody_else_can_read_a_salt(tmp_path: Path) -> None:
    Objections(tmp_path).add(objection(70))
    [path] = tmp_path.iterdir()
    assert os.stat(path).st_mode & 0o777 == 0o600


def test_nothing_is_sent_that_could_not_be_kept(tmp_path: Path) -> None:
    (tmp_path / "challenges").write_text("a file where the folder should be")
    with pytest.raises(Stop, match="nothing was sent"):
        Objections(tmp_path / "challenges").add(objection(70))


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"salt": "zz"}', json.dumps({"salt": ""}), "x" * 5_000])
def test_a_file_that_is_none_of_ours_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "3-1-2-0123.json").write_text(content)
    with pytest.raises(Stop, match=r"3-1-2-0123\.json is no challenge of ours"):
        Objections(tmp_path).of(SUBMISSION)
