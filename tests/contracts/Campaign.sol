// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Handler} from "./Handler.sol";
import {Vm} from "./Vm.sol";

/// What forge may call, in which order it likes, and how often each comes up.
abstract contract Campaign {
    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    Vm internal constant vm = Vm(0x7109709ECfa91a80626fF3989D68f67F5b1DD12D);

    Handler internal handler;

    function setUp() public {
        handler = new Handler();
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(handler);
    }

    function targetSelectors() external view returns (FuzzSelector[] memory targets) {
        targets = new FuzzSelector[](1);
        targets[0] = FuzzSelector(address(handler), _steps());
    }

    /// Who acts follows from what the handler is given, not from who calls it.
    function targetSenders() external pure returns (address[] memory senders) {
        senders = new address[](1);
        senders[0] = address(0xA55A);
    }

    /// What nobody may do, and what may not change, was neither done nor changed.
    function _nothingHappenedThatMustNot() internal view {
        if (handler.countViolations() == 0) return;
        vm.assertTrue(false, string(abi.encodePacked(handler.violations(0))));
    }

    /// Steps in an order that follows from `run`.
    function _play(uint256 run, uint256 length) internal {
        bytes4[] memory steps = _steps();
        handler = new Handler();
        for (uint256 i; i < length; ++i) {
            uint256 chance = uint256(keccak256(abi.encode(run, i)));
            (bool success,) = address(handler).call(_input(steps[chance % steps.length], chance));
            vm.assertTrue(success, "a step failed");
        }
    }

    function _input(bytes4 selector, uint256 chance) internal pure returns (bytes memory) {
        bytes memory raw = abi.encodePacked(keccak256(abi.encode(chance)));
        if (selector == Handler.forge.selector) return abi.encodeWithSelector(selector, chance, raw, chance, chance);
        bool takesBytes = selector == Handler.publish.selector || selector == Handler.openTask.selector;
        if (takesBytes) return abi.encodeWithSelector(selector, chance, raw);
        return abi.encodeWithSelector(selector, chance, chance >> 8);
    }

    /// Everything that a campaign has to reach.
    function _kinds() internal pure returns (bytes32[] memory kinds) {
        bytes memory all = abi.encode(
            [
                bytes32("bond"),
                "unbond",
                "withdraw",
                "worker",
                "renounce",
                "take seats",
                "leave seats",
                "fund",
                "open task",
                "close",
                "refund",
                "enlist: trainer",
                "enlist: verifier",
                "delist: trainer",
                "delist: verifier",
                "release",
                "submission",
                "close epoch",
                "abandon epoch",
                "seal",
                "commit report",
                "reveal report",
                "settle",
                "void",
                "finalise",
                "publish policy",
                "skip policy",
                "challenge",
                "reveal challenge",
                "expire challenge",
                "summon panel",
                "draw panel",
                "commit vote",
                "reveal vote",
                "upheld",
                "overturned",
                "undecided",
                "dismiss juror",
                "claim: submission",
                "claim: fee",
                "claim: challenge",
                "claim: vote",
                "slash: fraud",
                "slash: found fraud",
                "slash: absence",
                "slash: verdict",
                "slash: paid plant",
                "plant",
                "open plant",
                "forfeit plant",
                "refund plant",
                "commit anything"
            ]
        );
        kinds = new bytes32[](all.length / 32);
        for (uint256 i; i < kinds.length; ++i) {
            bytes32 kind;
            assembly ("memory-safe") {
                kind := mload(add(add(all, 32), mul(32, i)))
            }
            kinds[i] = kind;
        }
    }

    function _steps() internal pure returns (bytes4[] memory steps) {
        bytes4[50] memory all = [
            Handler.bond.selector,
            Handler.unbond.selector,
            Handler.withdraw.selector,
            Handler.nameWorker.selector,
            Handler.seats.selector,
            Handler.fund.selector,
            Handler.openTask.selector,
            Handler.closeOrRefund.selector,
            Handler.enlist.selector,
            Handler.enlist.selector,
            Handler.delist.selector,
            Handler.releaseBond.selector,
            Handler.leaveAndSeal.selector,
            Handler.forge.selector,
            Handler.meddle.selector,
            Handler.nextBlock.selector,
            // An epoch needs these in order: they come up more often.
            Handler.commitSubmissions.selector,
            Handler.commitSubmissions.selector,
            Handler.seal.selector,
            Handler.seal.selector,
            Handler.commitReports.selector,
            Handler.commitReports.selector,
            Handler.commitReports.selector,
            Handler.revealReports.selector,
            Handler.revealReports.selector,
            Handler.settle.selector,
            Handler.settle.selector,
            Handler.challenge.selector,
            Handler.challenge.selector,
            Handler.publish.selector,
            Handler.revealChallenges.selector,
            Handler.revealChallenges.selector,
            Handler.drawPanels.selector,
            Handler.commitVotes.selector,
            Handler.revealVotes.selector,
            Handler.decide.selector,
            Handler.finalise.selector,
            Handler.claimAppealsNow.selector,
            Handler.claim.selector,
            Handler.claimTogether.selector,
            Handler.claimFees.selector,
            Handler.slash.selector,
            Handler.openPlants.selector,
            Handler.live.selector,
            Handler.live.selector,
            Handler.live.selector,
            Handler.live.selector,
            Handler.live.selector,
            Handler.wait.selector,
            Handler.wait.selector
        ];
        steps = new bytes4[](all.length);
        for (uint256 i; i < all.length; ++i) {
            steps[i] = all[i];
        }
    }
}
