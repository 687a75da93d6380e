// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Handler} from "./Handler.sol";
import {Vm} from "./Vm.sol";

/// The money of the protocol under any order of steps by several operators over two tasks.
contract MoneyInvariants {
    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    Vm private constant vm = Vm(0x7109709ECfa91a80626fF3989D68f67F5b1DD12D);

    Handler private _handler;

    function setUp() public {
        _handler = new Handler();
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(_handler);
    }

    function targetSelectors() external view returns (FuzzSelector[] memory targets) {
        targets = new FuzzSelector[](1);
        targets[0] = FuzzSelector(address(_handler), _steps());
    }

    /// Steps in an order that chance decides come as far as payouts, fees and both kinds of slash: the invariants mean something.
    function test_Handler_ReachesEveryKindOfPayment() public {
        bytes4[] memory steps = _steps();
        for (uint256 i; i < 1500; ++i) {
            uint256 chance = uint256(keccak256(abi.encode(i)));
            bytes memory data = abi.encodePacked(steps[chance % steps.length], chance >> 8, chance >> 40, chance >> 72);
            (bool success,) = address(_handler).call(data);
            success; // steps that take a flag refuse most words: those that matter take any
        }
        vm.assertGe(_handler.finalEpochs(), 1, "final epochs");
        vm.assertGe(_handler.successes(keccak256("work")), 1, "works");
        vm.assertGe(_handler.successes(keccak256("fee")), 1, "fees");
        vm.assertGe(_handler.successes(keccak256("absence")), 1, "absences");
        vm.assertGe(_handler.successes(keccak256("fraud")), 1, "frauds");
        invariant_HoldingsEqualLiabilities();
        invariant_PaidAndRefundedComeFromTheTasksOwnFunds();
        invariant_NothingIsPaidTwiceOrEarly();
    }

    /// Every token held is owed to exactly one party.
    function invariant_HoldingsEqualLiabilities() public view {
        vm.assertEq(_handler.heldBy(0), _handler.owedByStaking(), "held != bonded + unbonding");
        uint256 owed = _handler.owedByRegistry(1) + _handler.owedByRegistry(2);
        vm.assertEq(_handler.heldBy(1), owed, "held != budgets + reserved");
        vm.assertEq(_handler.heldBy(2) + _handler.heldBy(3), 0, "the judges hold no money");
    }

    /// A task spends its own money only, and no more than it was given.
    function invariant_PaidAndRefundedComeFromTheTasksOwnFunds() public view {
        for (uint256 taskId = 1; taskId <= _handler.TASKS(); ++taskId) {
            vm.assertEq(
                _handler.inflow(taskId),
                _handler.outflow(taskId) + _handler.owedByRegistry(taskId),
                "funded != paid + refunded + left"
            );
        }
    }

    function invariant_NothingIsPaidTwiceOrEarly() public view {
        vm.assertEq(_handler.doublePayments(), 0, "paid or slashed twice");
        vm.assertEq(_handler.early(), 0, "paid, slashed or withdrawn too soon");
    }

    function invariant_SlashedAtMostWhatWasBonded() public view {
        vm.assertLe(_handler.slashedEver() + _handler.owedByStaking(), _handler.bondedEver(), "slashed > bonded");
    }

    function invariant_EachEnlistmentHasItsBond() public view {
        vm.assertTrue(_handler.areBondsSetAside(), "set aside != answering, or not there");
    }

    function _steps() private pure returns (bytes4[] memory steps) {
        bytes4[24] memory all = [
            Handler.bond.selector,
            Handler.unbond.selector,
            Handler.withdraw.selector,
            Handler.enlist.selector,
            Handler.delist.selector,
            Handler.fund.selector,
            Handler.closeOrRefund.selector,
            Handler.wait.selector,
            Handler.wait.selector,
            // An epoch needs these in order: they come up more often.
            Handler.commitWorks.selector,
            Handler.commitWorks.selector,
            Handler.seal.selector,
            Handler.seal.selector,
            Handler.commitReports.selector,
            Handler.commitReports.selector,
            Handler.reveal.selector,
            Handler.reveal.selector,
            Handler.decide.selector,
            Handler.decide.selector,
            Handler.decide.selector,
            Handler.claim.selector,
            Handler.claimFees.selector,
            Handler.slash.selector,
            Handler.slash.selector
        ];
        steps = new bytes4[](all.length);
        for (uint256 i; i < all.length; ++i) {
            steps[i] = all[i];
        }
    }
}
