// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {EpochPhase, IAttestations} from "../../contracts/interfaces/IAttestations.sol";
import {TaskParams} from "../../contracts/interfaces/ITaskRegistry.sol";
import {Role} from "../../contracts/interfaces/IStaking.sol";
import {Submissions} from "../../contracts/libraries/Submissions.sol";
import {Judged} from "./Judged.sol";

/// From reports to scores, and from scores to the end of an epoch.
contract SettleTest is Judged {
    // settle

    function test_Settle_OneReport_IsTheOutcome() external {
        uint256 taskId = _sealedTask();
        bytes memory report = hex"65ff64"; // 101 means nothing
        _attest(taskId, 0, report);
        vm.expectEmit(address(attestations));
        emit IAttestations.ScoresSettled(taskId, 0, 0, hex"00ff64");
        vm.expectEmit(address(attestations));
        emit IAttestations.EpochSettled(taskId, 0, 1, uint40(_now() + 100));
        vm.prank(outsider);
        attestations.settle(taskId, 0, _list(report), 3);
        vm.assertEq(attestations.scoreOf(taskId, 0, 0), 0, "first");
        vm.assertEq(attestations.scoreOf(taskId, 0, 1), 255, "second");
        vm.assertEq(attestations.scoreOf(taskId, 0, 2), 100, "third");
        vm.assertEq(_differences(taskId, verifier), 0, "all agree");
        (,,, uint16 paid) = attestations.scheduleOf(taskId, 0);
        vm.assertEq(paid, 1, "paid");
        _assertPhase(taskId, 0, EpochPhase.Challengeable);
    }

    function test_Settle_DifferentReports_DecidesSubmissionBySubmission() external {
        uint256 taskId = _sealedTaskWith(6667);
        // Two of three are less than that quorum: no fraud, and the median of 0, 0 and 80 is 0.
        (bytes memory a, bytes memory b, bytes memory c) = (bytes(hex"64ff0a"), bytes(hex"64ff1e"), bytes(hex"645014"));
        _attest(taskId, 0, a, b, c);
        _settle(taskId, 0, _sorted(a, b, c));
        vm.assertEq(attestations.scoreOf(taskId, 0, 0), 100, "all say so");
        vm.assertEq(attestations.scoreOf(taskId, 0, 1), 0, "no quorum for fraud");
        vm.assertEq(attestations.scoreOf(taskId, 0, 2), 20, "median of 10, 20, 30");
        vm.assertEq(_differences(taskId, verifier), 1, "on the one that is paid otherwise; the second is worth nothing");
        vm.assertEq(_differences(taskId, thirdVerifier), 0, "on none");
    }

    function test_Settle_DifferentReports_FraudWhereTheQuorumSaysSo() external {
        uint256 taskId = _sealedTask();
        (bytes memory a, bytes memory b) = (bytes(hex"64ff64"), bytes(hex"646464"));
        _attest(taskId, 0, a, a, b);
        _settle(taskId, 0, _sorted(a, b));
        vm.assertEq(attestations.scoreOf(taskId, 0, 1), 255, "two of three say fraud");
        vm.assertEq(_differences(taskId, thirdVerifier), 1, "the third does not");
    }

    /// Its bytes reached some in time and others not. Nothing is paid for it, and nobody's fee depends on it.
    function test_Settle_WhereHalfSawNothing_CostsNobodyAFee() external {
        uint256 taskId = _sealedTask();
        (bytes memory a, bytes memory b) = (bytes(hex"fe6464"), bytes(hex"646464"));
        _attest(taskId, 0, a, a, b);
        _settle(taskId, 0, _sorted(a, b));
        vm.assertEq(attestations.scoreOf(taskId, 0, 0), 254, "unavailable");
        vm.assertEq(_differences(taskId, verifier), 0, "none");
        vm.assertEq(_differences(taskId, thirdVerifier), 0, "nor the other");
        (,,, uint16 paid) = attestations.scheduleOf(taskId, 0);
        vm.assertEq(paid, 2, "the others are paid");
    }

    function test_Settle_OutsideItsPhase_Reverts() external {
        uint256 taskId = _sealedTask();
        vm.expectRevert(_wrongPhase(taskId, EpochPhase.AttestCommit));
        attestations.settle(taskId, 0, _list(GOOD), 3);
        _commitReport(taskId, 0, verifier, GOOD);
        _commitReport(taskId, 0, secondVerifier, GOOD);
        _commitReport(taskId, 0, thirdVerifier, GOOD);
        _reveal(taskId, 0, verifier, GOOD);
        _reveal(taskId, 0, secondVerifier, GOOD);
        vm.expectRevert(_wrongPhase(taskId, EpochPhase.AttestReveal)); // a quorum, but the third may still come
        attestations.settle(taskId, 0, _list(GOOD), 3);
        _reveal(taskId, 0, thirdVerifier, GOOD);
        _settle(taskId, 0, GOOD);
        vm.expectRevert(_wrongPhase(taskId, EpochPhase.Challengeable));
        attestations.settle(taskId, 0, _list(GOOD), 3);
    }

    function test_Settle_WithoutAQuorum_Reverts() external {
        uint256 taskId = _sealedTask();
        _commitReport(taskId, 0, verifier, GOOD);
        _wait(100);
        _reveal(taskId, 0, verifier, GOOD);
        vm.expectRevert(_wrongPhase(taskId, EpochPhase.Missed));
        attestations.settle(taskId, 0, _list(GOOD), 3);
    }

    function test_Settle_UnsortedOrDoubled_Reverts() external {
        uint256 taskId = _sealedTask();
        (bytes memory a, bytes memory b) = (bytes(hex"010101"), bytes(hex"020202"));
        _attest(taskId, 0, a, b, b);
        bytes[] memory reports = _sorted(a, b);
        (reports[0], reports[1]) = (reports[1], reports[0]);
        vm.expectRevert(abi.encodeWithSelector(IAttestations.ReportsUnsorted.selector, keccak256(reports[1])));
        attestations.settle(taskId, 0, reports, 3);
        reports[1] = reports[0];
        vm.expectRevert(abi.encodeWithSelector(IAttestations.ReportsUnsorted.selector, keccak256(reports[0])));
        attestations.settle(taskId, 0, reports, 3);
    }

    function test_Settle_ThatNobodyRevealed_Reverts() external {
        uint256 taskId = _sealedTask();
        _attest(taskId, 0, GOOD);
        vm.expectRevert(abi.encodeWithSelector(IAttestations.UnknownReport.selector, keccak256(hex"646464")));
        attestations.settle(taskId, 0, _list(hex"646464"), 3);
    }

    function test_Settle_WithoutOneOfTheReports_Reverts() external {
        uint256 taskId = _sealedTask();
        _attest(taskId, 0, GOOD, GOOD, hex"646464");
        bytes memory refused = abi.encodeWithSelector(IAttestations.ReportsIncomplete.selector, 200 * UNIT, 300 * UNIT);
        vm.expectRevert(refused);
        attestations.settle(taskId, 0, _list(GOOD), 3);
        vm.expectRevert(abi.encodeWithSelector(IAttestations.ReportsIncomplete.selector, 0, 300 * UNIT));
        attestations.settle(taskId, 0, new bytes[](0), 3);
        _wait(UNBONDING - 1);
        vm.expectRevert(refused);
        attestations.settle(taskId, 0, _list(GOOD), 3); // however late
    }

    /// Somebody settles one submission at a time, or none, before anyone who settles the rest.
    function test_Settle_InterruptedByOthers_GoesOn() external {
        uint256 taskId = _sealedTask();
        _attest(taskId, 0, GOOD);
        attestations.settle(taskId, 0, _list(GOOD), 0);
        attestations.settle(taskId, 0, _list(GOOD), 1);
        (, uint16 settled,,,,,) = attestations.tallyOf(taskId, 0);
        vm.assertEq(settled, 1, "one");
        _assertPhase(taskId, 0, EpochPhase.Attested);
        vm.expectEmit(address(attestations));
        emit IAttestations.ScoresSettled(taskId, 0, 1, hex"3264");
        attestations.settle(taskId, 0, _list(GOOD), type(uint16).max);
        _assertPhase(taskId, 0, EpochPhase.Challengeable);
        vm.assertEq(_differences(taskId, verifier), 0, "on none");
    }

    /// Whatever was reported with whatever weight, and in whatever pieces it is settled: each score is what the rule
    /// says, and so are the submissions that are paid, and who differs.
    function testFuzz_Settle_InPieces_IsWhatTheRuleSays(bytes32 dice, uint8 submissions, uint8 count, uint16 quorumBps)
        external
    {
        submissions = uint8(_bound(submissions, 1, 70));
        count = uint8(_bound(count, 1, 7));
        quorumBps = uint16(_bound(quorumBps, 5001, 10_000));
        (uint256 taskId, bytes[] memory given, uint256[] memory weights) =
            _attestedAtRandom(dice, submissions, count, quorumBps);
        bytes[] memory reports = _distinct(given);
        uint256 calls;
        while (attestations.phaseOf(taskId, 0) == EpochPhase.Attested) {
            uint16 piece = uint16(1 + uint256(keccak256(abi.encode(dice, calls++))) % 40);
            attestations.settle(taskId, 0, reports, piece);
        }
        uint16 paid;
        uint16[] memory differences = new uint16[](count);
        for (uint16 i; i < submissions; ++i) {
            uint8 expected = _rule(given, weights, i, quorumBps);
            vm.assertEq(attestations.scoreOf(taskId, 0, i), expected, "score");
            if (expected > 0 && expected <= 100) ++paid;
            for (uint256 k; k < count; ++k) {
                if (expected != 0 && expected != 254 && _meant(given[k][i]) != expected) ++differences[k];
            }
        }
        (,,, uint16 counted) = attestations.scheduleOf(taskId, 0);
        vm.assertEq(counted, paid, "paid");
        for (uint256 k; k < count; ++k) {
            vm.assertEq(_differences(taskId, vm.addr(500 + k)), differences[k], "differences");
        }
    }

    function test_Settle_ManySubmissions_KeepsEachScore() external {
        bytes memory report = new bytes(70);
        for (uint256 i; i < 70; ++i) {
            report[i] = bytes1(uint8(i + 1));
        }
        uint256 taskId = _sealedTaskOf(70, 1, 6666);
        _commitReport(taskId, 0, vm.addr(500), report);
        _reveal(taskId, 0, vm.addr(500), report);
        for (uint256 i; i < 3; ++i) {
            attestations.settle(taskId, 0, _list(report), 33); // across the words of storage
        }
        uint256[] memory places = new uint256[](70);
        for (uint16 i; i < 70; ++i) {
            places[i] = Submissions.place(0, i);
            vm.assertEq(attestations.scoreOf(taskId, 0, i), i + 1, "score");
        }
        vm.expectRevert(abi.encodeWithSelector(IAttestations.NotFinal.selector, taskId, 0));
        attestations.finalScoresOf(taskId, places);
        _finalise(taskId, 0);
        vm.assertEq(keccak256(attestations.finalScoresOf(taskId, places)), keccak256(report), "final scores");
    }

    // finalise

    function test_Finalise_WithinTheWindow_Reverts() external {
        uint256 taskId = _settledTask();
        uint256 challengeBy = _now() + 100;
        _wait(99);
        vm.expectRevert(abi.encodeWithSelector(IAttestations.StillChallengeable.selector, taskId, 0, challengeBy));
        attestations.finalise(taskId, 0);
        _wait(1);
        vm.expectEmit(address(attestations));
        emit IAttestations.EpochFinal(taskId, 0);
        vm.prank(outsider);
        attestations.finalise(taskId, 0);
        _assertPhase(taskId, 0, EpochPhase.Final);
        vm.expectRevert(_wrongPhase(taskId, EpochPhase.Final));
        attestations.finalise(taskId, 0);
    }

    function test_Finalise_BeforeAllIsSettled_Reverts() external {
        uint256 taskId = _sealedTask();
        _attest(taskId, 0, GOOD);
        attestations.settle(taskId, 0, _list(GOOD), 2);
        _wait(1000);
        vm.expectRevert(_wrongPhase(taskId, EpochPhase.Attested));
        attestations.finalise(taskId, 0);
    }

    function test_Finalise_GivesBackWhatAbsentVerifiersDidNotEarn() external {
        uint256 taskId = _sealedTask();
        _commitReport(taskId, 0, verifier, GOOD);
        _commitReport(taskId, 0, secondVerifier, GOOD);
        _wait(100);
        _reveal(taskId, 0, verifier, GOOD);
        _reveal(taskId, 0, secondVerifier, GOOD);
        _settle(taskId, 0, GOOD);
        (uint256 before,) = _money(taskId);
        _finalise(taskId, 0);
        (uint256 budget,) = _money(taskId);
        vm.assertEq(
            budget,
            before + 24 * UNIT / 10,
            "a third of the fee for three submissions, and that for seven that are not there"
        );
    }

    // voidEpoch

    function test_VoidEpoch_WithoutAQuorum_FreesItsMoney() external {
        uint256 taskId = _sealedTask();
        _commitReport(taskId, 0, verifier, GOOD);
        _wait(100);
        _reveal(taskId, 0, verifier, GOOD);
        _assertPhase(taskId, 0, EpochPhase.Missed); // ends early: nobody else could reveal
        (uint256 before,) = _money(taskId);
        vm.expectEmit(address(attestations));
        emit IAttestations.EpochVoid(taskId, 0);
        vm.prank(outsider);
        attestations.voidEpoch(taskId, 0);
        (uint256 budget, uint256 reserved) = _money(taskId);
        vm.assertEq(budget, before + 33 * UNIT, "30 units and the fee");
        vm.assertEq(reserved, 103 * UNIT, "the open epoch");
        vm.expectRevert(_wrongPhase(taskId, EpochPhase.Void));
        attestations.voidEpoch(taskId, 0);
    }

    function test_VoidEpoch_NobodyCommitted_EndsWithTheCommitWindow() external {
        uint256 taskId = _sealedTask();
        _wait(99);
        vm.expectRevert(_wrongPhase(taskId, EpochPhase.AttestCommit));
        attestations.voidEpoch(taskId, 0);
        _wait(1);
        attestations.voidEpoch(taskId, 0);
    }

    /// Reports are on chain, so anybody can settle. That nobody did for so long must not lock the task for ever.
    function test_VoidEpoch_Attested_OnlyWhenNobodySettledItForLong() external {
        uint256 taskId = _sealedTask();
        _attest(taskId, 0, GOOD);
        attestations.settle(taskId, 0, _list(GOOD), 2); // half of it counts for nothing
        _wait(UNBONDING - 1);
        vm.expectRevert(_wrongPhase(taskId, EpochPhase.Attested));
        attestations.voidEpoch(taskId, 0);
        _wait(1);
        attestations.voidEpoch(taskId, 0);
        uint256[] memory places = new uint256[](2);
        places[1] = Submissions.place(0, 2);
        vm.assertEq(bytes32(attestations.finalScoresOf(taskId, places)), bytes32(hex"fcfc"), "void, all of it");
        vm.assertEq(payouts.claim(_refs(_ref(taskId, 0, trainer, 0))), 0, "nobody is paid");
    }

    function test_VoidEpoch_OfOneThatIsSettled_Reverts() external {
        uint256 taskId = _settledTask();
        _wait(2 * UNBONDING);
        vm.expectRevert(_wrongPhase(taskId, EpochPhase.Challengeable));
        attestations.voidEpoch(taskId, 0);
        attestations.finalise(taskId, 0);
        vm.expectRevert(_wrongPhase(taskId, EpochPhase.Final));
        attestations.voidEpoch(taskId, 0);
    }

    // only Appeals

    function test_Attestations_OnlyAppealsMayChangeAVerdict() external {
        uint256 taskId = _settledTask();
        bytes memory refused = abi.encodeWithSelector(IAttestations.NotAuthorised.selector, outsider);
        vm.startPrank(outsider);
        vm.expectRevert(refused);
        attestations.holdChallenge(taskId, 0);
        vm.expectRevert(refused);
        attestations.releaseChallenges(taskId, 0, 1);
        vm.expectRevert(refused);
        attestations.correctScore(taskId, 0, 0, 0, false);
        vm.stopPrank();
    }

    /// The rule again, in another way: all weight laid out in a row, score by score, and the one in the middle taken.
    function _rule(bytes[] memory given, uint256[] memory weights, uint256 index, uint256 quorumBps)
        private
        pure
        returns (uint8)
    {
        uint256 all;
        uint256 fraud;
        uint256 unseen;
        for (uint256 k; k < given.length; ++k) {
            all += weights[k];
            if (_meant(given[k][index]) == 255) fraud += weights[k];
            if (_meant(given[k][index]) == 254) unseen += weights[k];
        }
        if (fraud * 10_000 >= all * quorumBps) return 255;
        if (2 * unseen >= all) return 254;
        for (uint256 score = 0;; ++score) {
            uint256 upTo;
            for (uint256 k; k < given.length; ++k) {
                uint8 meant = _meant(given[k][index]);
                if (meant > 100 || meant <= score) upTo += weights[k];
            }
            if (2 * upTo >= all) return uint8(score);
        }
        return 0;
    }

    /// Scores of few kinds, so that there are ties; verifiers some of whom report the same.
    function _attestedAtRandom(bytes32 dice, uint16 submissions, uint256 count, uint16 quorumBps)
        private
        returns (uint256 taskId, bytes[] memory given, uint256[] memory weights)
    {
        taskId = _sealedTaskOf(submissions, count, quorumBps);
        uint8[8] memory kinds = [0, 1, 50, 100, 254, 255, 255, 101];
        (given, weights) = (new bytes[](count), new uint256[](count));
        for (uint256 k; k < count; ++k) {
            weights[k] = verifiers.weightAt(taskId, 0, vm.addr(500 + k));
            given[k] = new bytes(submissions);
            bytes32 author = keccak256(abi.encode(dice, k % 4)); // of five or more, some are alike
            for (uint256 i; i < submissions; ++i) {
                given[k][i] = bytes1(kinds[uint256(keccak256(abi.encode(author, i))) % 8]);
            }
            _commitReport(taskId, 0, vm.addr(500 + k), given[k]);
        }
        uint256 first = uint256(dice) % count;
        for (uint256 k; k < count; ++k) {
            uint256 who = (first + k) % count; // anyone who comes first
            _reveal(taskId, 0, vm.addr(500 + who), given[who]);
        }
    }

    function _distinct(bytes[] memory given) private pure returns (bytes[] memory reports) {
        uint256 count = given.length < 4 ? given.length : 4;
        reports = new bytes[](count);
        uint256 found;
        for (uint256 k; k < given.length; ++k) {
            bool isKnown;
            for (uint256 i; i < found; ++i) {
                isKnown = isKnown || keccak256(reports[i]) == keccak256(given[k]);
            }
            if (!isKnown) reports[found++] = given[k];
        }
        assembly ("memory-safe") {
            mstore(reports, found)
        }
        _sort(reports);
    }

    /// Submissions of one trainer; verifiers of different weights.
    function _sealedTaskOf(uint16 submissions, uint256 count, uint16 quorumBps) private returns (uint256 taskId) {
        TaskParams memory params = _params();
        (params.maxSubmissionsEach, params.maxEpochUnits, params.quorumBps) =
        (submissions, 10 * uint32(submissions), quorumBps);
        taskId = _openTask(params, 10_000 * UNIT);
        _enlistTrainer(taskId, trainer);
        _bond(trainer, Role.Trainer, uint128(submissions) * 50 * UNIT);
        for (uint256 k; k < count; ++k) {
            _enlistVerifier(taskId, vm.addr(500 + k), uint128(9000 + 1000 * (k % 3)) * UNIT);
        }
        for (uint256 i; i < submissions; ++i) {
            _commit(taskId, trainer);
        }
        attestations.sealEpoch(taskId);
    }

    function _sealedTaskWith(uint16 quorumBps) private returns (uint256 taskId) {
        TaskParams memory params = _params();
        params.quorumBps = quorumBps;
        taskId = _staff(_openTask(params, 1000 * UNIT));
        _commitAllAndSeal(taskId);
    }

    function _meant(bytes1 score) private pure returns (uint8) {
        return score == bytes1(uint8(101)) ? 0 : uint8(score);
    }
}

