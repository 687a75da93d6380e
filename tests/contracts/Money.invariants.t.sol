// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Handler} from "./Handler.sol";
import {Vm} from "./Vm.sol";

/// The money of the protocol under any order of steps by all who may take part in two tasks. All that must hold is looked
/// at in one campaign: each line below after every step.
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

    /// Steps in an order that chance decides come as far as every kind of payment and slash: the invariants mean something.
    function test_Handler_ReachesEveryKindOfPaymentAndSlash() public {
        bytes32[19] memory kinds = [
            bytes32("final"),
            "void",
            "work",
            "fee",
            "refund",
            "fraud",
            "found fraud",
            "absence",
            "withheld",
            "shown",
            "upheld",
            "overturned",
            "undecided",
            "share",
            "challenger",
            "verdict",
            "appeal absence",
            "withdrawal",
            "release"
        ];
        uint256[19] memory reached;
        for (uint256 run; run < 10; ++run) {
            _run(run, 600);
            _handler.windUp();
            invariant_EveryLineHolds();
            for (uint256 i; i < 19; ++i) {
                reached[i] += _handler.successes(kinds[i]);
            }
        }
        for (uint256 i; i < 19; ++i) {
            vm.assertGe(reached[i], 1, string(abi.encodePacked(kinds[i])));
        }
    }

    function _run(uint256 run, uint256 length) private {
        bytes4[] memory steps = _steps();
        _handler = new Handler();
        for (uint256 i; i < length; ++i) {
            uint256 chance = uint256(keccak256(abi.encode(run, i)));
            uint256[2] memory more = [uint256(keccak256(abi.encode(chance))), uint256(keccak256(abi.encode(~chance)))];
            bytes memory data = abi.encodePacked(steps[chance % steps.length], chance >> 8, chance >> 40, more);
            (bool success,) = address(_handler).call(data);
            vm.assertTrue(success, "a step failed");
        }
        invariant_EveryLineHolds();
    }

    /// Checked after every step.
    function invariant_EveryLineHolds() public view {
        _holdingsEqualLiabilities();
        _paidAndRefundedComeFromTheTasksOwnFunds();
        _nothingIsPaidTwiceOrEarly();
        _slashesTakeWhatAnswersAndNoMore();
        _outsidersChangeNothing();
    }

    /// Checked at the end of every run: every phase can be left by somebody, and everything bonded and budgeted comes back.
    function afterInvariant() public {
        _handler.windUp();
        invariant_EveryLineHolds();
    }

    /// Every token held is owed to exactly one party.
    function _holdingsEqualLiabilities() private view {
        vm.assertEq(_handler.heldBy(0), _handler.owedByStaking(), "held != bonded + unbonding");
        uint256 owed = _handler.owedByRegistry(1) + _handler.owedByRegistry(2);
        vm.assertEq(_handler.heldBy(1), owed, "held != budgets + reserved");
        vm.assertEq(_handler.heldBy(2) + _handler.heldBy(3) + _handler.heldBy(4), 0, "the judges hold no money");
    }

    /// A task spends its own money only, and no more than it was given: paid + refunded <= funded.
    function _paidAndRefundedComeFromTheTasksOwnFunds() private view {
        for (uint256 taskId = 1; taskId <= _handler.TASKS(); ++taskId) {
            vm.assertEq(
                _handler.inflow(taskId),
                _handler.outflow(taskId) + _handler.owedByRegistry(taskId),
                "funded != paid + refunded + left"
            );
        }
    }

    function _nothingIsPaidTwiceOrEarly() private view {
        vm.assertEq(_handler.doublePayments(), 0, "paid or slashed twice");
        vm.assertEq(_handler.early(), 0, "paid, slashed or withdrawn too soon");
    }

    function _slashesTakeWhatAnswersAndNoMore() private view {
        vm.assertLe(_handler.slashedEver() + _handler.owedByStaking(), _handler.bondedEver(), "slashed > bonded");
        vm.assertEq(_handler.unfairSlashes(), 0, "slashed another bond, or more than answers for the task");
        vm.assertTrue(_handler.areBondsSetAside(), "set aside != answering, or gone while it answers");
    }

    function _outsidersChangeNothing() private view {
        vm.assertEq(_handler.meddlings(), 0, "a stranger has moved money");
        vm.assertEq(_handler.heldBy(5), 0, "a stranger has got money");
    }

    function _steps() private pure returns (bytes4[] memory steps) {
        bytes4[40] memory all = [
            Handler.bond.selector,
            Handler.unbond.selector,
            Handler.withdraw.selector,
            Handler.enlist.selector,
            Handler.enlist.selector,
            Handler.delist.selector,
            Handler.releaseBond.selector,
            Handler.fund.selector,
            Handler.closeOrRefund.selector,
            Handler.wait.selector,
            Handler.wait.selector,
            Handler.meddle.selector,
            Handler.showReport.selector,
            // An epoch needs these in order: they come up more often.
            Handler.commitWorks.selector,
            Handler.commitWorks.selector,
            Handler.seal.selector,
            Handler.seal.selector,
            Handler.commitReports.selector,
            Handler.commitReports.selector,
            Handler.commitReports.selector,
            Handler.reveal.selector,
            Handler.reveal.selector,
            Handler.reveal.selector,
            Handler.settle.selector,
            Handler.settle.selector,
            Handler.settle.selector,
            Handler.challenge.selector,
            Handler.challenge.selector,
            Handler.commitAppeals.selector,
            Handler.commitAppeals.selector,
            Handler.revealAppeals.selector,
            Handler.revealAppeals.selector,
            Handler.decide.selector,
            Handler.decide.selector,
            Handler.finalise.selector,
            Handler.claim.selector,
            Handler.claimFees.selector,
            Handler.claimChallenges.selector,
            Handler.slash.selector,
            Handler.slash.selector
        ];
        steps = new bytes4[](all.length);
        for (uint256 i; i < all.length; ++i) {
            steps[i] = all[i];
        }
    }
}
