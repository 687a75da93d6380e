"""What must hold of any chain with these contracts, told from its logs alone: by no rule of the others here.

An `Observer` is shown every log in order. It raises `Broken` as soon as one could not have come about by the protocol.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from specs.words import BURNT, FRAUD, MAX_VERIFIERS, PANEL_SEATS, REMEMBERED, UNAVAILABLE, DisputePhase

EpochKey = tuple[int, int]
SubmissionKey = tuple[int, int, int]


class Broken(AssertionError):
    """Something happened that must never happen."""


@dataclass(frozen=True, slots=True)
class Log:
    """An event, as it lies on the chain: its fields by the contract's names."""

    block: int
    time: int
    contract: str
    event: str
    fields: Mapping[str, Any]

    def __getitem__(self, name: str) -> Any:
        return self.fields[name]


def _must(holds: bool, what: str, log: Log) -> None:
    if not holds:
        raise Broken(f"{what}: {log}")


@dataclass
class Observer:
    """`held`: wei by holder, from the token's own Transfer events."""

    appeals: str  # its address: where rewards wait for finders
    held: Counter[str] = field(default_factory=Counter[str])
    supply: int = 0
    _terms: dict[int, Any] = field(default_factory=dict[int, Any])
    _closed: dict[EpochKey, Log] = field(default_factory=dict[EpochKey, Log])
    _sealed: dict[EpochKey, Log] = field(default_factory=dict[EpochKey, Log])
    _ended: dict[EpochKey, str] = field(default_factory=dict[EpochKey, str])
    _submissions: dict[SubmissionKey, Log] = field(default_factory=dict[SubmissionKey, Log])
    _done: dict[SubmissionKey, str] = field(default_factory=dict[SubmissionKey, str])
    _weights: dict[tuple[int, str], list[tuple[int, int]]] = field(
        default_factory=lambda: defaultdict[tuple[int, str], list[tuple[int, int]]](list)
    )
    _committed: set[tuple[Any, ...]] = field(default_factory=set[tuple[Any, ...]])
    _revealed: dict[EpochKey, dict[str, Log]] = field(
        default_factory=lambda: defaultdict[EpochKey, dict[str, Log]](dict)
    )
    _absent: set[tuple[int, int, str]] = field(default_factory=set[tuple[int, int, str]])
    _scores: dict[EpochKey, bytes] = field(default_factory=lambda: defaultdict[EpochKey, bytes](bytes))
    _policies: Counter[int] = field(default_factory=Counter[int])
    _versions: Counter[int] = field(default_factory=Counter[int])
    _pledged: Counter[EpochKey] = field(default_factory=Counter[EpochKey])
    _challengers: dict[SubmissionKey, list[str]] = field(
        default_factory=lambda: defaultdict[SubmissionKey, list[str]](list)
    )
    _panels: dict[SubmissionKey, list[str]] = field(default_factory=dict[SubmissionKey, list[str]])
    _voted: set[tuple[int, int, int, str]] = field(default_factory=set[tuple[int, int, int, str]])
    _decided: set[SubmissionKey] = field(default_factory=set[SubmissionKey])

    def see(self, log: Log) -> None:
        """Raises Broken."""
        look: Callable[[Log], None] | None = getattr(self, f"_see_{log.event}", None)
        if look is not None:
            look(log)

    # Money.

    def _see_Transfer(self, log: Log) -> None:
        sender, to, amount = log["from"], log["to"], log["value"]
        if int(sender, 16) == 0:
            self.supply += amount
        else:
            self.held[sender] -= amount
        self.held[to] += amount
        _must(int(to, 16) != 0, "tokens vanish", log)
        _must(self.held[sender] >= 0, "somebody sends what it has not", log)
        _must(sender != BURNT, "what is burnt comes back", log)

    def check_held(self) -> None:
        """No wei appears or vanishes. Raises Broken."""
        if sum(self.held.values()) != self.supply:
            raise Broken(f"{sum(self.held.values())} wei are held of {self.supply}")

    # Epochs.

    def _see_TaskOpened(self, log: Log) -> None:
        self._terms[log["taskId"]] = log["params"]

    def _see_SubmissionCommitted(self, log: Log) -> None:
        key = (log["taskId"], log["epoch"])
        _must(key not in self._closed, "a submission comes to a closed epoch", log)
        _must((*key, log["index"]) not in self._submissions, "two submissions have one place", log)
        self._submissions[*key, log["index"]] = log

    def _see_EpochClosed(self, log: Log) -> None:
        key = (log["taskId"], log["epoch"])
        before = self._closed.get(key)
        is_forgotten = before is not None and log.block > before["seedBlock"] + REMEMBERED
        _must(before is None or is_forgotten, "an epoch closes twice, which could be sealed", log)
        _must(log["seedBlock"] > log.block, "the block of a seed is known already", log)
        _must(key not in self._sealed, "a sealed epoch closes", log)
        self._closed[key] = log

    def _see_EpochSealed(self, log: Log) -> None:
        key, closed = (log["taskId"], log["epoch"]), self._closed.get((log["taskId"], log["epoch"]))
        _must(closed is not None and log.block > closed["seedBlock"], "an epoch is sealed that is not ready", log)
        _must(key not in self._sealed, "an epoch is sealed twice", log)
        weights = [weight for who in self._weights if who[0] == key[0] if (weight := self._weight(*key, who[1]))]
        _must(sum(weights) == log["weight"], f"the log tells a weight of {sum(weights)}", log)
        _must(len(weights) == log["verifiers"] <= MAX_VERIFIERS, f"the log tells {len(weights)} verifiers", log)
        self._sealed[key] = log

    def _end(self, log: Log) -> None:
        key = (log["taskId"], log["epoch"])
        _must(key in self._sealed, "an epoch ends that was not sealed", log)
        _must(key not in self._ended, "an epoch ends twice", log)
        self._ended[key] = log.event

    _see_EpochVoid = _end

    def _see_EpochFinal(self, log: Log) -> None:
        self._end(log)
        key = (log["taskId"], log["epoch"])
        _must(len(self._scores[key]) == self._sealed[key]["submissions"], "a submission has no score", log)

    # Verifiers.

    def _weight(self, task_id: int, epoch: int, verifier: str) -> int:
        """As anybody can tell it from the log: the latest change that holds from this epoch or an earlier one."""
        changes = [weight for since, weight in self._weights[task_id, verifier] if since <= epoch]
        return changes[-1] if changes else 0

    def _change(self, log: Log, weight: int) -> None:
        task_id, verifier, since = log["taskId"], log["verifier"], log["fromEpoch"]
        recent = max((epoch for task, epoch in self._sealed if task == task_id), default=-1)
        before = [self._weight(task_id, epoch, verifier) for epoch in range(max(0, recent - 9), recent + 1)]
        self._weights[task_id, verifier].append((since, weight))
        after = [self._weight(task_id, epoch, verifier) for epoch in range(max(0, recent - 9), recent + 1)]
        _must(before == after, "a weight in a sealed epoch changes", log)
        closed = (task_id, recent + 1) in self._closed
        _must(not closed or since > recent + 1, "a weight in a closed epoch changes", log)

    def _see_VerifierEnlisted(self, log: Log) -> None:
        self._change(log, log["weight"])

    def _see_VerifierDelisted(self, log: Log) -> None:
        self._change(log, 0)

    def _see_VerifierSlashed(self, log: Log) -> None:
        # Of who has left before, it tells when that took effect.
        has_left = self._weights[log["taskId"], log["verifier"]][-1] == (log["fromEpoch"], 0)
        if not has_left:
            self._change(log, log["weight"])

    # Attestations.

    def _see_AttestationCommitted(self, log: Log) -> None:
        place = (log["taskId"], log["epoch"], log["verifier"])
        _must(place not in self._committed, "a verifier commits twice", log)
        _must(self._weight(*place) > 0, "a stranger commits", log)
        self._committed.add(place)

    def _see_AttestationRevealed(self, log: Log) -> None:
        key, verifier = (log["taskId"], log["epoch"]), log["verifier"]
        revealed = self._revealed[key]
        _must((*key, verifier) in self._committed, "a verifier reveals that has not committed", log)
        _must(verifier not in revealed, "a verifier reveals twice", log)
        _must(log["weight"] == self._weight(*key, verifier) > 0, "a report has another weight than its verifier", log)
        _must(len(log["report"]) == self._sealed[key]["submissions"], "a report judges other submissions", log)
        _must(key not in self._ended, "a report comes after the end", log)
        _must(key not in self._scores or not self._scores[key], "a report comes after it was settled", log)
        revealed[verifier] = log
        weight = sum(each["weight"] for each in revealed.values())
        _must(weight <= self._sealed[key]["weight"], "more has revealed than is enlisted", log)

    def _see_AbsenceSlashed(self, log: Log) -> None:
        place = (log["taskId"], log["epoch"], log["verifier"])
        _must(place[2] not in self._revealed[place[:2]], "who has revealed is slashed as absent", log)
        _must(self._weight(*place) > 0, "a stranger is slashed as absent", log)
        _must(place not in self._absent, "somebody is absent twice", log)
        _must(len(self._revealed[place[:2]]) > 0, "somebody is absent where nobody was there", log)
        self._absent.add(place)

    # Scores.

    def _see_ScoresSettled(self, log: Log) -> None:
        key = (log["taskId"], log["epoch"])
        _must(log["first"] == len(self._scores[key]), "a submission is settled twice, or left out", log)
        quorum = self._terms[key[0]]["quorumBps"] * self._sealed[key]["weight"]
        weight = sum(each["weight"] for each in self._revealed[key].values())
        _must(weight * 10_000 >= quorum, "an epoch is settled without a quorum", log)
        for index, score in enumerate(log["scores"], start=log["first"]):
            said = [each["report"][index] for each in self._revealed[key].values()]
            _must(score in said or score == 0, "a score that nobody gave", log)
            behind = sum(each["weight"] for each in self._revealed[key].values() if each["report"][index] == FRAUD)
            _must((score == FRAUD) == (behind > 0 and behind * 10_000 >= quorum), "a fraud without a quorum", log)
        self._scores[key] += log["scores"]

    def _see_ScoreCorrected(self, log: Log) -> None:
        key = (log["taskId"], log["epoch"])
        _must(key not in self._ended, "a score changes after the end", log)
        scores = bytearray(self._scores[key])
        scores[log["index"]] = log["score"]
        self._scores[key] = bytes(scores)

    def _finish(self, log: Log) -> None:
        place = (log["taskId"], log["epoch"], log["index"])
        _must(place in self._submissions, "a submission ends that there is not", log)
        _must(place not in self._done, f"a submission ends that was {self._done.get(place)} already", log)
        self._done[place] = log.event

    def _see_Claimed(self, log: Log) -> None:
        self._finish(log)
        key = (log["taskId"], log["epoch"])
        submission, score = self._submissions[*key, log["index"]], self._scores[key]
        _must(key in self._ended, "a submission is paid before the end", log)
        price = submission["units"] * self._terms[key[0]]["kinds"][submission["kind"]]["unitPrice"]
        percent = score[log["index"]] if self._ended[key] == "EpochFinal" else 0
        _must(percent != FRAUD, "a fraud is paid", log)
        _must(log["amount"] * 100 <= price * (percent if percent <= 100 else 0), "a submission is paid too much", log)
        _must(submission["trainer"] == log["trainer"], "somebody else is paid", log)

    def _see_FraudSlashed(self, log: Log) -> None:
        self._finish(log)
        key = (log["taskId"], log["epoch"])
        is_fraud = self._ended.get(key) == "EpochFinal" and self._scores[key][log["index"]] == FRAUD
        _must(is_fraud, "somebody is slashed for what is no fraud", log)
        if log["reporter"] == self.appeals:
            self._pledged[key] += log["reporterAmount"]

    def _see_PlantOpened(self, log: Log) -> None:
        self._finish(log)

    # Policies.

    def _see_PolicySkipped(self, log: Log) -> None:
        _must(log["epoch"] == self._policies[log["taskId"]], "policies come out of order", log)
        self._policies[log["taskId"]] += 1

    def _see_PolicyPublished(self, log: Log) -> None:
        self._see_PolicySkipped(log)
        self._versions[log["taskId"]] += 1
        _must(log["version"] == self._versions[log["taskId"]], "a version is left out", log)

    # Appeals.

    def _see_ChallengeCommitted(self, log: Log) -> None:
        terms, key = self._terms[log["taskId"]], (log["taskId"], log["epoch"])
        _must(key not in self._ended, "an epoch is challenged after its end", log)
        self._pledged[key] += terms["challengeBond"] + PANEL_SEATS * terms["jurorFee"]

    def _spend(self, key: EpochKey, amount: int, log: Log) -> None:
        self._pledged[key] -= amount
        _must(self._pledged[key] >= 0, "Appeals pays what was put down for another epoch", log)

    def _see_ChallengeExpired(self, log: Log) -> None:
        self._spend((log["taskId"], log["epoch"]), log["burnt"], log)

    def _see_AppealPaid(self, log: Log) -> None:
        self._spend((log["taskId"], log["epoch"]), log["amount"], log)

    def _see_VerdictSlashed(self, log: Log) -> None:
        self._pledged[log["taskId"], log["epoch"]] += log["toFinder"]
        place = (log["taskId"], log["epoch"], log["verifier"])
        _must(place[2] in self._revealed[place[:2]], "somebody is blamed that said nothing", log)

    def _see_ChallengeRevealed(self, log: Log) -> None:
        self._challengers[log["taskId"], log["epoch"], log["index"]].append(log["challenger"])

    def _see_PanelDrawn(self, log: Log) -> None:
        place, jurors = (log["taskId"], log["epoch"], log["index"]), list(log["jurors"])
        _must(len(jurors) in (0, PANEL_SEATS) and place not in self._panels, "a panel is not full, or the second", log)
        for juror in jurors:
            _must(self._weight(*place[:2], juror) == 0, "who judged sits on the panel", log)
            _must(juror != self._submissions[place]["trainer"], "a trainer judges its own submission", log)
            _must(juror not in self._challengers[place], "a challenger judges its own challenge", log)
        self._panels[place] = jurors

    def _see_VoteRevealed(self, log: Log) -> None:
        place, juror = (log["taskId"], log["epoch"], log["index"]), log["juror"]
        _must(self._panels[place].count(juror) == log["seats"] > 0, "somebody votes with seats it has not", log)
        _must((*place, juror) not in self._voted and place not in self._decided, "a juror votes twice, or late", log)
        self._voted.add((*place, juror))

    def _see_DisputeDecided(self, log: Log) -> None:
        place = (log["taskId"], log["epoch"], log["index"])
        _must(place not in self._decided, "a dispute is decided twice", log)
        is_undecided = log["phase"] == DisputePhase.UNDECIDED and not log["isAgainstVerifiers"]
        _must(bool(self._panels.get(place)) or is_undecided, "nobody has judged, and something is decided", log)
        was_missing = self._scores[place[:2]][place[2]] == UNAVAILABLE
        _must(not was_missing or not log["isAgainstVerifiers"], "verifiers are blamed for bytes that were missing", log)
        self._decided.add(place)
        bond = self._terms[place[0]]["challengeBond"]
        lost = {DisputePhase.UPHELD: bond, DisputePhase.UNDECIDED: bond - bond // 2}.get(log["phase"], 0)
        self._spend(place[:2], len(self._challengers[place]) * lost, log)
