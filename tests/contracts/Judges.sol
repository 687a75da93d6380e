// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ChallengeState, DisputePhase} from "../../contracts/interfaces/IAppeals.sol";
import {EpochPhase} from "../../contracts/interfaces/IAttestations.sol";
import {Submission} from "../../contracts/interfaces/ICommitments.sol";
import {Ledger} from "./Ledger.sol";

/// How verifiers, challengers and jurors of a campaign behave: mostly they agree, so that epochs come to an end; some
/// keep silent, err, copy what others have said, or say what means nothing.
abstract contract Judges is Ledger {
    uint256 internal constant KEYS = 30; // private keys of the operators; their worker keys follow 30 later
    uint32 internal constant WINDOW = 120; // of attestations, reveals, and each stage of an appeal
    uint8 internal constant FRAUD = 255;
    uint8 internal constant UNAVAILABLE = 254;
    uint256 private constant _ANY = 1024;

    // Reports.

    function _commitReports(uint64 epoch) internal {
        for (uint256 i; i < 5; ++i) {
            if (!_chance(8)) _commitReport(epoch, _keyOf(operators[i]));
        }
    }

    function _commitReport(uint64 epoch, address key) private {
        address who = staking.operatorOf(key);
        if (_reports[_current][epoch][who].length > 0 && !_dares()) return;
        bytes memory report = _opinion(epoch);
        bytes32 salt = _chance(8) ? SALT : bytes32(_random());
        bytes32 commitment = keccak256(abi.encode(attestations.seedOf(_current, epoch), who, keccak256(report), salt));
        if (_chance(24)) commitment = _oddCommitment(epoch, commitment, report);
        bytes memory sealedReport = new bytes(_chance(8) ? _roll(400) : 0);
        bytes memory data = _commitCall(epoch, commitment, sealedReport);
        if (!_try("commit report", key, address(attestations), data)) return;
        _once("committed twice", abi.encode(_current, epoch, who));
        (_reports[_current][epoch][who], _salts[_current][epoch][who]) = (report, salt);
        _must(verifiers.weightAt(_current, epoch, who) > 0, "committed without a weight");
    }

    /// What all think of an epoch; some think otherwise of a submission, or of all.
    function _opinion(uint64 epoch) private returns (bytes memory report) {
        Submission[] storage submissions = _submissions[_current][epoch];
        report = new bytes(submissions.length);
        bool isRandom = _chance(10);
        for (uint256 i; i < report.length; ++i) {
            report[i] = isRandom ? bytes1(uint8(_roll(256))) : _truth(epoch, i, submissions[i]);
            if (_isPlanted[submissions[i].manifestRoot] && _chance(4)) report[i] = bytes1(uint8(100)); // has not looked
        }
        if (_chance(3)) report[_roll(report.length)] = bytes1(uint8(_chance(2) ? 100 : 255));
    }

    function _truth(uint64 epoch, uint256 i, Submission memory submission) private view returns (bytes1) {
        uint256 chance = uint256(keccak256(abi.encode(_current, epoch, i, "truth")));
        if (_isPlanted[submission.manifestRoot] || chance % 6 == 0) return bytes1(FRAUD);
        if (chance % 11 == 0) return bytes1(UNAVAILABLE);
        return bytes1(uint8(chance >> 8) % 101);
    }

    /// A commitment that somebody else made, a hash of it, of the report, or a number.
    function _oddCommitment(uint64 epoch, bytes32 commitment, bytes memory report) private returns (bytes32) {
        address other = operators[_roll(5)];
        bytes memory theirs = _reports[_current][epoch][other];
        bytes32 salt = _salts[_current][epoch][other];
        bytes32 seed = attestations.seedOf(_current, epoch);
        bytes32[5] memory odd = [
            keccak256(abi.encode(seed, other, keccak256(theirs), salt)),
            keccak256(abi.encode(commitment)),
            keccak256(report),
            bytes32(_roll(3)),
            bytes32(uint256(bytes32(commitment)) >> 8)
        ];
        return odd[_roll(5)];
    }

    function _revealReports(uint64 epoch) internal {
        for (uint256 i; i < 5; ++i) {
            if (!_chance(12)) _revealReport(epoch, _keyOf(operators[i]));
        }
        _copyReports(epoch);
    }

    function _revealReport(uint64 epoch, address key) private {
        address who = staking.operatorOf(key);
        bytes memory report = _reports[_current][epoch][who];
        (bytes31 known,,) = attestations.attestationOf(_current, epoch, who);
        if ((known != 0 || report.length == 0) && !_dares()) return;
        (,,,, uint16 before, uint128 weightBefore,) = attestations.tallyOf(_current, epoch);
        bytes memory data = _revealCall(epoch, report, _salts[_current][epoch][who]);
        if (!_try("reveal report", key, address(attestations), data)) return;
        _once("revealed twice", abi.encode(_current, epoch, who));
        (bytes31 hash, uint128 weight,) = attestations.attestationOf(_current, epoch, who);
        (,,,, uint16 revealed, uint128 weightAfter,) = attestations.tallyOf(_current, epoch);
        _must(hash == bytes31(keccak256(report)), "another report than was revealed");
        _must(revealed == before + 1 && weightAfter == weightBefore + weight, "a reveal counts not once");
    }

    /// What others committed to or revealed, or one has revealed already, is nobody's to reveal. Two who think alike
    /// and take the same salt reveal each its own.
    function _copyReports(uint64 epoch) internal {
        address who = operators[_roll(5)];
        address other = operators[_roll(5)];
        bytes memory theirs = _reports[_current][epoch][other];
        bytes32 salt = _salts[_current][epoch][other];
        address actor = staking.operatorOf(who);
        bytes memory which = abi.encode(bytes32("revealed twice"), abi.encode(_current, epoch, actor));
        bool isOwn =
            salt == _salts[_current][epoch][actor] && keccak256(theirs) == keccak256(_reports[_current][epoch][actor]);
        if (!isOwn || _times[keccak256(which)] > 0) {
            _tryForbidden("revealed another's", who, address(attestations), _revealCall(epoch, theirs, salt));
        }
        (bytes31 hash,,) = attestations.attestationOf(_current, epoch, other);
        bytes memory hashes = abi.encodePacked(hash, keccak256(theirs));
        _tryForbidden("revealed a hash", who, address(attestations), _revealCall(epoch, hashes, salt));
    }

    function _commitCall(uint64 epoch, bytes32 commitment, bytes memory sealedReport)
        internal
        view
        returns (bytes memory)
    {
        return abi.encodeCall(attestations.commitAttestation, (_current, epoch, commitment, sealedReport));
    }

    function _revealCall(uint64 epoch, bytes memory report, bytes32 salt) internal view returns (bytes memory) {
        return abi.encodeCall(attestations.revealAttestation, (_current, epoch, report, salt, EVIDENCE));
    }

    // Scores.

    /// Some submissions at a time; and never by fewer, more or unsorted reports.
    function _settleEpoch(uint64 epoch) internal {
        bytes[] memory reports = _revealed(epoch);
        if (_chance(3)) _settleOddly(epoch, reports);
        _settleSome(epoch, reports, _chance(2) ? type(uint16).max : uint16(_roll(4)));
    }

    function _settleAll(uint64 epoch) internal {
        if (attestations.phaseOf(_current, epoch) != EpochPhase.Attested) return;
        _settleSome(epoch, _revealed(epoch), 2);
        _settleSome(epoch, _revealed(epoch), type(uint16).max);
        bool isStuck = attestations.phaseOf(_current, epoch) == EpochPhase.Attested;
        _must(!isStuck, "an epoch that nobody can settle");
    }

    function _settleSome(uint64 epoch, bytes[] memory reports, uint16 count) private {
        (, uint16 first,,,,,) = attestations.tallyOf(_current, epoch);
        bytes memory data = abi.encodeCall(attestations.settle, (_current, epoch, reports, count));
        if (!_try("settle", outsider, address(attestations), data)) return;
        (, uint16 end,,,,,) = attestations.tallyOf(_current, epoch);
        _must(end >= first, "settled backwards");
        for (uint16 index = first; index < end; ++index) {
            _must(_isScoreRight(epoch, index), "a score that no weight explains");
        }
    }

    function _settleOddly(uint64 epoch, bytes[] memory reports) private {
        bytes[] memory odd = new bytes[](_chance(2) || reports.length == 0 ? reports.length + 1 : reports.length - 1);
        for (uint256 i; i < odd.length; ++i) {
            odd[i] = i < reports.length ? reports[i] : new bytes(_submissionsOf(_current, epoch));
        }
        bytes memory data = abi.encodeCall(attestations.settle, (_current, epoch, odd, 1));
        _tryForbidden("settled by other reports", outsider, address(attestations), data);
        if (reports.length < 2) return;
        (reports[0], reports[1]) = (reports[1], reports[0]);
        data = abi.encodeCall(attestations.settle, (_current, epoch, reports, 1));
        _tryForbidden("settled by unsorted reports", outsider, address(attestations), data);
        (reports[0], reports[1]) = (reports[1], reports[0]);
    }

    /// Fraud exactly where a quorum of all says so; else unavailable where half of those who spoke say so; else the
    /// lower median of what they say, with everything else a zero.
    function _isScoreRight(uint64 epoch, uint16 index) private view returns (bool) {
        uint8 score = attestations.scoreOf(_current, epoch, index);
        (,,,,, uint256 total,) = attestations.tallyOf(_current, epoch);
        (uint256 fraud, uint256 unavailable, uint256 below, uint256 upTo) = _behind(epoch, index, score);
        bool isFraud = fraud >= attestations.quorumOf(_current, epoch);
        if (isFraud || score == FRAUD) return isFraud && score == FRAUD;
        bool isUnavailable = unavailable * 2 >= total;
        if (isUnavailable || score == UNAVAILABLE) return isUnavailable && score == UNAVAILABLE;
        return score <= 100 && upTo * 2 >= total && (below * 2 < total || score == 0);
    }

    /// Weight that says fraud, or unavailable; that says less than `score`; that says no more.
    function _behind(uint64 epoch, uint16 index, uint8 score)
        private
        view
        returns (uint256 fraud, uint256 unavailable, uint256 below, uint256 upTo)
    {
        for (uint256 i; i < BONDERS; ++i) {
            (bytes31 hash, uint256 weight,) = attestations.attestationOf(_current, epoch, people[i]);
            if (hash == 0) continue;
            uint8 said = uint8(_reports[_current][epoch][people[i]][index]);
            if (said == FRAUD) fraud += weight;
            if (said == UNAVAILABLE) unavailable += weight;
            uint8 pays = said > 100 ? 0 : said;
            if (pays < score) below += weight;
            if (pays <= score) upTo += weight;
        }
    }

    /// Every distinct report revealed, in ascending order of hashes. Jurors judge too, once they have an operator's
    /// key.
    function _revealed(uint64 epoch) internal view returns (bytes[] memory reports) {
        reports = new bytes[](BONDERS);
        uint256 count;
        for (uint256 i; i < BONDERS; ++i) {
            (bytes31 hash,,) = attestations.attestationOf(_current, epoch, people[i]);
            if (hash == 0) continue;
            bytes memory report = _reports[_current][epoch][people[i]];
            bool isKnown;
            for (uint256 k; k < count; ++k) {
                isKnown = isKnown || keccak256(reports[k]) == keccak256(report);
            }
            if (!isKnown) reports[count++] = report;
        }
        // Shortens the list to those that were found.
        assembly ("memory-safe") {
            mstore(reports, count)
        }
        _sort(reports);
    }

    function _finaliseEpoch(uint64 epoch) internal {
        (,, uint40 challengeBy,) = attestations.scheduleOf(_current, epoch);
        bool isHeard = _isAnybodyHeard(epoch);
        if ((_now() < challengeBy || isHeard) && !_dares()) return;
        bytes memory data = abi.encodeCall(attestations.finalise, (_current, epoch));
        if (!_try("finalise", outsider, address(attestations), data)) return;
        _must(_now() >= challengeBy, "final too soon");
        _must(!isHeard, "final while somebody is heard");
    }

    /// Whether a challenge of an epoch is neither decided nor expired.
    function _isAnybodyHeard(uint64 epoch) private view returns (bool isHeard) {
        for (uint256 i; i < _challenges.length; ++i) {
            PlacedChallenge storage placed = _challenges[i];
            if (placed.taskId != _current || placed.epoch != epoch) continue;
            (, ChallengeState state, uint16 index,) = appeals.challengeOf(_current, epoch, placed.id);
            bool isDecided = appeals.phaseOf(_current, epoch, index) >= DisputePhase.Upheld;
            isHeard = isHeard || state == ChallengeState.Committed || state == ChallengeState.Revealed && !isDecided;
        }
    }

    /// Where no quorum revealed; or where nobody settled for as long as bonds answer.
    function _voidEpoch(uint64 epoch) internal {
        EpochPhase phase = attestations.phaseOf(_current, epoch);
        (, uint256 revealBy,,) = attestations.scheduleOf(_current, epoch);
        bool isStale = phase == EpochPhase.Attested && _now() >= revealBy + UNBONDING;
        bool isDue = phase == EpochPhase.Missed || isStale;
        if (!isDue && !_dares()) return;
        bytes memory data = abi.encodeCall(attestations.voidEpoch, (_current, epoch));
        if (_try("void", outsider, address(attestations), data)) _must(isDue, "void, though it could be judged");
    }

    // Policies.

    /// Signed by some of those who judged, with whichever key; a quorum of weight decides.
    function _publish(uint64 epoch, string memory uri) internal {
        bytes[] memory signatures = new bytes[](5);
        (address last, uint256 weight, uint256 count) = (address(0), 0, 0);
        for (uint256 turn; turn < 5; ++turn) {
            uint256 i = _nextAbove(last);
            last = operators[i];
            if (_chance(8)) continue;
            bool isByWorker = _chance(2) && staking.operatorOf(vm.addr(2 * KEYS + i)) == last;
            signatures[count++] = _signPolicy(isByWorker ? 2 * KEYS + i : KEYS + i, _current, epoch, ROOT);
            weight += verifiers.weightAt(_current, epoch, isByWorker ? last : staking.operatorOf(last));
        }
        assembly ("memory-safe") {
            mstore(signatures, count)
        }
        bytes memory data = abi.encodeCall(policies.publishPolicy, (_current, epoch, ROOT, uri, signatures));
        if (!_try("publish policy", outsider, address(policies), data)) return;
        _must(weight >= attestations.quorumOf(_current, epoch), "a policy without a quorum");
    }

    /// The operator whose address follows.
    function _nextAbove(address last) private view returns (uint256 found) {
        address least = address(type(uint160).max);
        for (uint256 i; i < 5; ++i) {
            if (operators[i] > last && operators[i] <= least) (found, least) = (i, operators[i]);
        }
    }

    // Challenges.

    function _commitChallenges(uint64 epoch) internal {
        for (uint256 count = _roll(3); count > 0; --count) {
            _commitChallenge(epoch);
        }
    }

    function _commitChallenge(uint64 epoch) private {
        if (_challenges.length >= 12) return; // all are looked at after every step
        PlacedChallenge memory placed;
        (placed.taskId, placed.epoch, placed.challenger) = (_current, epoch, people[_chance(3) ? _roll(9) : 8]);
        uint8[5] memory scores = [FRAUD, FRAUD, 0, 100, 50];
        placed.score = _chance(24) ? uint8(_roll(256)) : scores[_roll(5)];
        placed.index = uint16(_roll(_submissionsOf(_current, epoch) + (_chance(16) ? 1 : 0)));
        placed.salt = bytes32(_random());
        bytes32 commitment = _chance(24) ? bytes32(_roll(2)) : _commitmentOf(placed);
        bytes memory data = abi.encodeCall(appeals.commitChallenge, (_current, epoch, commitment));
        if (!_try("challenge", placed.challenger, address(appeals), data)) return;
        placed.id = abi.decode(_returned, (uint32));
        _challenges.push(placed);
    }

    function _commitmentOf(PlacedChallenge memory placed) private pure returns (bytes32) {
        return
            keccak256(
                abi.encode(placed.taskId, placed.epoch, placed.challenger, placed.index, placed.score, placed.salt)
            );
    }

    function _revealChallenge(PlacedChallenge memory placed) internal {
        (, ChallengeState state,,) = appeals.challengeOf(_current, placed.epoch, placed.id);
        if (state != ChallengeState.Committed && !_dares()) return;
        if (_chance(8)) return _expire(placed);
        (,, uint40 from,) = attestations.scheduleOf(_current, placed.epoch);
        if ((_now() < from || _now() >= _revealedBy(placed.epoch)) && !_dares()) return;
        bytes memory data = abi.encodeCall(
            appeals.revealChallenge, (_current, placed.epoch, placed.id, placed.index, placed.score, placed.salt)
        );
        _try("reveal challenge", _chance(2) ? outsider : placed.challenger, address(appeals), data);
        data = abi.encodeCall(
            appeals.revealChallenge, (_current, placed.epoch, placed.id, placed.index, placed.score ^ 1, placed.salt)
        );
        _tryForbidden("revealed another challenge", outsider, address(appeals), data);
    }

    function _expire(PlacedChallenge memory placed) internal {
        (, ChallengeState state,,) = appeals.challengeOf(_current, placed.epoch, placed.id);
        if (_now() < _revealedBy(placed.epoch) && !_dares()) return;
        if (state != ChallengeState.Committed && !_dares()) return;
        bytes memory data = abi.encodeCall(appeals.expireChallenge, (_current, placed.epoch, placed.id));
        if (!_try("expire challenge", outsider, address(appeals), data)) return;
        _must(_now() >= _revealedBy(placed.epoch), "expired too soon");
    }

    /// When all challenges of an epoch are revealed.
    function _revealedBy(uint64 epoch) private view returns (uint256) {
        (,, uint40 challengeBy,) = attestations.scheduleOf(_current, epoch);
        return challengeBy + WINDOW;
    }

    // Panels.

    function _summon(PlacedChallenge memory placed) internal {
        if (appeals.phaseOf(_current, placed.epoch, placed.index) != DisputePhase.Revealed && !_dares()) return;
        if (_now() < _revealedBy(placed.epoch) && !_dares()) return;
        bytes memory data = abi.encodeCall(appeals.summonPanel, (_current, placed.epoch, placed.index));
        _try("summon panel", outsider, address(appeals), data);
    }

    function _drawPanel(PlacedChallenge memory placed) internal {
        if (placed.index >= _submissions[_current][placed.epoch].length) return;
        if (appeals.phaseOf(_current, placed.epoch, placed.index) != DisputePhase.Revealed && !_dares()) return;
        if (_now() < _revealedBy(placed.epoch) && !_dares()) return;
        Submission memory submission = _submissions[_current][placed.epoch][placed.index];
        bytes memory data = abi.encodeCall(appeals.drawPanel, (_current, placed.epoch, submission, ""));
        if (!_try("draw panel", outsider, address(appeals), data)) return;
        uint256 seated;
        for (uint256 i; i < people.length; ++i) {
            uint256 seats_ = appeals.seatsOf(_current, placed.epoch, placed.index, people[i]);
            seated += seats_;
            bool isParty = people[i] == submission.trainer || verifiers.weightAt(_current, placed.epoch, people[i]) > 0
                || appeals.isChallenger(_current, placed.epoch, placed.index, people[i]);
            _must(seats_ == 0 || !isParty, "a party judges");
        }
        (,,, uint16 seats,,,) = appeals.disputeOf(_current, placed.epoch, placed.index);
        _must(seated == seats && (seats == 15 || seats == 0), "seats of nobody, or of a few");
    }

    function _commitVotes(PlacedChallenge memory placed) internal {
        if (appeals.phaseOf(_current, placed.epoch, placed.index) != DisputePhase.AppealCommit) return;
        (,, bytes32 seed,,,,) = appeals.disputeOf(_current, placed.epoch, placed.index);
        for (uint256 i; i < people.length; ++i) {
            if (_chance(8)) continue;
            _commitVote(placed, seed, _keyOf(people[i]));
        }
    }

    function _commitVote(PlacedChallenge memory placed, bytes32 seed, address key) private {
        address who = staking.operatorOf(key);
        bool isOn = appeals.seatsOf(_current, placed.epoch, placed.index, who) > 0;
        if (!isOn && !_dares()) return;
        (uint8 score, bool beyond) = _verdict(placed);
        bytes32 vote = keccak256(abi.encode(seed, who, keccak256(abi.encode(score, beyond)), SALT));
        bytes memory data = abi.encodeCall(appeals.commitVote, (_current, placed.epoch, placed.index, vote));
        if (!_try("commit vote", key, address(appeals), data)) return;
        _must(isOn, "voted without a seat");
        _votes[_voteOf(placed, who)] = 1 + uint256(score) + (beyond ? 512 : 0);
    }

    /// What most jurors think: what stands, the challenger's, fraud, or nothing that could be had.
    function _verdict(PlacedChallenge memory placed) private returns (uint8 score, bool beyond) {
        (uint8 standing,,,,,,) = appeals.disputeOf(_current, placed.epoch, placed.index);
        uint256 chance = uint256(keccak256(abi.encode(_current, placed.epoch, placed.index, "verdict")));
        uint8[6] memory scores = [standing, placed.score, placed.score, FRAUD, 0, UNAVAILABLE];
        if (_chance(6)) chance = _random();
        return (scores[chance % 6], (chance >> 8) % 4 == 0);
    }

    function _revealVotes(PlacedChallenge memory placed) internal {
        if (appeals.phaseOf(_current, placed.epoch, placed.index) != DisputePhase.AppealReveal) return;
        for (uint256 i; i < people.length; ++i) {
            address key = _keyOf(people[i]);
            uint256 vote = _votes[_voteOf(placed, staking.operatorOf(key))];
            if (vote == 0 || _chance(12)) continue;
            _revealVote(placed, key, uint8(vote - 1), vote > 512);
        }
    }

    function _revealVote(PlacedChallenge memory placed, address key, uint8 score, bool beyond) private {
        bytes memory data =
            abi.encodeCall(appeals.revealVote, (_current, placed.epoch, placed.index, score, !beyond, SALT));
        _tryForbidden("another vote", key, address(appeals), data);
        data = abi.encodeCall(appeals.revealVote, (_current, placed.epoch, placed.index, score, beyond, SALT));
        if (!_try("reveal vote", key, address(appeals), data)) return;
        _once("voted twice", abi.encode(_voteOf(placed, staking.operatorOf(key))));
        if (_chance(4)) _tryForbidden("voted again", key, address(appeals), data);
    }

    function _decide(PlacedChallenge memory placed) internal {
        if (appeals.phaseOf(_current, placed.epoch, placed.index) != DisputePhase.Decidable && !_dares()) return;
        bytes memory data = abi.encodeCall(appeals.decide, (_current, placed.epoch, placed.index));
        if (!_try("decide", outsider, address(appeals), data)) return;
        _once("decided twice", abi.encode(_current, placed.epoch, placed.index));
        DisputePhase outcome = appeals.phaseOf(_current, placed.epoch, placed.index);
        if (outcome == DisputePhase.Upheld) ++successes["upheld"];
        if (outcome == DisputePhase.Overturned) ++successes["overturned"];
        if (outcome == DisputePhase.Undecided) ++successes["undecided"];
        (uint8 standing, uint8 score,, uint16 seats,,, bool isAgainst) =
            appeals.disputeOf(_current, placed.epoch, placed.index);
        _must(score == attestations.scoreOf(_current, placed.epoch, placed.index), "another score than was decided");
        _must((outcome == DisputePhase.Overturned) == (score != standing), "overturned to the same");
        bool isNothing = outcome == DisputePhase.Undecided && !isAgainst;
        _must(seats == 15 || seats == 0 && isNothing, "fewer than a panel decide");
        _must(standing != UNAVAILABLE || !isAgainst, "blamed for missing bytes");
        _must(_isVerdictRight(placed, outcome), "a verdict that no seats explain");
    }

    /// Nothing is decided by half of the seats or fewer; what all who voted say about what stands is what is decided;
    /// two thirds of all seats blame verifiers, or nobody does.
    function _isVerdictRight(PlacedChallenge memory placed, DisputePhase outcome) private view returns (bool) {
        (uint8 standing, uint8 score,, uint256 seats,,, bool isAgainst) =
            appeals.disputeOf(_current, placed.epoch, placed.index);
        uint256 cast = _seatsSaying(placed, _ANY);
        bool isDecided = outcome != DisputePhase.Undecided;
        if (isDecided && cast * 2 <= seats) return false;
        uint256 forStanding = _seatsSaying(placed, standing) + _seatsSaying(placed, 512 + uint256(standing));
        bool isUnanimous = cast > 0 && forStanding == cast && standing != UNAVAILABLE;
        if (isUnanimous && cast * 3 >= seats * 2 && outcome != DisputePhase.Upheld) return false;
        return !isAgainst || _seatsSaying(placed, score) * 3 >= seats * 2;
    }

    /// Seats whose revealed vote is this: a score, 512 more if beyond; or any.
    function _seatsSaying(PlacedChallenge memory placed, uint256 said) private view returns (uint256 count) {
        for (uint256 i; i < people.length; ++i) {
            bytes32 vote = _voteOf(placed, people[i]);
            if (_times[keccak256(abi.encode(bytes32("voted twice"), abi.encode(vote)))] == 0) continue;
            if (said != _ANY && _votes[vote] != said + 1) continue;
            count += appeals.seatsOf(_current, placed.epoch, placed.index, people[i]);
        }
    }

    function _dismiss(PlacedChallenge memory placed) internal {
        if (appeals.phaseOf(_current, placed.epoch, placed.index) < DisputePhase.Upheld && !_dares()) return;
        for (uint256 i; i < people.length; ++i) {
            if (appeals.seatsOf(_current, placed.epoch, placed.index, people[i]) == 0) continue;
            bytes memory vote = abi.encode(_voteOf(placed, people[i]));
            bool hasVoted = _times[keccak256(abi.encode(bytes32("voted twice"), vote))] > 0;
            if (hasVoted && !_dares()) continue;
            bytes memory data = abi.encodeCall(appeals.dismissJuror, (_current, placed.epoch, placed.index, people[i]));
            if (_try("dismiss juror", outsider, address(appeals), data)) _must(!hasVoted, "dismissed though it voted");
        }
    }

    function _voteOf(PlacedChallenge memory placed, address who) private view returns (bytes32) {
        return keccak256(abi.encode(_current, placed.epoch, placed.index, who));
    }

    // Which.

    /// Those of the newest sealed epochs of the task that stand there.
    function _forRecent(EpochPhase phase, function(uint64) act) internal {
        uint64 end = _openEpoch(_current);
        for (uint64 epoch = end > 4 ? end - 4 : 0; epoch < end; ++epoch) {
            if (attestations.phaseOf(_current, epoch) == phase) act(epoch);
        }
    }

    function _forAll(function(uint64) act) internal {
        uint64 end = _openEpoch(_current);
        for (uint64 epoch; epoch < end; ++epoch) {
            act(epoch);
        }
    }

    /// The task's challenges in epochs that are not final yet.
    function _forOpenChallenges(function(PlacedChallenge memory) act) internal {
        for (uint256 i; i < _challenges.length; ++i) {
            PlacedChallenge memory placed = _challenges[i];
            bool isOpen =
                placed.taskId == _current && attestations.phaseOf(_current, placed.epoch) == EpochPhase.Challengeable;
            if (isOpen) act(placed);
        }
    }

    function _forChallenges(function(PlacedChallenge memory) act) internal {
        for (uint256 i; i < _challenges.length; ++i) {
            PlacedChallenge memory placed = _challenges[i];
            if (placed.taskId == _current) act(placed);
        }
    }

    /// One of the newest sealed epochs of the task.
    function _anyEpoch() internal returns (uint64 epoch, bool any) {
        uint64 end = _openEpoch(_current);
        if (end == 0) return (0, false);
        uint256 back = _roll(4);
        return (end > back ? end - 1 - uint64(back) : 0, true);
    }

    /// The next moment at which something of the task ends.
    function _nextDeadline() internal view returns (uint256 next) {
        next = _now() + 150;
        uint64 end = _openEpoch(_current);
        (,,, uint256 commitBy) = commitments.epochOf(_current, end);
        next = _sooner(next, commitBy);
        for (uint64 epoch = end > 4 ? end - 4 : 0; epoch < end; ++epoch) {
            (uint256 attestBy, uint256 revealBy, uint256 challengeBy,) = attestations.scheduleOf(_current, epoch);
            next = _sooner(_sooner(_sooner(next, attestBy), revealBy), challengeBy);
            next = _sooner(next, challengeBy + registry.paramsOf(_current).revealWindow);
        }
        for (uint256 i; i < _challenges.length; ++i) {
            PlacedChallenge storage placed = _challenges[i];
            (,,,, uint256 commitVotesBy, uint256 revealVotesBy,) =
                appeals.disputeOf(placed.taskId, placed.epoch, placed.index);
            next = _sooner(_sooner(next, commitVotesBy), revealVotesBy);
        }
    }

    function _sooner(uint256 next, uint256 moment) private view returns (uint256) {
        return moment > _now() && moment < next ? moment : next;
    }
}
