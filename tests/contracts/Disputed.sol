// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {DisputePhase, IAppeals} from "../../contracts/interfaces/IAppeals.sol";
import {EpochPhase, IAttestations} from "../../contracts/interfaces/IAttestations.sol";
import {TaskParams} from "../../contracts/interfaces/ITaskRegistry.sol";
import {Network} from "./Network.sol";

/// Of the submissions of epoch 0, one got everything, one is called fraud, one got nothing; all verifiers agree on
/// that.
abstract contract Disputed is Network {
    bytes internal constant REPORT = hex"64ff00";
    uint128 internal constant PREPAID = 15 * UNIT / 10;
    uint8 internal constant ABSENT = 250; // nobody's vote

    address internal immutable rival = vm.addr(79);

    function _settled() internal returns (uint256) {
        return _settled(_params(), REPORT);
    }

    function _settled(TaskParams memory params, bytes memory report) internal returns (uint256 taskId) {
        taskId = _staff(_openTask(params, 1000 * UNIT));
        _commitAllAndSeal(taskId);
        _attest(taskId, 0, report);
        _settle(taskId, 0, report);
    }

    /// The outsider disputes a submission before a panel of as many jurors as there are, 15 at most.
    function _drawn(uint16 index, uint8 score, uint256 jurors) internal returns (uint256 taskId) {
        _seatJurors(jurors);
        taskId = _settled();
        _challenge(taskId, 0, index, score);
        _drawOf(taskId, index);
    }

    function _drawOf(uint256 taskId, uint16 index) internal {
        _draw(taskId, 0, _trainerOf(index), index);
    }

    function _trainerOf(uint16 index) internal view returns (address) {
        return index == 0 ? trainer : index == 1 ? secondTrainer : thirdTrainer;
    }

    /// Who sits on a panel, of the jurors that only judge: in ascending order of their numbers.
    function _panel(uint256 taskId, uint16 index) internal view returns (address[] memory jurors) {
        jurors = new address[](15);
        uint256 count;
        for (uint256 i; i < 40 && count < 15; ++i) {
            if (appeals.seatsOf(taskId, 0, index, _juror(i)) > 0) jurors[count++] = _juror(i);
        }
        // Shortens the list.
        assembly ("memory-safe") {
            mstore(jurors, count)
        }
    }

    /// A score for each juror of the panel; ABSENT: it does nothing. Then the dispute is decided.
    function _decideWith(uint256 taskId, uint16 index, bytes memory scores, bool beyond) internal {
        _voteWith(taskId, index, scores, beyond);
        appeals.decide(taskId, 0, index);
    }

    function _voteWith(uint256 taskId, uint16 index, bytes memory scores, bool beyond) internal {
        address[] memory jurors = _panel(taskId, index);
        vm.assertEq(jurors.length, scores.length, "a score for each");
        for (uint256 i; i < scores.length; ++i) {
            if (uint8(scores[i]) == ABSENT) continue;
            _commitVote(taskId, 0, index, jurors[i], uint8(scores[i]), beyond);
        }
        if (appeals.phaseOf(taskId, 0, index) == DisputePhase.AppealCommit) _wait(100);
        for (uint256 i; i < scores.length; ++i) {
            if (uint8(scores[i]) == ABSENT) continue;
            _revealVote(taskId, 0, index, jurors[i], uint8(scores[i]), beyond);
        }
    }

    /// `count` jurors who vote alike, then others.
    function _votes(uint256 count, uint8 score, uint256 others, uint8 other)
        internal
        pure
        returns (bytes memory scores)
    {
        scores = new bytes(count + others);
        for (uint256 i; i < count + others; ++i) {
            scores[i] = bytes1(i < count ? score : other);
        }
    }

    function _claimVotes(uint256 taskId, uint16 index) internal returns (uint256 paid) {
        for (uint256 i; i < 40; ++i) {
            if (appeals.seatsOf(taskId, 0, index, _juror(i)) == 0) continue;
            try appeals.claimVote(taskId, 0, index, _juror(i)) returns (uint128 amount) {
                paid += amount;
            } catch {}
        }
    }

    function _assertClaim(uint256 taskId, uint32 id, uint256 expected) internal {
        (address who,,,) = appeals.challengeOf(taskId, 0, id);
        vm.assertEq(appeals.owedTo(taskId, 0, id), expected, "owed");
        uint256 before = token.balanceOf(who);
        appeals.claimChallenge(taskId, 0, id);
        vm.assertEq(token.balanceOf(who) - before, expected, "claimed");
    }

    function _assertScore(uint256 taskId, uint16 index, uint8 expected, DisputePhase phase) internal view {
        vm.assertEq(attestations.scoreOf(taskId, 0, index), expected, "score");
        _assertPhase(taskId, 0, index, phase);
    }

    function _wrongDispute(uint256 taskId, uint16 index, DisputePhase phase) internal pure returns (bytes memory) {
        return abi.encodeWithSelector(IAppeals.WrongDispute.selector, taskId, 0, index, phase);
    }

    function _wrongEpoch(uint256 taskId, EpochPhase phase) internal pure returns (bytes memory) {
        return abi.encodeWithSelector(IAttestations.WrongPhase.selector, taskId, 0, phase);
    }

    function _nothing(uint256 taskId, uint16 index, address to) internal pure returns (bytes memory) {
        return abi.encodeWithSelector(IAppeals.NothingToPay.selector, taskId, 0, index, to);
    }
}
