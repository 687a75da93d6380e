// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Campaign} from "./Campaign.sol";

/// Who judges, with what weight, and what of it is for good, under any order of steps by all who may take part.
contract JudgementInvariants is Campaign {
    /// Checked after every step. The handler itself compares what was closed, sealed or final with what is.
    function invariant_JudgementIsByThoseWhoWereEnlisted() public view {
        _nothingHappenedThatMustNot();
        for (uint256 taskId = 1; taskId <= handler.TASKS(); ++taskId) {
            vm.assertTrue(handler.isElectorateRight(taskId), "electorate != those enlisted, or without a stake");
            uint64 open = handler.openEpochOf(taskId);
            for (uint64 epoch = open > 4 ? open - 4 : 0; epoch < open; ++epoch) {
                vm.assertTrue(handler.isTallyRight(taskId, epoch), "counts != those who judge, or who revealed");
            }
        }
    }

    /// Checked at the end of every run.
    function afterInvariant() public {
        handler.windUp();
        invariant_JudgementIsByThoseWhoWereEnlisted();
    }

    /// Steps in an order that chance decides come as far as every kind of payment and slash, and most of what is tried
    /// is done: the invariants mean something.
    function test_Handler_ReachesEveryKindOfStep() public {
        bytes32[] memory kinds = _kinds();
        uint256[] memory reached = new uint256[](kinds.length);
        uint256 tried;
        uint256 done;
        for (uint256 run; run < 12; ++run) {
            _play(run, 500);
            invariant_JudgementIsByThoseWhoWereEnlisted();
            handler.windUp();
            invariant_JudgementIsByThoseWhoWereEnlisted();
            for (uint256 i; i < kinds.length; ++i) {
                reached[i] += handler.successes(kinds[i]);
                tried += handler.attempts(kinds[i]);
                done += handler.successes(kinds[i]);
            }
        }
        for (uint256 i; i < kinds.length; ++i) {
            vm.assertGe(reached[i], 1, string(abi.encodePacked(kinds[i])));
        }
        vm.assertGe(done * 2, tried, "most of what may be done is refused");
    }
}
