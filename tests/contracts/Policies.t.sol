// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

import {IPolicies, PolicyState} from "../../contracts/interfaces/IPolicies.sol";
import {Role} from "../../contracts/interfaces/IStaking.sol";
import {Judged} from "./Judged.sol";

contract PoliciesTest is Judged {
    // publishPolicy

    function test_PublishPolicy_ByWorkerAndOperatorKeys() external {
        uint256 taskId = _settledTask();
        (uint32 version, bytes32 root, uint64 next) = policies.policyOf(taskId);
        vm.assertTrue(version == 0 && root == POLICY && next == 0, "the initiator's");
        _nameWorker(secondVerifier, 50);
        bytes[] memory signatures = _signatures(taskId, 0, ROOT, 2);
        signatures[1] = _signPolicy(50, taskId, 0, ROOT);
        vm.expectEmit(address(policies));
        emit IPolicies.PolicyPublished(taskId, 0, 1, ROOT, "ipfs://policy");
        vm.prank(outsider);
        policies.publishPolicy(taskId, 0, ROOT, "ipfs://policy", signatures);
        (version, root, next) = policies.policyOf(taskId);
        vm.assertTrue(version == 1 && root == ROOT && next == 1, "published");
        _assertState(taskId, 0, PolicyState.Published);
    }

    function test_PublishPolicy_OfAFinalEpoch_HoweverLate_UntilSomebodySkipsIt() external {
        uint256 taskId = _settledTask();
        _finalise(taskId, 0);
        _wait(10_000);
        _publish(taskId, 0);
        _assertState(taskId, 0, PolicyState.Published);
    }

    function test_PublishPolicy_BeforeItsEpochIsSettled_Reverts() external {
        uint256 taskId = _sealedTask();
        bytes memory early = abi.encodeWithSelector(IPolicies.NotSettled.selector, taskId, 0);
        bytes[] memory signatures = _signatures(taskId, 0, ROOT, 3);
        vm.expectRevert(early);
        policies.publishPolicy(taskId, 0, ROOT, "", signatures);
        _attest(taskId, 0, GOOD);
        attestations.settle(taskId, 0, _list(GOOD), 2); // some submissions are paid already
        vm.expectRevert(early);
        policies.publishPolicy(taskId, 0, ROOT, "", signatures);
    }

    function test_PublishPolicy_Empty_Reverts() external {
        uint256 taskId = _settledTask();
        vm.expectRevert(IPolicies.EmptyRoot.selector);
        policies.publishPolicy(taskId, 0, 0, "", new bytes[](0));
    }

    function test_PublishPolicy_WithALongUri_Reverts() external {
        uint256 taskId = _settledTask();
        bytes[] memory signatures = _signatures(taskId, 0, ROOT, 2);
        vm.expectRevert(abi.encodeWithSelector(IPolicies.UriTooLong.selector, 513, 512));
        policies.publishPolicy(taskId, 0, ROOT, string(new bytes(513)), signatures);
        policies.publishPolicy(taskId, 0, ROOT, string(new bytes(512)), signatures); // of any content
    }

    function test_PublishPolicy_Twice_Reverts() external {
        uint256 taskId = _settledTask();
        _publish(taskId, 0);
        bytes[] memory signatures = _signatures(taskId, 0, POLICY, 3);
        vm.expectRevert(abi.encodeWithSelector(IPolicies.PolicyOutOfOrder.selector, taskId, 0, 1));
        policies.publishPolicy(taskId, 0, POLICY, "", signatures);
    }

    function test_PublishPolicy_WhereNothingIsPaid_Reverts() external {
        uint256 taskId = _settledWith(hex"0000fe");
        bytes[] memory signatures = _signatures(taskId, 0, ROOT, 3);
        vm.expectRevert(abi.encodeWithSelector(IPolicies.PolicyNotDue.selector, taskId, 0));
        policies.publishPolicy(taskId, 0, ROOT, "", signatures);
    }

    function test_PublishPolicy_OfAVoidEpoch_Reverts() external {
        uint256 taskId = _voidTask();
        bytes[] memory signatures = _signatures(taskId, 0, ROOT, 3);
        vm.expectRevert(abi.encodeWithSelector(IPolicies.NotSettled.selector, taskId, 0));
        policies.publishPolicy(taskId, 0, ROOT, "", signatures);
    }

    function test_PublishPolicy_TooFewSigners_Reverts() external {
        uint256 taskId = _settledTask();
        bytes[] memory signatures = _signatures(taskId, 0, ROOT, 1);
        vm.expectRevert(abi.encodeWithSelector(IPolicies.NoQuorum.selector, 100 * UNIT, 199.98 ether));
        policies.publishPolicy(taskId, 0, ROOT, "", signatures);
    }

    function test_PublishPolicy_OneSignerTwice_Reverts() external {
        uint256 taskId = _settledTask();
        bytes[] memory signatures = _signatures(taskId, 0, ROOT, 2);
        _nameWorker(verifier, 50);
        signatures[1] = _signPolicy(50, taskId, 0, ROOT); // its hot key as well
        vm.expectRevert(abi.encodeWithSelector(IPolicies.SignersUnsorted.selector, verifier));
        policies.publishPolicy(taskId, 0, ROOT, "", signatures);
    }

    function test_PublishPolicy_SignedByAnOutsider_CountsForNothing() external {
        uint256 taskId = _settledTask();
        _enlistVerifier(taskId, outsider, 1000 * UNIT); // since
        bytes[] memory signatures = new bytes[](1);
        signatures[0] = _signPolicy(2, taskId, 0, ROOT);
        vm.expectRevert(abi.encodeWithSelector(IPolicies.NoQuorum.selector, 0, 199.98 ether));
        policies.publishPolicy(taskId, 0, ROOT, "", signatures);
    }

    /// Neither of another root, nor another epoch, nor another history of the same one.
    function test_PublishPolicy_WithSignaturesOfSomethingElse_Reverts() external {
        uint256 taskId = _settledTask();
        uint256 other = _settledTask();
        bytes[] memory signatures = _signatures(taskId, 0, POLICY, 3);
        vm.expectRevert();
        policies.publishPolicy(taskId, 0, ROOT, "", signatures);
        signatures = _signatures(other, 0, ROOT, 3);
        vm.expectRevert();
        policies.publishPolicy(taskId, 0, ROOT, "", signatures);
    }

    function test_PublishPolicy_MalformedSignature_Reverts() external {
        uint256 taskId = _settledTask();
        bytes[] memory signatures = new bytes[](1);
        signatures[0] = hex"1234";
        vm.expectRevert(abi.encodeWithSelector(ECDSA.ECDSAInvalidSignatureLength.selector, 2));
        policies.publishPolicy(taskId, 0, ROOT, "", signatures);
    }

    /// What comes before is void, or nothing of it was paid: it is skipped on the way.
    function test_PublishPolicy_OfALaterEpoch_SkipsWhatMayBeSkipped() external {
        uint256 taskId = _richTask();
        _play(taskId, 0, hex"000000"); // nothing is paid
        _commitAllAndSeal(taskId);
        _wait(100);
        attestations.voidEpoch(taskId, 1);
        _play(taskId, 2, hex"00ff00");
        _play(taskId, 3, GOOD);
        _publish(taskId, 3);
        _assertState(taskId, 0, PolicyState.NotDue);
        _assertState(taskId, 1, PolicyState.NotDue);
        _assertState(taskId, 2, PolicyState.NotDue);
        _assertState(taskId, 3, PolicyState.Published);
        (uint32 version,, uint64 next) = policies.policyOf(taskId);
        vm.assertTrue(version == 1 && next == 4, "the first version, of the fourth epoch");
    }

    /// Of those that are due only the next can be late: the line has not come to the others.
    function test_PublishPolicy_OfALaterEpoch_SkipsOneThatIsLate() external {
        uint256 taskId = _richTask();
        _play(taskId, 0, GOOD);
        _play(taskId, 1, GOOD); // nobody signs
        _wait(200);
        _play(taskId, 2, GOOD);
        bytes[] memory signatures = _signatures(taskId, 2, ROOT, 3);
        uint40 by = uint40(_now() + 100);
        vm.expectRevert(abi.encodeWithSelector(IPolicies.PolicyStillDue.selector, taskId, 1, by));
        policies.publishPolicy(taskId, 2, ROOT, "", signatures);
        policies.skipPolicy(taskId, 0);
        _wait(100);
        _publish(taskId, 2);
        _assertState(taskId, 0, PolicyState.Skipped);
        _assertState(taskId, 1, PolicyState.Skipped);
        _assertState(taskId, 2, PolicyState.Published);
    }

    function test_PublishPolicy_OfALaterEpoch_WhileOneBeforeIsDue_Reverts() external {
        uint256 taskId = _richTask();
        _play(taskId, 0, GOOD);
        uint40 by = _policyBy(taskId, 0);
        _play(taskId, 1, GOOD);
        bytes[] memory signatures = _signatures(taskId, 1, ROOT, 3);
        vm.expectRevert(abi.encodeWithSelector(IPolicies.PolicyStillDue.selector, taskId, 0, by));
        policies.publishPolicy(taskId, 1, ROOT, "", signatures);
        _commitAllAndSeal(taskId);
        vm.warp(by);
        signatures = _signatures(taskId, 2, ROOT, 3);
        vm.expectRevert(); // epoch 2 is being judged: what it becomes is not known
        policies.publishPolicy(taskId, 2, ROOT, "", signatures);
        _publish(taskId, 1);
    }

    // skipPolicy

    function test_SkipPolicy_OfAVoidEpoch_AtOnce() external {
        uint256 taskId = _voidTask();
        vm.expectEmit(address(policies));
        emit IPolicies.PolicySkipped(taskId, 0, PolicyState.NotDue);
        vm.prank(outsider);
        policies.skipPolicy(taskId, 0);
    }

    function test_SkipPolicy_WhereNothingIsPaid_LeavesTheFee() external {
        uint256 taskId = _settledWith(hex"00ff00");
        (, uint256 before) = _money(taskId);
        policies.skipPolicy(taskId, 0);
        (, uint256 reserved) = _money(taskId);
        vm.assertEq(reserved, before, "who judged it has its fee");
        _assertState(taskId, 0, PolicyState.NotDue);
    }

    /// A minority that does not sign stops no task: it costs the fee of the epoch.
    function test_SkipPolicy_OfOneThatIsLate_ForfeitsTheFee() external {
        uint256 taskId = _settledTask();
        uint40 by = _policyBy(taskId, 0);
        vm.expectRevert(abi.encodeWithSelector(IPolicies.PolicyStillDue.selector, taskId, 0, by));
        policies.skipPolicy(taskId, 0);
        vm.warp(by - 1);
        vm.expectRevert(abi.encodeWithSelector(IPolicies.PolicyStillDue.selector, taskId, 0, by));
        policies.skipPolicy(taskId, 0);
        vm.warp(by);
        (uint256 before,) = _money(taskId);
        vm.expectEmit(address(policies));
        emit IPolicies.PolicySkipped(taskId, 0, PolicyState.Skipped);
        policies.skipPolicy(taskId, 0);
        (uint256 budget,) = _money(taskId);
        vm.assertEq(budget, before + 9 * UNIT / 10, "all of it: three submissions of ten were paid");
        bytes[] memory signatures = _signatures(taskId, 0, ROOT, 3);
        vm.expectRevert(abi.encodeWithSelector(IPolicies.PolicyOutOfOrder.selector, taskId, 0, 1));
        policies.publishPolicy(taskId, 0, ROOT, "", signatures);
    }

    /// Epoch 1 is settled long before epoch 0, and its policy signed; it has to wait for that of epoch 0. Anyone who
    /// skips it in the moment in which it could be published at last would take the fee of all who judged it.
    function test_SkipPolicy_BeforeItCouldBePublished_Reverts() external {
        uint256 taskId = _richTask();
        _play(taskId, 0, GOOD);
        _play(taskId, 1, GOOD);
        _wait(10_000);
        _publish(taskId, 0);
        uint40 by = uint40(_now() + 100);
        vm.startPrank(initiator);
        vm.expectRevert(abi.encodeWithSelector(IPolicies.PolicyStillDue.selector, taskId, 1, by));
        policies.skipPolicy(taskId, 1);
        vm.warp(by - 1);
        vm.expectRevert(abi.encodeWithSelector(IPolicies.PolicyStillDue.selector, taskId, 1, by));
        policies.skipPolicy(taskId, 1);
        vm.stopPrank();
        _publish(taskId, 1);
        _assertState(taskId, 1, PolicyState.Published);
    }

    /// Epochs without a policy are skipped at once, however many; one that is due is waited for, from then on.
    function test_SkipPolicy_OfSeveral_WaitsForEachThatIsDue() external {
        uint256 taskId = _richTask();
        _play(taskId, 0, GOOD);
        _play(taskId, 1, hex"000000");
        _play(taskId, 2, hex"000000");
        _play(taskId, 3, GOOD);
        _wait(10_000);
        for (uint64 epoch; epoch < 3; ++epoch) {
            policies.skipPolicy(taskId, epoch);
        }
        bytes memory due = abi.encodeWithSelector(IPolicies.PolicyStillDue.selector, taskId, 3, _now() + 100);
        vm.expectRevert(due);
        policies.skipPolicy(taskId, 3);
        _wait(100);
        policies.skipPolicy(taskId, 3);
        _assertState(taskId, 0, PolicyState.Skipped);
        _assertState(taskId, 2, PolicyState.NotDue);
        _assertState(taskId, 3, PolicyState.Skipped);
    }

    function test_SkipPolicy_Twice_ForfeitsTheFeeOnce() external {
        uint256 taskId = _settledTask();
        _wait(200);
        policies.skipPolicy(taskId, 0);
        vm.expectRevert(abi.encodeWithSelector(IPolicies.PolicyOutOfOrder.selector, taskId, 0, 1));
        policies.skipPolicy(taskId, 0);
        vm.expectRevert(abi.encodeWithSelector(IPolicies.PolicyOutOfOrder.selector, taskId, 2, 1));
        policies.skipPolicy(taskId, 2);
    }

    function test_SkipPolicy_OfAnEpochThatIsNotSettled_Reverts() external {
        uint256 taskId = _sealedTask();
        _wait(50);
        vm.expectRevert(abi.encodeWithSelector(IPolicies.PolicyStillDue.selector, taskId, 0, 0));
        policies.skipPolicy(taskId, 0);
        taskId = _staffedTask(); // not even sealed
        vm.expectRevert(abi.encodeWithSelector(IPolicies.PolicyStillDue.selector, taskId, 0, 0));
        policies.skipPolicy(taskId, 0);
    }

    /// Some verifiers are absent, the epoch becomes final before or after its policy is skipped: all of its fee comes
    /// back, to a wei or two, and never more than that.
    function testFuzz_SkipPolicy_AndFinality_GiveBackTheFeeOnce(uint96 extra, bool isFinalFirst, bool isAbsent)
        external
    {
        uint256 taskId = _openTask();
        _enlistTrainer(taskId, trainer);
        _enlistVerifier(taskId, verifier, uint128(100 * UNIT + _bound(extra, 0, 20 * UNIT)));
        _enlistVerifier(taskId, secondVerifier, 100 * UNIT);
        _enlistVerifier(taskId, thirdVerifier, 100 * UNIT);
        _commit(taskId, trainer);
        attestations.sealEpoch(taskId);
        _commitReport(taskId, 0, verifier, hex"64");
        _commitReport(taskId, 0, secondVerifier, hex"64");
        if (!isAbsent) _commitReport(taskId, 0, thirdVerifier, hex"64");
        else _wait(100);
        _reveal(taskId, 0, verifier, hex"64");
        _reveal(taskId, 0, secondVerifier, hex"64");
        if (!isAbsent) _reveal(taskId, 0, thirdVerifier, hex"64");
        _settle(taskId, 0, hex"64");
        (uint256 before,) = _money(taskId);
        _wait(200);
        if (isFinalFirst) attestations.finalise(taskId, 0);
        policies.skipPolicy(taskId, 0);
        if (!isFinalFirst) attestations.finalise(taskId, 0);
        (uint256 budget,) = _money(taskId);
        vm.assertLe(budget - before, 3 * UNIT, "no more than the fee");
        vm.assertGe(budget - before, 3 * UNIT - 2, "and no less, but for what rounding leaves");
    }

    function _settledWith(bytes memory report) private returns (uint256 taskId) {
        taskId = _sealedTask();
        _attest(taskId, 0, report);
        _settle(taskId, 0, report);
    }

    /// Trainers that can have several submissions in flight.
    function _richTask() private returns (uint256 taskId) {
        taskId = _staffedTask();
        address[3] memory trainers = [trainer, secondTrainer, thirdTrainer];
        for (uint256 i; i < 3; ++i) {
            _bond(trainers[i], Role.Trainer, 300 * UNIT);
        }
    }

    function _play(uint256 taskId, uint64 epoch, bytes memory report) private {
        _commitAllAndSeal(taskId);
        _attest(taskId, epoch, report);
        _settle(taskId, epoch, report);
    }

    function _publish(uint256 taskId, uint64 epoch) private {
        bytes[] memory signatures = _signatures(taskId, epoch, ROOT, 2);
        policies.publishPolicy(taskId, epoch, ROOT, "", signatures);
    }

    function _policyBy(uint256 taskId, uint64 epoch) private view returns (uint40) {
        (,, uint40 challengeBy,) = attestations.scheduleOf(taskId, epoch);
        return challengeBy + 100;
    }

    function _assertState(uint256 taskId, uint64 epoch, PolicyState expected) private view {
        vm.assertTrue(policies.stateOf(taskId, epoch) == expected, "state");
    }
}