/// Every call is a transaction, whose calldata costs what it costs.
/// forge-config: default.isolate = true
contract SettleAtScaleTest is Judged {
    uint256 private constant LIMIT = 16_000_000; // a transaction may have 2^24 by EIP-7825

    /// A thousand submissions, on which thirty verifiers agree nowhere.
    function test_Settle_AThousandSubmissionsWithThirtyReports_FitsTransactions() external {
        _settleWith(1000, 30, 180);
    }

    /// As many as there may be at all.
    function test_Settle_AsManySubmissionsAndReportsAsThereMayBe_FitsTransactions() external {
        _settleWith(1024, 64, 96);
    }

    function _settleWith(uint16 submissions, uint256 count, uint16 piece) private {
        (uint256 taskId, bytes[] memory reports) = _attested(submissions, count);
        uint256 calls;
        while (attestations.phaseOf(taskId, 0) == EpochPhase.Attested) {
            attestations.settle(taskId, 0, reports, piece);
            vm.assertLe(vm.lastCallGas().gasTotalUsed, LIMIT, "one transaction");
            ++calls;
        }
        vm.assertEq(calls, (submissions + piece - 1) / piece, "all in so many");
        _assertPhase(taskId, 0, EpochPhase.Challengeable);
    }

    function _attested(uint16 submissions, uint256 count) private returns (uint256 taskId, bytes[] memory reports) {
        TaskParams memory params = _params();
        (params.maxSubmissionsEach, params.maxEpochUnits) = (submissions, 10 * uint32(submissions));
        taskId = _openTask(params, 30_000 * UNIT);
        _enlistTrainer(taskId, trainer);
        _bond(trainer, Role.Trainer, uint128(submissions) * 50 * UNIT);
        for (uint256 k; k < count; ++k) {
            _enlistVerifier(taskId, vm.addr(500 + k), 10_000 * UNIT);
        }
        for (uint256 i; i < submissions; ++i) {
            _commit(taskId, trainer);
        }
        attestations.sealEpoch(taskId);
        reports = new bytes[](count);
        for (uint256 k; k < count; ++k) {
            reports[k] = _differing(submissions, k);
            _commitReport(taskId, 0, vm.addr(500 + k), reports[k]);
        }
        for (uint256 k; k < count; ++k) {
            _reveal(taskId, 0, vm.addr(500 + k), reports[k]);
            vm.assertLe(vm.lastCallGas().gasTotalUsed, LIMIT, "a reveal");
        }
        _sort(reports);
    }

    function _differing(uint256 submissions, uint256 author) private pure returns (bytes memory report) {
        report = new bytes(submissions);
        for (uint256 i; i < submissions; ++i) {
            report[i] = bytes1(uint8(1 + uint256(keccak256(abi.encode(author, i))) % 100));
        }
    }
}
