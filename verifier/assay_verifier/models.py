"""The verifier's database: what it saw, what it judged and why, what it sent. SQLite by default, PostgreSQL by URL.

Rows are written before anything is sent, so that a crash repeats nothing. Hashes are raw bytes.
"""

from datetime import UTC, datetime

from sqlalchemy import BigInteger, DateTime, Float, ForeignKeyConstraint, LargeBinary, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, MappedAsDataclass, mapped_column


def now_utc() -> datetime:
    """The time that rows are written with."""
    return datetime.now(UTC)


class Base(MappedAsDataclass, DeclarativeBase):
    """Base of all tables."""


class TaskRow(Base):
    """A task this verifier attests for."""

    __tablename__ = "tasks"

    task_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    title: Mapped[str] = mapped_column(String(200))
    initiator: Mapped[str] = mapped_column(String(42))
    spec_root: Mapped[bytes] = mapped_column(LargeBinary(32))
    spec: Mapped[str] = mapped_column(Text)  # canonical JSON
    is_closed: Mapped[bool] = mapped_column(default=False)


class EpochRow(Base):
    """An epoch as the chain tells it."""

    __tablename__ = "epochs"

    task_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    epoch: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    phase: Mapped[str] = mapped_column(String(20))  # name of `EpochPhase`
    seed: Mapped[bytes | None] = mapped_column(LargeBinary(32), default=None)  # None until sealed
    scores: Mapped[bytes | None] = mapped_column(LargeBinary, default=None)  # None until settled
    challenge_by: Mapped[int | None] = mapped_column(BigInteger, default=None)


class SubmissionRow(Base):
    """A committed submission: `score` is this verifier's own, `settled_score` the quorum's."""

    __tablename__ = "submissions"

    task_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    epoch: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    index: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    trainer: Mapped[str] = mapped_column(String(42), index=True)
    units: Mapped[int]
    policy_version: Mapped[int] = mapped_column(BigInteger)
    manifest_root: Mapped[bytes] = mapped_column(LargeBinary(32), index=True)
    score: Mapped[int | None] = mapped_column(default=None)
    reason: Mapped[str | None] = mapped_column(String(40), default=None)
    update_norm: Mapped[float | None] = mapped_column(Float(53), default=None)
    mean_reward: Mapped[float | None] = mapped_column(Float(53), default=None)
    judged_s: Mapped[float | None] = mapped_column(Float(53), default=None)  # how long judging took
    settled_score: Mapped[int | None] = mapped_column(default=None)


class EvidenceRow(Base):
    """What reproduces our verdict on one submission: its case and findings, the canonical JSON of
    `submissions/<index>.json`.
    """

    __tablename__ = "evidence"
    __table_args__ = (
        ForeignKeyConstraint(
            ["task_id", "epoch", "index"], ["submissions.task_id", "submissions.epoch", "submissions.index"]
        ),
    )

    task_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    epoch: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    index: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    document: Mapped[str] = mapped_column(Text)


class AttestationRow(Base):
    """Our report on one epoch, written before its commitment is sent, so that there is never a second one."""

    __tablename__ = "attestations"

    task_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    epoch: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    seed: Mapped[bytes] = mapped_column(LargeBinary(32))  # the epoch's: another one after a reorganisation
    report: Mapped[bytes] = mapped_column(LargeBinary)
    salt: Mapped[bytes] = mapped_column(LargeBinary(32))
    evidence_root: Mapped[bytes] = mapped_column(LargeBinary(32))
    written_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), default_factory=now_utc)
    committed: Mapped[bool] = mapped_column(default=False)
    revealed: Mapped[bool] = mapped_column(default=False)


class AppealRow(Base):
    """Our vote as a juror about one score, written before its commitment is sent."""

    __tablename__ = "appeals"

    task_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    epoch: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    index: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    seed: Mapped[bytes] = mapped_column(LargeBinary(32))  # the panel's: another one after a reorganisation
    score: Mapped[int]
    salt: Mapped[bytes] = mapped_column(LargeBinary(32))
    beyond: Mapped[bool] = mapped_column(default=False)  # something decides that the seed had not drawn
    written_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), default_factory=now_utc)


class ChallengeRow(Base):
    """A score that we dispute, written before the challenge is committed to. `score` is what would be right."""

    __tablename__ = "challenges"

    task_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    epoch: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    index: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    seed: Mapped[bytes] = mapped_column(LargeBinary(32))  # the epoch's: another one after a reorganisation
    score: Mapped[int]
    salt: Mapped[bytes] = mapped_column(LargeBinary(32))
    is_over: Mapped[bool] = mapped_column(default=False)  # nothing more is to be sent or claimed
    written_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), default_factory=now_utc)


class PolicyRow(Base):
    """A policy version. `own_root` is what we aggregated ourselves, `root` what a quorum published."""

    __tablename__ = "policies"

    task_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    version: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    epoch: Mapped[int | None] = mapped_column(BigInteger, default=None)  # None: the initiator's version 0
    root: Mapped[bytes | None] = mapped_column(LargeBinary(32), default=None)  # None until published
    own_root: Mapped[bytes | None] = mapped_column(LargeBinary(32), default=None)
    parent_root: Mapped[bytes | None] = mapped_column(LargeBinary(32), default=None)  # what `own_root` follows from
    signature: Mapped[bytes | None] = mapped_column(LargeBinary(65), default=None)
    posted: Mapped[bool] = mapped_column(default=False)  # bundle and signature are with a relay
    uri: Mapped[str | None] = mapped_column(Text, default=None)


class NodeCallsRow(Base):
    """How often the node was asked by a method of JSON-RPC."""

    __tablename__ = "node_calls"

    method: Mapped[str] = mapped_column(String(80), primary_key=True)
    calls: Mapped[int] = mapped_column(BigInteger, default=0)


class TransactionRow(Base):
    """A transaction we meant to send, written before it is sent. `outcome`: intended, sent, or the revert's name."""

    __tablename__ = "transactions"

    id: Mapped[int] = mapped_column(primary_key=True, init=False)
    task_id: Mapped[int] = mapped_column(BigInteger, index=True)
    epoch: Mapped[int | None] = mapped_column(BigInteger)
    name: Mapped[str] = mapped_column(String(60))
    outcome: Mapped[str] = mapped_column(String(80), default="intended")
    tx_hash: Mapped[bytes | None] = mapped_column(LargeBinary(32), default=None)
    gas_used: Mapped[int | None] = mapped_column(BigInteger, default=None)
    written_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), default_factory=now_utc)


class HeartbeatRow(Base):
    """What the daemon of a task last said of itself, so that a service can tell whether it lives. Times are Unix."""

    __tablename__ = "heartbeats"

    task_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    block_number: Mapped[int] = mapped_column(BigInteger)
    block_at: Mapped[float] = mapped_column(Float(53))  # when it first saw that block
    looked_at: Mapped[float] = mapped_column(Float(53))  # when it last looked at the chain with success
    doing: Mapped[str] = mapped_column(Text)
    since: Mapped[float] = mapped_column(Float(53))
    deadline: Mapped[int | None] = mapped_column(BigInteger, default=None)  # when what it does ends at the latest
    earned_wei: Mapped[str] = mapped_column(String(80), default="0")
    has_ended: Mapped[bool] = mapped_column(default=False)  # its task is over: nobody expects it to look again
    lag_s: Mapped[float] = mapped_column(Float(53), default=0.0)  # how old the node's newest block was then
    account: Mapped[str | None] = mapped_column(Text, default=None)  # JSON of an `Account`
