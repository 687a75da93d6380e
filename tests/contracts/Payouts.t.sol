// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Payouts} from "../../contracts/Payouts.sol";
import {IPayouts, WorkRef} from "../../contracts/interfaces/IPayouts.sol";
import {Role} from "../../contracts/interfaces/IStaking.sol";
import {ITaskRegistry} from "../../contracts/interfaces/ITaskRegistry.sol";
import {Network} from "./Network.sol";

contract PayoutsTest is Network {
    function test_ReporterShare_BeyondTheMargin_Reverts() public {
        new Payouts(staking, registry, attestations, challenges, 1666);
        vm.expectRevert(abi.encodeWithSelector(Payouts.ReporterShareTooLarge.selector, 1667, 1666));
        new Payouts(staking, registry, attestations, challenges, 1667);
    }

    // claim

    function test_Claim_PaysByScore() public {
        uint256 taskId = _finalTask(hex"643200");
        vm.expectEmit(address(payouts));
        emit IPayouts.Claimed(taskId, 0, secondTrainer, 1, 5 * UNIT);
        vm.prank(outsider);
        payouts.claim(_refs(_ref(taskId, 0, secondTrainer, 1)));
        vm.assertEq(token.balanceOf(secondTrainer), 5 * UNIT, "half of ten units");
        vm.assertEq(token.balanceOf(outsider), 0, "anybody may call, nobody else is paid");
        vm.assertEq(registry.workHash(taskId, 0, secondTrainer), bytes32(uint256(1)), "marked");
        (uint256 before,) = _money(taskId);
        payouts.claim(_refs(_ref(taskId, 0, thirdTrainer, 2)));
        vm.assertEq(token.balanceOf(thirdTrainer), 0, "nothing for a score of 0");
        (uint256 budget,) = _money(taskId);
        vm.assertEq(budget, before + 10 * UNIT, "but its reservation ends");
    }

    function test_Claim_ManyEpochs_InOneTransfer() public {
        uint256 taskId = _finalTask(hex"646464");
        _commitAllAndSeal(taskId);
        _judge(taskId, 1, hex"326464");
        WorkRef[] memory refs = new WorkRef[](2);
        (refs[0], refs[1]) = (_ref(taskId, 0, trainer, 0), _ref(taskId, 1, trainer, 0));
        vm.assertEq(payouts.claim(refs), 15 * UNIT, "amount");
        vm.assertEq(token.balanceOf(trainer), 15 * UNIT, "paid");
    }

    function test_Claim_Twice_Reverts() public {
        uint256 taskId = _finalTask(hex"646464");
        WorkRef[] memory refs = new WorkRef[](2);
        (refs[0], refs[1]) = (_ref(taskId, 0, trainer, 0), _ref(taskId, 0, trainer, 0));
        bytes memory wrong = abi.encodeWithSelector(ITaskRegistry.WrongWork.selector, taskId, 0, trainer);
        vm.expectRevert(wrong);
        payouts.claim(refs);
        payouts.claim(_refs(refs[0]));
        vm.expectRevert(wrong);
        payouts.claim(_refs(refs[0]));
    }

    function test_Claim_OfAnotherWork_Reverts() public {
        uint256 taskId = _finalTask(hex"320064");
        WorkRef memory ref = _ref(taskId, 0, trainer, 2); // the third's score
        vm.expectRevert(abi.encodeWithSelector(ITaskRegistry.WrongWork.selector, taskId, 0, trainer));
        payouts.claim(_refs(ref));
        ref = _ref(taskId, 0, trainer, 0);
        ref.work.units = 11;
        vm.expectRevert(abi.encodeWithSelector(ITaskRegistry.WrongWork.selector, taskId, 0, trainer));
        payouts.claim(_refs(ref));
        ref = _ref(taskId, 0, outsider, 0);
        vm.expectRevert(abi.encodeWithSelector(ITaskRegistry.WrongWork.selector, taskId, 0, outsider));
        payouts.claim(_refs(ref));
    }

    function test_Claim_BeforeTheEpochIsFinal_Reverts() public {
        uint256 taskId = _sealedTask();
        WorkRef[] memory refs = _refs(_ref(taskId, 0, trainer, 0));
        vm.expectRevert(abi.encodeWithSelector(IPayouts.NotFinal.selector, taskId, 0));
        payouts.claim(refs);
        _attest(taskId, 0, hex"646464");
        _settle(taskId, 0, hex"646464");
        vm.expectRevert(abi.encodeWithSelector(IPayouts.NotFinal.selector, taskId, 0));
        payouts.claim(refs);
    }

    function test_Claim_OfAVoidEpoch_Reverts() public {
        uint256 taskId = _sealedTask();
        _wait(100);
        attestations.voidEpoch(taskId, 0);
        vm.expectRevert(abi.encodeWithSelector(IPayouts.NotFinal.selector, taskId, 0));
        payouts.claim(_refs(_ref(taskId, 0, trainer, 0)));
    }

    function test_Claim_OfAFraud_Reverts() public {
        uint256 taskId = _finalTask(hex"ff6464");
        vm.expectRevert(abi.encodeWithSelector(IPayouts.IsFraud.selector, taskId, 0, 0));
        payouts.claim(_refs(_ref(taskId, 0, trainer, 0)));
    }

    function test_Claim_Nothing_Reverts() public {
        vm.expectRevert(IPayouts.NoWorks.selector);
        payouts.claim(new WorkRef[](0));
    }

    function test_Claim_Mixed_Reverts() public {
        uint256 taskId = _finalTask(hex"646464");
        WorkRef[] memory refs = new WorkRef[](2);
        (refs[0], refs[1]) = (_ref(taskId, 0, trainer, 0), _ref(taskId, 0, secondTrainer, 1));
        vm.expectRevert(abi.encodeWithSelector(IPayouts.MixedTrainers.selector, trainer, secondTrainer));
        payouts.claim(refs);
        refs[1] = _ref(taskId + 1, 0, trainer, 0);
        vm.expectRevert(abi.encodeWithSelector(IPayouts.MixedTasks.selector, taskId, taskId + 1));
        payouts.claim(refs);
    }

    // claimFees

    function test_ClaimFees_ByWeightAndAgreement() public {
        uint256 taskId = _sealedTask();
        (bytes memory a, bytes memory b) = (bytes(hex"646464"), bytes(hex"640064"));
        _attest(taskId, 0, a, a, b);
        attestations.settle(taskId, 0, _sorted(a, b));
        vm.assertEq(payouts.feeOf(taskId, 0, verifier), 0, "not final");
        _finalise(taskId, 0);
        vm.assertEq(payouts.feeOf(taskId, 0, verifier), UNIT, "a third");
        uint256 dissent = uint256(UNIT) * 2 / 3;
        vm.assertEq(payouts.feeOf(taskId, 0, thirdVerifier), dissent, "two thirds of that");

        address worker = _nameWorker(thirdVerifier, 50);
        (uint256 before,) = _money(taskId);
        vm.expectEmit(address(payouts));
        emit IPayouts.FeesClaimed(taskId, 0, thirdVerifier, dissent);
        vm.prank(worker);
        payouts.claimFees(taskId, new uint64[](1));
        vm.assertEq(token.balanceOf(thirdVerifier), dissent, "to the operator");
        (uint256 budget,) = _money(taskId);
        vm.assertEq(budget, before + UNIT - dissent, "the rest to the budget");
        vm.assertEq(payouts.feeOf(taskId, 0, thirdVerifier), 0, "claimed");
    }

    function test_ClaimFees_Twice_Reverts() public {
        uint256 taskId = _finalTask(hex"646464");
        vm.prank(verifier);
        vm.expectRevert(abi.encodeWithSelector(IPayouts.AlreadyClaimed.selector, taskId, 0, verifier));
        payouts.claimFees(taskId, new uint64[](2));
    }

    function test_ClaimFees_BeforeTheEpochIsFinal_Reverts() public {
        uint256 taskId = _sealedTask();
        vm.prank(verifier);
        vm.expectRevert(abi.encodeWithSelector(IPayouts.NotFinal.selector, taskId, 0));
        payouts.claimFees(taskId, new uint64[](1));
    }

    function test_ClaimFees_WithoutAReport_Reverts() public {
        uint256 taskId = _finalTask(hex"646464");
        vm.assertEq(payouts.feeOf(taskId, 0, outsider), 0, "no fee");
        vm.prank(outsider);
        vm.expectRevert(abi.encodeWithSelector(IPayouts.NotRevealed.selector, taskId, 0, outsider));
        payouts.claimFees(taskId, new uint64[](1));
    }

    // slashFraud

    function test_SlashFraud_SharesTheBondAndEndsTheEnlistment() public {
        uint256 taskId = _finalTask(hex"ff6464");
        (uint256 before,) = _money(taskId);
        vm.expectEmit(address(payouts));
        emit IPayouts.FraudSlashed(taskId, 0, trainer, 0, 50 * UNIT, outsider, 5 * UNIT);
        vm.prank(outsider);
        payouts.slashFraud(_ref(taskId, 0, trainer, 0));
        vm.assertEq(token.balanceOf(outsider), 5 * UNIT, "a tenth to the reporter");
        (uint256 budget,) = _money(taskId);
        vm.assertEq(budget, before + 55 * UNIT, "the rest, and the work's reservation, to the budget");
        vm.assertEq(_bonded(trainer, Role.Trainer), 10 * UNIT, "left");
        vm.assertFalse(registry.isEnlisted(taskId, trainer), "enlisted");
        vm.expectRevert(abi.encodeWithSelector(ITaskRegistry.WrongWork.selector, taskId, 0, trainer));
        payouts.slashFraud(_ref(taskId, 0, trainer, 0));
    }

    function test_SlashFraud_WithBondToSpare_EndsTheEnlistmentAllTheSame() public {
        uint256 taskId = _finalTask(hex"ff6464");
        _bond(trainer, Role.Trainer, 50 * UNIT);
        payouts.slashFraud(_ref(taskId, 0, trainer, 0));
        vm.assertFalse(registry.isEnlisted(taskId, trainer), "enlisted");
        (uint128 collateral,) = registry.collateralOf(taskId, trainer);
        vm.assertEq(collateral, 10 * UNIT, "still answering");
        vm.prank(trainer);
        registry.enlist(taskId); // 60 are bonded, and only 10 set aside: for this task
        vm.assertTrue(registry.isEnlisted(taskId, trainer), "enlisted anew");
        vm.assertEq(registry.neededBondOf(trainer), 60 * UNIT, "set aside anew");
    }

    /// Epochs overlap: what is left of the collateral is all that answers for a second fraud.
    function test_SlashFraud_OfASecondWork_TakesWhatIsLeft() public {
        uint256 taskId = _sealedTask();
        _commitAllAndSeal(taskId);
        _attest(taskId, 0, hex"ff6464");
        _judge(taskId, 1, hex"ff6464");
        _settle(taskId, 0, hex"ff6464");
        _finalise(taskId, 0);
        _bond(trainer, Role.Trainer, 500 * UNIT);
        vm.assertEq(payouts.slashFraud(_ref(taskId, 0, trainer, 0)), 50 * UNIT, "fraudSlash");
        vm.assertEq(payouts.slashFraud(_ref(taskId, 1, trainer, 0)), 10 * UNIT, "the rest of the collateral");
        vm.assertEq(_bonded(trainer, Role.Trainer), 500 * UNIT, "what was bonded since answers for nothing here");
        vm.assertEq(registry.neededBondOf(trainer), 0, "set aside");
    }

    function test_SlashFraud_OnceTheBondIsFree_OnlyEndsTheReservation() public {
        uint256 taskId = _finalTask(hex"ff6464");
        vm.prank(trainer);
        registry.delist(taskId, trainer);
        _wait(UNBONDING);
        (uint256 before,) = _money(taskId);
        vm.assertEq(payouts.slashFraud(_ref(taskId, 0, trainer, 0)), 0, "taken");
        (uint256 budget,) = _money(taskId);
        vm.assertEq(budget, before + 10 * UNIT, "the work's reservation");
        vm.assertEq(_bonded(trainer, Role.Trainer), 60 * UNIT, "bond");
    }

    function test_SlashFraud_OfOneWhoIsLeaving_TakesWhatIsUnbonding() public {
        uint256 taskId = _finalTask(hex"ff6464");
        vm.prank(trainer);
        registry.delist(taskId, trainer);
        vm.prank(trainer);
        staking.requestUnbond(Role.Trainer, 60 * UNIT);
        vm.assertEq(payouts.slashFraud(_ref(taskId, 0, trainer, 0)), 50 * UNIT, "taken");
        (, uint128 unbonding,,) = staking.bondOf(trainer, Role.Trainer);
        vm.assertEq(unbonding, 10 * UNIT, "left");
    }

    function test_SlashFraud_OfAnHonestWork_Reverts() public {
        uint256 taskId = _finalTask(hex"ff6464");
        vm.expectRevert(abi.encodeWithSelector(IPayouts.NotFraud.selector, taskId, 0, 1, 100));
        payouts.slashFraud(_ref(taskId, 0, secondTrainer, 1));
    }

    function test_SlashFraud_OfOneNamedFalsely_Reverts() public {
        uint256 taskId = _finalTask(hex"ff6464");
        vm.expectRevert(abi.encodeWithSelector(ITaskRegistry.WrongWork.selector, taskId, 0, secondTrainer));
        payouts.slashFraud(_ref(taskId, 0, secondTrainer, 0));
    }

    function test_SlashFraud_BeforeTheEpochIsFinal_Reverts() public {
        uint256 taskId = _sealedTask();
        vm.expectRevert(abi.encodeWithSelector(IPayouts.NotFinal.selector, taskId, 0));
        payouts.slashFraud(_ref(taskId, 0, trainer, 0));
    }

    function _finalTask(bytes memory report) private returns (uint256 taskId) {
        taskId = _sealedTask();
        _judge(taskId, 0, report);
    }
}
