// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

import {EpochPhase, IAttestations} from "../../contracts/interfaces/IAttestations.sol";
import {Role} from "../../contracts/interfaces/IStaking.sol";
import {TaskParams} from "../../contracts/interfaces/ITaskRegistry.sol";
import {Network} from "./Network.sol";

contract AttestationsTest is Network {
    bytes private constant GOOD = hex"643264";

    // enlist, delist

    function test_Enlist_ForAnUnknownTask_Reverts() public {
        vm.expectRevert(abi.encodeWithSelector(IAttestations.UnknownTask.selector, 7));
        attestations.enlist(7);
    }

    function test_Enlist_WithTooSmallABond_Reverts() public {
        uint256 taskId = _openTask();
        _bond(verifier, Role.Verifier, 100 * UNIT - 1);
        vm.prank(verifier);
        vm.expectRevert(abi.encodeWithSelector(IAttestations.NotBonded.selector, verifier, 100 * UNIT - 1, 100 * UNIT));
        attestations.enlist(taskId);
    }

    function test_Enlist_Twice_Reverts() public {
        uint256 taskId = _openTask();
        _enlistVerifier(taskId, verifier, 100 * UNIT);
        vm.prank(verifier);
        vm.expectRevert(abi.encodeWithSelector(IAttestations.AlreadyEnlisted.selector, taskId, verifier));
        attestations.enlist(taskId);
    }

    function test_Enlist_InTheBlockOfTheSeal_DoesNotCount() public {
        uint256 taskId = _staffedTask();
        uint256 late = 60;
        _bond(vm.addr(late), Role.Verifier, 1000 * UNIT);
        _commit(taskId, trainer);
        _commit(taskId, secondTrainer);
        _commit(taskId, thirdTrainer);
        vm.prank(vm.addr(late));
        attestations.enlist(taskId);
        attestations.sealEpoch(taskId);
        (uint16 verifiers,,,, uint128 weight) = attestations.tallyOf(taskId, 0);
        vm.assertEq(verifiers, 3, "verifiers");
        vm.assertEq(weight, 300 * UNIT, "weight");
        vm.prank(vm.addr(late));
        vm.expectRevert(abi.encodeWithSelector(IAttestations.NotEnlistedAtSeal.selector, taskId, 0, vm.addr(late)));
        attestations.commitAttestation(taskId, 0, keccak256("x"));
        _nextBlock();
        _commitAllAndSeal(taskId);
        (verifiers,,,, weight) = attestations.tallyOf(taskId, 1);
        vm.assertEq(verifiers, 4, "verifiers of the next");
        vm.assertEq(weight, 1300 * UNIT, "weight of the next");
    }

    function test_EnlistAndDelist_InOneBlock_LeavesNothing() public {
        uint256 taskId = _staffedTask();
        address late = vm.addr(60);
        _bond(late, Role.Verifier, 1000 * UNIT);
        vm.prank(late);
        attestations.enlist(taskId);
        vm.prank(late);
        attestations.delist(taskId);
        _commitAllAndSeal(taskId);
        (uint16 verifiers,,,, uint128 weight) = attestations.tallyOf(taskId, 0);
        vm.assertEq(verifiers, 3, "verifiers");
        vm.assertEq(weight, 300 * UNIT, "weight");
    }

    function test_Delist_NotEnlisted_Reverts() public {
        uint256 taskId = _openTask();
        vm.expectRevert(abi.encodeWithSelector(IAttestations.NotEnlisted.selector, taskId, address(this)));
        attestations.delist(taskId);
    }

    function test_Delist_StillOwesTheSealedEpoch() public {
        uint256 taskId = _sealedTask();
        vm.prank(verifier);
        attestations.delist(taskId);
        vm.prank(verifier);
        staking.requestUnbond(Role.Verifier, 100 * UNIT);
        _attest(taskId, 0, GOOD);
        _assertPhase(taskId, 0, EpochPhase.Attested);

        _commitAllAndSeal(taskId);
        (uint16 verifiers,,,, uint128 weight) = attestations.tallyOf(taskId, 1);
        vm.assertEq(verifiers, 2, "verifiers of the next");
        vm.assertEq(weight, 200 * UNIT, "weight of the next");
        vm.prank(verifier);
        vm.expectRevert(abi.encodeWithSelector(IAttestations.NotEnlistedAtSeal.selector, taskId, 1, verifier));
        attestations.commitAttestation(taskId, 1, keccak256("x"));
    }

    function test_Enlist_SoonAfterDelisting_Reverts() public {
        uint256 taskId = _sealedTask();
        vm.prank(verifier);
        attestations.delist(taskId);
        vm.assertFalse(attestations.isEnlisted(taskId, verifier), "enlisted");
        uint256 from = _now() + UNBONDING;
        _wait(UNBONDING - 1);
        vm.prank(verifier);
        vm.expectRevert(abi.encodeWithSelector(IAttestations.TooSoonToEnlist.selector, taskId, verifier, from));
        attestations.enlist(taskId);
    }

    function test_Enlist_Again_KeepsTheFeesOfBefore() public {
        uint256 taskId = _sealedTask();
        _judge(taskId, 0, GOOD);
        vm.prank(verifier);
        attestations.delist(taskId);
        _wait(UNBONDING);
        _enlistVerifier(taskId, verifier, 900 * UNIT);
        (bytes32 reportHash, uint128 weight,,,) = attestations.attestationOf(taskId, 0, verifier);
        vm.assertEq(reportHash, keccak256(GOOD), "report");
        vm.assertEq(weight, 100 * UNIT, "weight of then");
        vm.assertEq(payouts.feeOf(taskId, 0, verifier), UNIT, "fee");
        vm.expectRevert(abi.encodeWithSelector(IAttestations.WasPresent.selector, taskId, 0, verifier));
        attestations.slashAbsence(taskId, 0, verifier);
    }

    // sealEpoch

    function test_SealEpoch_FixesSeedAndWeight() public {
        uint256 taskId = _staffedTask();
        _commit(taskId, trainer);
        _commit(taskId, secondTrainer);
        _commit(taskId, thirdTrainer);
        (,,, bytes32 runningHash) = registry.epochOf(taskId, 0);
        vm.prevrandao(bytes32(uint256(42)));
        bytes32 seed = keccak256(abi.encode(uint256(42), runningHash));
        vm.expectEmit(address(attestations));
        emit IAttestations.EpochSealed(taskId, 0, seed, 3, 3, 300 * UNIT, uint40(_now() + 100));
        attestations.sealEpoch(taskId);
        vm.assertEq(attestations.seedOf(taskId, 0), seed, "seed");
        _assertPhase(taskId, 0, EpochPhase.AttestCommit);
        _assertPhase(taskId, 1, EpochPhase.Committing);
    }

    function test_SealEpoch_WithoutVerifiers_Reverts() public {
        uint256 taskId = _openTask();
        _enlistTrainer(taskId, trainer);
        _commit(taskId, trainer);
        vm.expectRevert(abi.encodeWithSelector(IAttestations.NoVerifiers.selector, taskId));
        attestations.sealEpoch(taskId);
        _enlistVerifier(taskId, verifier, 100 * UNIT);
        attestations.sealEpoch(taskId);
    }

    // commitAttestation, revealAttestation

    function test_CommitAttestation_Empty_Reverts() public {
        uint256 taskId = _sealedTask();
        vm.prank(verifier);
        vm.expectRevert(IAttestations.EmptyCommitment.selector);
        attestations.commitAttestation(taskId, 0, 0);
    }

    function test_CommitAttestation_Twice_Reverts() public {
        uint256 taskId = _sealedTask();
        _commitReport(taskId, 0, verifier, GOOD);
        vm.prank(verifier);
        vm.expectRevert(abi.encodeWithSelector(IAttestations.AlreadyAttested.selector, taskId, 0, verifier));
        attestations.commitAttestation(taskId, 0, keccak256("x"));
    }

    function test_CommitAttestation_ByAnOutsider_Reverts() public {
        uint256 taskId = _sealedTask();
        vm.prank(outsider);
        vm.expectRevert(abi.encodeWithSelector(IAttestations.NotEnlistedAtSeal.selector, taskId, 0, outsider));
        attestations.commitAttestation(taskId, 0, keccak256("x"));
    }

    function test_CommitAttestation_OutsideItsPhase_Reverts() public {
        uint256 taskId = _staffedTask();
        vm.prank(verifier);
        vm.expectRevert(_wrongPhase(taskId, EpochPhase.Committing));
        attestations.commitAttestation(taskId, 0, keccak256("x"));
        _commitAllAndSeal(taskId);
        _commitReport(taskId, 0, verifier, GOOD);
        _wait(100);
        vm.prank(secondVerifier);
        vm.expectRevert(_wrongPhase(taskId, EpochPhase.AttestReveal));
        attestations.commitAttestation(taskId, 0, keccak256("x"));
    }

    function test_CommitAttestation_AfterASlash_CountsForWhatIsLeft() public {
        uint256 taskId = _sealedByARichVerifier();
        _slashVerifier(taskId, 30 * UNIT);
        _attest(taskId, 0, GOOD);
        (, uint128 weight,,, uint128 enlistedWeight) = attestations.attestationOf(taskId, 0, verifier);
        vm.assertEq(weight, 100 * UNIT, "weight");
        vm.assertEq(enlistedWeight, 330 * UNIT, "fixed at the seal");
        vm.assertTrue(attestations.isEnlisted(taskId, verifier), "enough is left");
        _commitAllAndSeal(taskId);
        (,,,, enlistedWeight) = attestations.tallyOf(taskId, 1);
        vm.assertEq(enlistedWeight, 300 * UNIT, "weight of the next");
    }

    function test_CommitAttestation_WithNothingLeft_Reverts() public {
        uint256 taskId = _sealedTask();
        _slashVerifier(taskId, 100 * UNIT);
        vm.assertFalse(attestations.isEnlisted(taskId, verifier), "too little is left");
        vm.prank(verifier);
        vm.expectRevert(abi.encodeWithSelector(IAttestations.NotBonded.selector, verifier, 0, 1));
        attestations.commitAttestation(taskId, 0, keccak256("x"));
    }

    function test_RevealAttestation_ByWorkerKeys_ReachesTheQuorum() public {
        uint256 taskId = _sealedTask();
        address worker = _nameWorker(verifier, 50);
        bytes32 commitment = _commitment(taskId, 0, verifier, GOOD);
        vm.prank(worker);
        attestations.commitAttestation(taskId, 0, commitment);
        _commitReport(taskId, 0, secondVerifier, GOOD);
        _assertPhase(taskId, 0, EpochPhase.AttestCommit);
        _commitReport(taskId, 0, thirdVerifier, GOOD);
        _assertPhase(taskId, 0, EpochPhase.AttestReveal); // ends early: all have committed
        vm.prank(worker);
        attestations.revealAttestation(taskId, 0, keccak256(GOOD), SALT, EVIDENCE);
        _reveal(taskId, 0, secondVerifier, GOOD);
        vm.expectEmit(address(attestations));
        emit IAttestations.AttestationRevealed(taskId, 0, thirdVerifier, keccak256(GOOD), EVIDENCE);
        vm.expectEmit(address(attestations));
        emit IAttestations.EpochAttested(taskId, 0, 300 * UNIT); // 6667 of 10000: two of three are not enough
        _reveal(taskId, 0, thirdVerifier, GOOD);
        _assertPhase(taskId, 0, EpochPhase.Attested);
        (uint16 verifiers, uint16 committed, uint16 revealed, uint128 revealedWeight,) = attestations.tallyOf(taskId, 0);
        vm.assertTrue(verifiers == 3 && committed == 3 && revealed == 3, "counts");
        vm.assertEq(revealedWeight, 300 * UNIT, "weight");
    }

    function test_RevealAttestation_OutsideItsPhase_Reverts() public {
        uint256 taskId = _sealedTask();
        _commitReport(taskId, 0, verifier, GOOD);
        vm.prank(verifier);
        vm.expectRevert(_wrongPhase(taskId, EpochPhase.AttestCommit));
        attestations.revealAttestation(taskId, 0, keccak256(GOOD), SALT, EVIDENCE);
        _wait(200);
        vm.prank(verifier);
        vm.expectRevert(_wrongPhase(taskId, EpochPhase.Missed));
        attestations.revealAttestation(taskId, 0, keccak256(GOOD), SALT, EVIDENCE);
    }

    function test_RevealAttestation_NotCommitted_Reverts() public {
        uint256 taskId = _sealedTask();
        _commitReport(taskId, 0, verifier, GOOD);
        _wait(100);
        vm.prank(secondVerifier);
        vm.expectRevert(abi.encodeWithSelector(IAttestations.NotCommitted.selector, taskId, 0, secondVerifier));
        attestations.revealAttestation(taskId, 0, keccak256(GOOD), SALT, EVIDENCE);
    }

    function test_RevealAttestation_CopiedCommitment_Reverts() public {
        uint256 taskId = _sealedTask();
        bytes32 commitment = _commitment(taskId, 0, verifier, GOOD);
        _commitReport(taskId, 0, verifier, GOOD);
        vm.prank(secondVerifier);
        attestations.commitAttestation(taskId, 0, commitment);
        _commitReport(taskId, 0, thirdVerifier, GOOD);
        _reveal(taskId, 0, verifier, GOOD);
        vm.prank(secondVerifier);
        vm.expectRevert(
            abi.encodeWithSelector(
                IAttestations.CommitmentMismatch.selector, commitment, _commitment(taskId, 0, secondVerifier, GOOD)
            )
        );
        attestations.revealAttestation(taskId, 0, keccak256(GOOD), SALT, EVIDENCE);
    }

    function test_RevealAttestation_Twice_Reverts() public {
        uint256 taskId = _sealedTask();
        _commitReport(taskId, 0, verifier, GOOD);
        _commitReport(taskId, 0, secondVerifier, GOOD);
        _wait(100);
        _reveal(taskId, 0, verifier, GOOD);
        vm.prank(verifier);
        vm.expectRevert(abi.encodeWithSelector(IAttestations.AlreadyAttested.selector, taskId, 0, verifier));
        attestations.revealAttestation(taskId, 0, keccak256(GOOD), SALT, EVIDENCE);
    }

    /// Each report of a chain is the very commitment to the next: its hash must not pass for a commitment.
    function test_RevealAttestation_AChainOfCraftedReports_Reverts() public {
        uint256 taskId = _sealedTask();
        bytes32 last = keccak256(hex"ff6464");
        bytes32 inner = keccak256(abi.encode(taskId, uint64(0), verifier, last, SALT));
        bytes32 crafted = keccak256(abi.encode(inner));
        bytes32 outer = keccak256(abi.encode(taskId, uint64(0), verifier, crafted, SALT));
        vm.prank(verifier);
        attestations.commitAttestation(taskId, 0, outer);
        _commitReport(taskId, 0, secondVerifier, GOOD);
        _commitReport(taskId, 0, thirdVerifier, GOOD);
        vm.prank(verifier);
        attestations.revealAttestation(taskId, 0, crafted, SALT, EVIDENCE);
        vm.prank(verifier);
        vm.expectRevert(abi.encodeWithSelector(IAttestations.AlreadyAttested.selector, taskId, 0, verifier));
        attestations.revealAttestation(taskId, 0, last, SALT, EVIDENCE);
        _assertPhase(taskId, 0, EpochPhase.AttestReveal); // the others may still reveal
        (,,, uint128 revealedWeight,) = attestations.tallyOf(taskId, 0);
        vm.assertEq(revealedWeight, 100 * UNIT, "its weight counts once");
    }

    /// One verifier reveals once, whatever it reveals first: its own commitment, another's hash, nothing, a mark.
    function testFuzz_RevealAttestation_ASecondTime_Reverts(bytes32 first, bytes32 second, uint8 kind) public {
        uint256 taskId = _sealedTask();
        bytes32 next = keccak256(abi.encode(taskId, uint64(0), verifier, second, SALT));
        if (kind % 6 == 0) first = next;
        else if (kind % 6 == 1) first = keccak256(abi.encode(next));
        else if (kind % 6 == 2) first = bytes32(uint256(kind % 5));
        else if (kind % 6 == 3) second = first;
        vm.prank(verifier);
        attestations.commitAttestation(taskId, 0, keccak256(abi.encode(taskId, uint64(0), verifier, first, SALT)));
        _commitReport(taskId, 0, secondVerifier, GOOD);
        _commitReport(taskId, 0, thirdVerifier, GOOD);
        vm.prank(verifier);
        attestations.revealAttestation(taskId, 0, first, SALT, EVIDENCE);
        vm.prank(verifier);
        vm.expectRevert(abi.encodeWithSelector(IAttestations.AlreadyAttested.selector, taskId, 0, verifier));
        attestations.revealAttestation(taskId, 0, second, SALT, EVIDENCE);
        (,, uint16 revealed, uint128 revealedWeight,) = attestations.tallyOf(taskId, 0);
        vm.assertTrue(revealed == 1 && revealedWeight == 100 * UNIT, "once");
        (bytes32 reportHash,,,,) = attestations.attestationOf(taskId, 0, verifier);
        vm.assertEq(reportHash, first, "the first");
    }

    /// Whoever commits to the plain hash of a report that others will reveal has revealed nothing.
    function test_Commitment_ThatIsAReportsHash_IsNotAReport() public {
        uint256 taskId = _sealedTask();
        vm.prank(thirdVerifier);
        attestations.commitAttestation(taskId, 0, keccak256(GOOD));
        _commitReport(taskId, 0, verifier, GOOD);
        _commitReport(taskId, 0, secondVerifier, GOOD);
        _reveal(taskId, 0, verifier, GOOD);
        _reveal(taskId, 0, secondVerifier, GOOD);
        (bytes32 reportHash,,,,) = attestations.attestationOf(taskId, 0, thirdVerifier);
        vm.assertEq(reportHash, bytes32(0), "report");
    }

    // settle

    function test_Settle_OneReport_IsTheOutcome() public {
        uint256 taskId = _sealedTask();
        bytes memory report = hex"65ff"; // 101 means nothing, and the third byte is missing
        _attest(taskId, 0, report);
        vm.expectEmit(address(attestations));
        emit IAttestations.EpochSettled(taskId, 0, hex"00ff00", uint40(_now() + 100));
        _settle(taskId, 0, report);
        vm.assertEq(attestations.scoreOf(taskId, 0, 0), 0, "first");
        vm.assertEq(attestations.scoreOf(taskId, 0, 1), 255, "second");
        vm.assertEq(attestations.scoreOf(taskId, 0, 2), 0, "third");
        (,, uint16 differences, uint16 works,) = attestations.attestationOf(taskId, 0, verifier);
        vm.assertEq(differences, 0, "differences");
        vm.assertEq(works, 3, "works");
        _assertPhase(taskId, 0, EpochPhase.Challengeable);
    }

    function test_Settle_SplitReports_DecidesWorkByWork() public {
        uint256 taskId = _sealedTask();
        // Fraud to two of three is less than the quorum of 6667: not fraud, and the median of 0, 0 and 80 is 0.
        (bytes memory a, bytes memory b, bytes memory c) = (bytes(hex"64ff0a"), bytes(hex"64ff1e"), bytes(hex"645014"));
        _attest(taskId, 0, a, b, c);
        attestations.settle(taskId, 0, _sorted(a, b, c));
        vm.assertEq(attestations.scoreOf(taskId, 0, 0), 100, "all agree");
        vm.assertEq(attestations.scoreOf(taskId, 0, 1), 0, "no quorum for fraud");
        vm.assertEq(attestations.scoreOf(taskId, 0, 2), 20, "median of 10, 20, 30");
        _assertDifferences(taskId, verifier, 2);
        _assertDifferences(taskId, secondVerifier, 2);
        _assertDifferences(taskId, thirdVerifier, 1);
    }

    function test_Settle_SplitReports_FraudWhereTheQuorumSaysSo() public {
        TaskParams memory params = _params();
        params.quorumBps = 6666;
        uint256 taskId = _staff(_openTask(params, 1000 * UNIT));
        _commitAllAndSeal(taskId);
        (bytes memory a, bytes memory b) = (bytes(hex"64ff64"), bytes(hex"646464"));
        _attest(taskId, 0, a, a, b);
        attestations.settle(taskId, 0, _sorted(a, b));
        vm.assertEq(attestations.scoreOf(taskId, 0, 1), 255, "two of three say fraud");
        _assertDifferences(taskId, thirdVerifier, 1);
    }

    function test_Settle_OutsideItsPhase_Reverts() public {
        uint256 taskId = _sealedTask();
        vm.expectRevert(_wrongPhase(taskId, EpochPhase.AttestCommit));
        attestations.settle(taskId, 0, _list(GOOD));
        _attest(taskId, 0, GOOD);
        _settle(taskId, 0, GOOD);
        vm.expectRevert(_wrongPhase(taskId, EpochPhase.Challengeable));
        attestations.settle(taskId, 0, _list(GOOD));
    }

    function test_Settle_UnsortedOrDoubled_Reverts() public {
        uint256 taskId = _sealedTask();
        _attest(taskId, 0, hex"01", hex"02", hex"02");
        bytes[] memory reports = _sorted(hex"01", hex"02");
        (reports[0], reports[1]) = (reports[1], reports[0]);
        vm.expectRevert(abi.encodeWithSelector(IAttestations.ReportsUnsorted.selector, keccak256(reports[1])));
        attestations.settle(taskId, 0, reports);
        reports[1] = reports[0];
        vm.expectRevert(abi.encodeWithSelector(IAttestations.ReportsUnsorted.selector, keccak256(reports[0])));
        attestations.settle(taskId, 0, reports);
    }

    function test_Settle_UnknownReport_Reverts() public {
        uint256 taskId = _sealedTask();
        _attest(taskId, 0, GOOD);
        vm.expectRevert(abi.encodeWithSelector(IAttestations.UnknownReport.selector, keccak256("x")));
        attestations.settle(taskId, 0, _list("x"));
    }

    function test_Settle_WithheldReport_HoldsItUpForOneWindow() public {
        TaskParams memory params = _params();
        params.quorumBps = 6666;
        uint256 taskId = _staff(_openTask(params, 1000 * UNIT));
        _commitAllAndSeal(taskId);
        _attest(taskId, 0, GOOD, GOOD, "nobody has these bytes");
        vm.expectRevert(abi.encodeWithSelector(IAttestations.ReportsIncomplete.selector, 200 * UNIT, 300 * UNIT));
        attestations.settle(taskId, 0, _list(GOOD));
        _wait(100);
        attestations.settle(taskId, 0, _list(GOOD));
        _assertDifferences(taskId, thirdVerifier, 3);
    }

    function test_Settle_WithheldReports_NeedsTheQuorum() public {
        uint256 taskId = _sealedTask();
        _attest(taskId, 0, GOOD, GOOD, "nobody has these bytes");
        _wait(100);
        vm.expectRevert(abi.encodeWithSelector(IAttestations.NoQuorum.selector, 200 * UNIT, 200.01 ether));
        attestations.settle(taskId, 0, _list(GOOD));
    }

    function test_Settle_ManyWorks_KeepsEachScore() public {
        TaskParams memory params = _params();
        params.maxEpochUnits = 1000;
        uint256 taskId = _staff(_openTask(params, 2000 * UNIT));
        for (uint256 i; i < 67; ++i) {
            _enlistTrainer(taskId, vm.addr(1000 + i));
            _commit(taskId, vm.addr(1000 + i));
        }
        _commitAllAndSeal(taskId);
        bytes memory report = new bytes(70);
        for (uint256 i; i < 70; ++i) {
            report[i] = bytes1(uint8(i + 1));
        }
        _judge(taskId, 0, report);
        uint256[] memory places = new uint256[](70);
        for (uint16 i; i < 70; ++i) {
            places[i] = i;
            vm.assertEq(attestations.scoreOf(taskId, 0, i), i + 1, "score");
        }
        vm.assertEq(keccak256(attestations.finalScoresOf(taskId, places)), keccak256(report), "final scores");
    }

    // publishPolicy

    function test_PublishPolicy_ByWorkerAndOperatorKeys() public {
        uint256 taskId = _settledTask();
        uint256 workerKey = 50;
        _nameWorker(secondVerifier, workerKey);
        bytes[] memory signatures = _signatures(taskId, 0, ROOT, 3);
        signatures[1] = _signPolicy(workerKey, taskId, 0, ROOT);
        vm.expectEmit(address(attestations));
        emit IAttestations.PolicyPublished(taskId, 0, 1, ROOT, "ipfs://policy");
        attestations.publishPolicy(taskId, 0, ROOT, "ipfs://policy", signatures);
        (uint32 version, bytes32 root) = attestations.policyOf(taskId);
        vm.assertEq(version, 1, "version");
        vm.assertEq(root, ROOT, "root");
    }

    function test_PublishPolicy_BeforeItsEpochIsSettled_Reverts() public {
        uint256 taskId = _sealedTask();
        _attest(taskId, 0, GOOD);
        bytes[] memory signatures = _signatures(taskId, 0, ROOT, 3);
        vm.expectRevert(_wrongPhase(taskId, EpochPhase.Attested));
        attestations.publishPolicy(taskId, 0, ROOT, "", signatures);
    }

    function test_PublishPolicy_Empty_Reverts() public {
        uint256 taskId = _settledTask();
        vm.expectRevert(IAttestations.EmptyRoot.selector);
        attestations.publishPolicy(taskId, 0, 0, "", new bytes[](0));
    }

    function test_PublishPolicy_Twice_Reverts() public {
        uint256 taskId = _settledTask();
        bytes[] memory signatures = _signatures(taskId, 0, ROOT, 3);
        attestations.publishPolicy(taskId, 0, ROOT, "", signatures);
        vm.expectRevert(abi.encodeWithSelector(IAttestations.PolicyOutOfOrder.selector, taskId, 0, 0));
        attestations.publishPolicy(taskId, 0, ROOT, "", signatures);
    }

    function test_PublishPolicy_TooFewSigners_Reverts() public {
        uint256 taskId = _settledTask();
        bytes[] memory signatures = _signatures(taskId, 0, ROOT, 2);
        vm.expectRevert(abi.encodeWithSelector(IAttestations.NoQuorum.selector, 200 * UNIT, 200.01 ether));
        attestations.publishPolicy(taskId, 0, ROOT, "", signatures);
    }

    function test_PublishPolicy_OneSignerTwice_Reverts() public {
        uint256 taskId = _settledTask();
        bytes[] memory signatures = _signatures(taskId, 0, ROOT, 3);
        _nameWorker(verifier, 50);
        signatures[1] = _signPolicy(50, taskId, 0, ROOT);
        vm.expectRevert(abi.encodeWithSelector(IAttestations.SignersUnsorted.selector, verifier));
        attestations.publishPolicy(taskId, 0, ROOT, "", signatures);
    }

    function test_PublishPolicy_SignedByAnOutsider_Reverts() public {
        uint256 taskId = _settledTask();
        bytes[] memory signatures = new bytes[](1);
        signatures[0] = _signPolicy(2, taskId, 0, ROOT);
        vm.expectRevert(abi.encodeWithSelector(IAttestations.NotEnlistedAtSeal.selector, taskId, 0, outsider));
        attestations.publishPolicy(taskId, 0, ROOT, "", signatures);
    }

    function test_PublishPolicy_MalformedSignature_Reverts() public {
        uint256 taskId = _settledTask();
        bytes[] memory signatures = new bytes[](1);
        signatures[0] = hex"1234";
        vm.expectRevert(abi.encodeWithSelector(ECDSA.ECDSAInvalidSignatureLength.selector, 2));
        attestations.publishPolicy(taskId, 0, ROOT, "", signatures);
    }

    // finalise, voidEpoch, slashAbsence

    function test_Finalise_WithinTheWindow_Reverts() public {
        uint256 taskId = _settledTask();
        uint256 challengeBy = _now() + 100;
        _wait(99);
        vm.expectRevert(abi.encodeWithSelector(IAttestations.StillChallengeable.selector, taskId, 0, challengeBy));
        attestations.finalise(taskId, 0);
        _wait(1);
        vm.expectEmit(address(attestations));
        emit IAttestations.EpochFinal(taskId, 0);
        attestations.finalise(taskId, 0);
        _assertPhase(taskId, 0, EpochPhase.Final);
        vm.expectRevert(_wrongPhase(taskId, EpochPhase.Final));
        attestations.finalise(taskId, 0);
    }

    function test_Finalise_WithOpenChallenges_Reverts() public {
        uint256 taskId = _settledTask();
        _challenge(taskId, 0, 1, 0);
        _challenge(taskId, 0, 2, 0);
        _wait(100);
        vm.expectRevert(abi.encodeWithSelector(IAttestations.OpenChallenges.selector, taskId, 0, 2));
        attestations.finalise(taskId, 0);
        challenges.decide(taskId, 0, 1, new bytes[](0));
        vm.expectRevert(abi.encodeWithSelector(IAttestations.OpenChallenges.selector, taskId, 0, 1));
        attestations.finalise(taskId, 0);
        challenges.decide(taskId, 0, 2, new bytes[](0));
        attestations.finalise(taskId, 0);
    }

    function test_Finalise_GivesBackWhatAbsentVerifiersDidNotEarn() public {
        TaskParams memory params = _params();
        params.quorumBps = 6666;
        uint256 taskId = _staff(_openTask(params, 1000 * UNIT));
        _commitAllAndSeal(taskId);
        _commitReport(taskId, 0, verifier, GOOD);
        _commitReport(taskId, 0, secondVerifier, GOOD);
        _wait(100);
        _reveal(taskId, 0, verifier, GOOD);
        _reveal(taskId, 0, secondVerifier, GOOD);
        _settle(taskId, 0, GOOD);
        (uint256 before,) = _money(taskId);
        _finalise(taskId, 0);
        (uint256 budget,) = _money(taskId);
        vm.assertEq(budget, before + UNIT, "a third of the fee");
    }

    function test_VoidEpoch_WithoutQuorum_FreesItsMoney() public {
        uint256 taskId = _sealedTask();
        _commitReport(taskId, 0, verifier, GOOD);
        _wait(100);
        _reveal(taskId, 0, verifier, GOOD);
        _assertPhase(taskId, 0, EpochPhase.Missed); // ends early: nobody else could reveal
        (uint256 before,) = _money(taskId);
        vm.expectEmit(address(attestations));
        emit IAttestations.EpochVoid(taskId, 0);
        attestations.voidEpoch(taskId, 0);
        (uint256 budget, uint256 reserved) = _money(taskId);
        vm.assertEq(budget, before + 33 * UNIT, "30 units and the fee");
        vm.assertEq(reserved, 103 * UNIT, "the open epoch");
        vm.expectRevert(_wrongPhase(taskId, EpochPhase.Void));
        attestations.voidEpoch(taskId, 0);
    }

    function test_VoidEpoch_NobodyCommitted_EndsWithTheCommitWindow() public {
        uint256 taskId = _sealedTask();
        _wait(100);
        attestations.voidEpoch(taskId, 0);
    }

    function test_VoidEpoch_OpensADryTask() public {
        uint256 taskId = _staff(_openTask(_params(), 103 * UNIT));
        _commitAllAndSeal(taskId);
        _wait(100);
        attestations.voidEpoch(taskId, 0);
        (,,, uint64 openEpoch,, bool isOpen,) = registry.stateOf(taskId);
        vm.assertTrue(isOpen && openEpoch == 1, "open");
    }

    function test_VoidEpoch_Attested_OnlyWhenNobodyCouldSettleIt() public {
        uint256 taskId = _sealedTask();
        _attest(taskId, 0, "nobody has these bytes");
        _wait(UNBONDING - 1);
        vm.expectRevert(_wrongPhase(taskId, EpochPhase.Attested));
        attestations.voidEpoch(taskId, 0);
        _wait(1);
        attestations.voidEpoch(taskId, 0);
        _assertPhase(taskId, 0, EpochPhase.Void);
    }

    function test_SlashAbsence_OfOneWhoDidNotCommit() public {
        uint256 taskId = _voidTask();
        (uint256 before,) = _money(taskId);
        vm.expectEmit(address(attestations));
        emit IAttestations.AbsenceSlashed(taskId, 0, secondVerifier, 5 * UNIT);
        attestations.slashAbsence(taskId, 0, secondVerifier);
        (uint256 budget,) = _money(taskId);
        vm.assertEq(budget, before + 5 * UNIT, "to the budget");
        vm.assertEq(_bonded(secondVerifier, Role.Verifier), 95 * UNIT, "from the bond");
        vm.assertFalse(attestations.isEnlisted(taskId, secondVerifier), "its bond no longer suffices");
        vm.expectRevert(abi.encodeWithSelector(IAttestations.AlreadySlashed.selector, taskId, 0, secondVerifier));
        attestations.slashAbsence(taskId, 0, secondVerifier);
    }

    /// Zero and one have been marks, of a verifier without a report and of one already slashed.
    function testFuzz_SlashAbsence_OfOneWhoRevealedAHashThatNobodyHasBytesOf(uint256 kind, bytes32 any) public {
        bytes32 hash = kind % 3 == 2 ? any : bytes32(kind % 3);
        uint256 taskId = _sealedTask();
        vm.prank(verifier);
        attestations.commitAttestation(taskId, 0, keccak256(abi.encode(taskId, uint64(0), verifier, hash, SALT)));
        _wait(100);
        vm.prank(verifier);
        attestations.revealAttestation(taskId, 0, hash, SALT, EVIDENCE);
        attestations.voidEpoch(taskId, 0);
        vm.expectRevert(_wrongPhase(taskId, EpochPhase.Void));
        attestations.slashAbsence(taskId, 0, verifier); // it has time to show its report, as everybody has
        _wait(100);
        attestations.slashAbsence(taskId, 0, verifier);
        vm.assertEq(_bonded(verifier, Role.Verifier), 95 * UNIT, "slashed");
        vm.expectRevert(abi.encodeWithSelector(IAttestations.AlreadySlashed.selector, taskId, 0, verifier));
        attestations.slashAbsence(taskId, 0, verifier);
    }

    function test_SlashAbsence_OfOneWithBondToSpare_StaysEnlisted() public {
        uint256 taskId = _sealedByARichVerifier();
        _wait(100);
        attestations.voidEpoch(taskId, 0);
        attestations.slashAbsence(taskId, 0, verifier);
        vm.assertTrue(attestations.isEnlisted(taskId, verifier), "enlisted");
        (uint128 collateral,) = attestations.collateralOf(taskId, verifier);
        vm.assertEq(collateral, 125 * UNIT, "answering");
    }

    function test_SlashAbsence_OfOneWhoBondedMoreSince_EndsItsEnlistment() public {
        uint256 taskId = _voidTask();
        _bond(thirdVerifier, Role.Verifier, 5 * UNIT);
        attestations.slashAbsence(taskId, 0, thirdVerifier); // committed, did not reveal
        vm.assertFalse(attestations.isEnlisted(taskId, thirdVerifier), "nothing raises what it enlisted with");
    }

    function test_SlashAbsence_OfOneWhoseReportCounted_Reverts() public {
        uint256 taskId = _settledTask();
        _finalise(taskId, 0);
        _wait(UNBONDING);
        vm.expectRevert(abi.encodeWithSelector(IAttestations.WasPresent.selector, taskId, 0, verifier));
        attestations.slashAbsence(taskId, 0, verifier);
    }

    function test_SlashAbsence_OfOneWhoShowedItsReport_Reverts() public {
        uint256 taskId = _voidTask();
        vm.expectEmit(address(attestations));
        emit IAttestations.ReportShown(taskId, 0, keccak256(GOOD));
        vm.prank(outsider);
        attestations.showReport(taskId, 0, GOOD);
        _wait(UNBONDING);
        vm.expectRevert(abi.encodeWithSelector(IAttestations.WasPresent.selector, taskId, 0, verifier));
        attestations.slashAbsence(taskId, 0, verifier);
    }

    /// The last reveal may leave an epoch without a quorum, and somebody void it at once: who revealed must have had the
    /// time to show its report.
    function test_SlashAbsence_OfOneWhoRevealedInAVoidEpoch_WaitsForItsReport() public {
        uint256 taskId = _sealedTask();
        _commitReport(taskId, 0, verifier, GOOD);
        _wait(100);
        _reveal(taskId, 0, verifier, GOOD);
        attestations.voidEpoch(taskId, 0);
        vm.expectRevert(_wrongPhase(taskId, EpochPhase.Void));
        attestations.slashAbsence(taskId, 0, verifier);
        _wait(99);
        vm.expectRevert(_wrongPhase(taskId, EpochPhase.Void));
        attestations.slashAbsence(taskId, 0, verifier);
        attestations.slashAbsence(taskId, 0, secondVerifier); // who did not commit has nothing to show
        _wait(1);
        attestations.slashAbsence(taskId, 0, verifier);
        vm.assertEq(_bonded(verifier, Role.Verifier), 95 * UNIT, "nobody has seen its report");
    }

    function test_SlashAbsence_OfOneWhoWithheldItsReport() public {
        uint256 taskId = _withheldTask();
        vm.expectRevert(_wrongPhase(taskId, EpochPhase.Challengeable));
        attestations.slashAbsence(taskId, 0, thirdVerifier);
        _finalise(taskId, 0);
        attestations.slashAbsence(taskId, 0, thirdVerifier);
        vm.assertEq(_bonded(thirdVerifier, Role.Verifier), 95 * UNIT, "slashed");
        vm.expectRevert(abi.encodeWithSelector(IAttestations.AlreadySlashed.selector, taskId, 0, thirdVerifier));
        attestations.slashAbsence(taskId, 0, thirdVerifier);
        vm.assertEq(payouts.feeOf(taskId, 0, thirdVerifier), 0, "no fee either");
        vm.assertEq(payouts.feeOf(taskId, 0, verifier), UNIT, "the others' fees are theirs");
    }

    function test_SlashAbsence_OfOneLeftOutThatShowedItsReport_Reverts() public {
        uint256 taskId = _withheldTask();
        attestations.showReport(taskId, 0, "withheld");
        _finalise(taskId, 0);
        vm.expectRevert(abi.encodeWithSelector(IAttestations.WasPresent.selector, taskId, 0, thirdVerifier));
        attestations.slashAbsence(taskId, 0, thirdVerifier);
        vm.assertEq(payouts.feeOf(taskId, 0, thirdVerifier), 0, "it did not count");
    }

    function test_ShowReport_ThatNobodyRevealed_Reverts() public {
        uint256 taskId = _voidTask();
        vm.expectRevert(abi.encodeWithSelector(IAttestations.UnknownReport.selector, keccak256("x")));
        attestations.showReport(taskId, 0, "x");
        vm.expectRevert(abi.encodeWithSelector(IAttestations.UnknownReport.selector, keccak256(GOOD)));
        attestations.showReport(taskId, 1, GOOD);
    }

    function test_SlashAbsence_OfAnOutsider_Reverts() public {
        uint256 taskId = _voidTask();
        vm.expectRevert(abi.encodeWithSelector(IAttestations.NotEnlistedAtSeal.selector, taskId, 0, outsider));
        attestations.slashAbsence(taskId, 0, outsider);
    }

    function test_SlashAbsence_BeforeTheEpochIsDecided_Reverts() public {
        uint256 taskId = _sealedTask();
        vm.expectRevert(_wrongPhase(taskId, EpochPhase.AttestCommit));
        attestations.slashAbsence(taskId, 0, verifier);
    }

    function test_FinalScoresOf_AnEpochThatIsNotFinal_Reverts() public {
        uint256 taskId = _settledTask();
        vm.expectRevert(abi.encodeWithSelector(IAttestations.NotFinal.selector, taskId, 0));
        attestations.finalScoresOf(taskId, new uint256[](1));
    }

    function _settledTask() private returns (uint256 taskId) {
        taskId = _sealedTask();
        _attest(taskId, 0, GOOD);
        _settle(taskId, 0, GOOD);
    }

    /// Only the first verifier has revealed; the third has committed.
    function _voidTask() private returns (uint256 taskId) {
        taskId = _sealedTask();
        _commitReport(taskId, 0, verifier, GOOD);
        _commitReport(taskId, 0, thirdVerifier, GOOD);
        _wait(100);
        _reveal(taskId, 0, verifier, GOOD);
        _wait(100);
        attestations.voidEpoch(taskId, 0);
    }

    /// Settled without the bytes of the third verifier's report.
    function _withheldTask() private returns (uint256 taskId) {
        TaskParams memory params = _params();
        params.quorumBps = 6666;
        taskId = _staff(_openTask(params, 1000 * UNIT));
        _commitAllAndSeal(taskId);
        _attest(taskId, 0, GOOD, GOOD, "withheld");
        _wait(100);
        attestations.settle(taskId, 0, _list(GOOD));
    }

    /// The first verifier has enlisted with 30 more than the task asks for.
    function _sealedByARichVerifier() private returns (uint256 taskId) {
        taskId = _openTask();
        _bond(verifier, Role.Verifier, 30 * UNIT);
        _staff(taskId);
        _commitAllAndSeal(taskId);
    }

    /// As Challenges does for a verdict of epoch 0.
    function _slashVerifier(uint256 taskId, uint128 amount) private {
        vm.prank(address(challenges));
        attestations.slashVerifier(taskId, 0, verifier, amount, 0);
    }

    function _assertDifferences(uint256 taskId, address who, uint256 expected) private view {
        (,, uint16 differences,,) = attestations.attestationOf(taskId, 0, who);
        vm.assertEq(differences, expected, "differences");
    }

    function _wrongPhase(uint256 taskId, EpochPhase phase) private pure returns (bytes memory) {
        return abi.encodeWithSelector(IAttestations.WrongPhase.selector, taskId, 0, phase);
    }
}
