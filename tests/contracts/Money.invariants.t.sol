// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Campaign} from "./Campaign.sol";
import {Ledger} from "./Ledger.sol";

/// The money of the protocol under any order of steps by all who may take part in two tasks.
contract MoneyInvariants is Campaign {
    /// Wei that rounding may leave reserved of an epoch's fee: one for each of five verifiers, and one for the absent.
    uint256 private constant _CRUMBS = 6;

    /// Checked after every step.
    function invariant_MoneyIsWhereItIsOwed() public {
        _holdingsEqualLiabilities();
        _tasksSpendTheirOwnMoney();
        _locksAreWhatAnswers();
        _bondsAreSlashedOrReturned();
        _nothingHappenedThatMustNot();
    }

    /// Checked at the end of every run: by calls that anybody can make, in bounded time, everything is wound up.
    function afterInvariant() public {
        handler.windUp();
        invariant_MoneyIsWhereItIsOwed();
        vm.assertEq(handler.heldBy(0), 0, "bonds that nobody can have back");
        vm.assertEq(handler.heldBy(2), 0, "appeals keep money");
        vm.assertEq(handler.heldBy(3), 0, "plants keep deposits");
        uint256 epochs;
        for (uint256 taskId = 1; taskId <= handler.TASKS(); ++taskId) {
            epochs += handler.openEpochOf(taskId);
        }
        vm.assertLe(handler.heldBy(1), epochs * _CRUMBS, "money that nobody can have back");
    }

    /// Every token held is owed to exactly one party.
    function _holdingsEqualLiabilities() private {
        vm.assertEq(handler.heldBy(0), handler.owedByStaking(), "held != bonded + unbonding");
        uint256 owed;
        for (uint256 taskId = 1; taskId <= handler.countTasks(); ++taskId) {
            owed += handler.owedByRegistry(taskId);
        }
        vm.assertEq(handler.heldBy(1), owed, "held != budgets + reserved");
        vm.assertEq(handler.heldBy(3), handler.owedByPlants(), "held != deposits of plants");
        vm.assertEq(handler.heldByOthers(), 0, "who holds no money holds some");
        vm.assertEq(_leftOfAppeals(), handler.heldForChallenges(), "after all claims: held != undecided challenges");
    }

    /// What Appeals would hold after everybody had claimed all that it can.
    function _leftOfAppeals() private returns (uint256 left) {
        if (handler.heldBy(2) == 0) return 0;
        try handler.claimAppeals() {}
        catch (bytes memory reason) {
            require(bytes4(reason) == Ledger.Left.selector, "claims cannot be tried");
            assembly ("memory-safe") {
                left := mload(add(reason, 36))
            }
        }
    }

    /// paid + refunded <= funded, and what submissions may still cost is set aside.
    function _tasksSpendTheirOwnMoney() private view {
        for (uint256 taskId = 1; taskId <= handler.countTasks(); ++taskId) {
            uint256 left = handler.owedByRegistry(taskId);
            vm.assertEq(handler.inflow(taskId), handler.outflow(taskId) + left, "funded != paid + refunded + left");
            vm.assertLe(
                handler.owedForSubmissions(taskId), handler.reservedOf(taskId), "submissions that are not covered"
            );
        }
    }

    function _locksAreWhatAnswers() private view {
        vm.assertTrue(handler.areLocksExplained(), "locked != what answers, or gone while it answers");
    }

    function _bondsAreSlashedOrReturned() private view {
        uint256 gone = handler.slashedEver() + handler.withdrawnEver();
        vm.assertEq(handler.bondedEver(), gone + handler.owedByStaking(), "bonded != slashed + withdrawn + left");
    }
}
