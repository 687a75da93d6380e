// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IPlants, PlantState} from "../../contracts/interfaces/IPlants.sol";
import {TaskParams} from "../../contracts/interfaces/ITaskRegistry.sol";
import {Network} from "./Network.sol";

/// A paid plant costs who paid it, whatever share of the stake was lazy; and nobody can count plants.
contract PlantLazinessTest is Network {
    bytes internal constant ALL_PAID = hex"646464";
    bytes internal constant FOUND = hex"ff6464";

    address internal immutable planter = vm.addr(77);

    function test_Plant_PaidByOneOfThree_CostsIt() public {
        (uint256 taskId, uint64 epoch) = _planted();
        _attest(taskId, epoch, FOUND, FOUND, ALL_PAID);
        attestations.settle(taskId, epoch, _sorted(FOUND, ALL_PAID), 3);
        _openIt(taskId, epoch);
        _finalise(taskId, epoch);
        _expectSlashed(taskId, epoch, thirdVerifier);
    }

    /// The lazy block the quorum, but are no majority: the plant scores 0 until a panel says what it is. The panel
    /// blames who gave the 0, and who paid the plant no less.
    function test_Plant_PaidByABlockingMinority_CostsItAfterAnAppeal() public {
        (uint256 taskId, uint64 epoch) = _planted();
        bytes memory low = hex"006464";
        _attest(taskId, epoch, FOUND, low, ALL_PAID);
        attestations.settle(taskId, epoch, _sorted(FOUND, low, ALL_PAID), 3);
        assert(attestations.scoreOf(taskId, epoch, 0) == 0);
        _appealAsFraud(taskId, epoch);
        attestations.finalise(taskId, epoch);
        appeals.slashVerdict(taskId, epoch, 0, thirdVerifier, ALL_PAID);
        (uint128 left,) = verifiers.collateralOf(taskId, thirdVerifier);
        assert(left == 50 * UNIT);
    }

    /// All are lazy: the appeal itself slashes them, and paying the plant is not a second fault.
    function test_Plant_PaidByAll_CostsThemOnce() public {
        (uint256 taskId, uint64 epoch) = _planted();
        _attest(taskId, epoch, ALL_PAID);
        _settle(taskId, epoch, ALL_PAID);
        _appealAsFraud(taskId, epoch);
        attestations.finalise(taskId, epoch);
        appeals.slashVerdict(taskId, epoch, 0, thirdVerifier, ALL_PAID);
        vm.expectRevert(abi.encodeWithSelector(IPlants.FoundByAppeal.selector, taskId, epoch, 0));
        plants.slashPaidPlant(taskId, epoch, 0, thirdVerifier, ALL_PAID);
        (uint128 left,) = verifiers.collateralOf(taskId, thirdVerifier);
        assert(left == 50 * UNIT);
    }

    function test_Decoy_GivesItsDepositBack_Once() public {
        uint256 taskId = _openTask();
        uint128 deposit = plants.depositOf(taskId);
        _fund(planter, address(plants), deposit);
        bytes32 decoy = keccak256(abi.encode(taskId, address(0), bytes32(0), SALT));
        vm.prank(planter);
        plants.commitPlant(taskId, decoy);
        assert(token.balanceOf(planter) == 0);
        plants.refundPlant(taskId, address(0), bytes32(0), SALT);
        assert(token.balanceOf(planter) == deposit);
        vm.expectRevert(abi.encodeWithSelector(IPlants.WrongPlant.selector, taskId, decoy, PlantState.Opened));
        plants.refundPlant(taskId, address(0), bytes32(0), SALT);
    }

    function test_Decoy_OfASubmission_IsRefused() public {
        (uint256 taskId,) = _planted();
        bytes32 decoy = keccak256(abi.encode(taskId, address(0), bytes32(0), SALT));
        vm.expectRevert(abi.encodeWithSelector(IPlants.WrongPlant.selector, taskId, decoy, PlantState.None));
        plants.refundPlant(taskId, address(0), bytes32(0), SALT);
    }

    /// A sealed epoch whose first submission is a plant; everything is drawn.
    function _planted() private returns (uint256 taskId, uint64 epoch) {
        TaskParams memory params = _params();
        params.samplingBps = 10_000;
        taskId = _staff(_openTask(params, 1000 * UNIT));
        _fund(planter, address(plants), plants.depositOf(taskId));
        vm.prank(planter);
        plants.commitPlant(taskId, keccak256(abi.encode(taskId, trainer, ROOT, SALT)));
        epoch = _commitAllAndSeal(taskId);
    }

    function _openIt(uint256 taskId, uint64 epoch) private {
        vm.prank(trainer);
        plants.openPlant(taskId, epoch, _submission(trainer, 0), SALT);
    }

    /// The planter opens its plant, and has a full panel say what it is.
    function _appealAsFraud(uint256 taskId, uint64 epoch) private {
        _seatJurors(20);
        _openIt(taskId, epoch);
        _challenge(taskId, epoch, 0, 255);
        _draw(taskId, epoch, trainer, 0);
        _appeal(taskId, epoch, 0, 20, 255, false);
        assert(attestations.scoreOf(taskId, epoch, 0) == 255);
    }

    function _expectSlashed(uint256 taskId, uint64 epoch, address lazy) private {
        plants.slashPaidPlant(taskId, epoch, 0, lazy, ALL_PAID);
        (uint128 left,) = verifiers.collateralOf(taskId, lazy);
        assert(left == 50 * UNIT);
        assert(token.balanceOf(planter) >= 10 * UNIT); // ten challenge bonds, which are less than half of the slash
    }
}
