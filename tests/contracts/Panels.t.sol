// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IPanels, PanelRequest} from "../../contracts/interfaces/IPanels.sol";
import {IStaking, Role} from "../../contracts/interfaces/IStaking.sol";
import {Network} from "./Network.sol";

contract PanelsTest is Network {
    // takeSeats

    function test_TakeSeats_NumbersThemAndLocksABondForEach() external {
        _bond(outsider, Role.Verifier, 7 * UNIT);
        uint32[] memory seats = new uint32[](3);
        (seats[1], seats[2]) = (1, 2);
        vm.expectEmit(address(panels));
        emit IPanels.SeatsTaken(CLASS, outsider, seats);
        vm.prank(outsider);
        panels.takeSeats(CLASS, 3);
        vm.assertEq(panels.poolSize(CLASS), 3, "size");
        (address juror, uint40 takenAt) = panels.seatOf(CLASS, 2);
        vm.assertEq(juror, outsider, "juror");
        vm.assertEq(takenAt, vm.getBlockNumber(), "block");
        _assertLocked(outsider, 6 * UNIT);
        (juror, takenAt) = panels.seatOf(CLASS, 3);
        vm.assertTrue(juror == address(0) && takenAt == 0, "no such seat");
        vm.assertEq(panels.poolSize("other"), 0, "each class has its own pool");
    }

    function test_TakeSeats_ByTheWorkerKey_AreItsOperators() external {
        _bond(outsider, Role.Verifier, SEAT_BOND);
        address worker = _nameWorker(outsider, 50);
        vm.prank(worker);
        panels.takeSeats(CLASS, 1);
        (address juror,) = panels.seatOf(CLASS, 0);
        vm.assertEq(juror, outsider, "juror");
    }

    function test_TakeSeats_NoneOrTooMany_Reverts() external {
        vm.expectRevert(IPanels.NoSeats.selector);
        panels.takeSeats(CLASS, 0);
        vm.expectRevert(abi.encodeWithSelector(IPanels.TooManySeats.selector, 65, 64));
        panels.takeSeats(CLASS, 65);
    }

    function test_TakeSeats_WithoutTheBond_Reverts() external {
        _bond(outsider, Role.Verifier, 2 * SEAT_BOND - 1);
        bytes memory refused =
            abi.encodeWithSelector(IStaking.InsufficientBond.selector, outsider, 2 * SEAT_BOND - 1, 2 * SEAT_BOND);
        vm.prank(outsider);
        vm.expectRevert(refused);
        panels.takeSeats(CLASS, 2);
        vm.assertEq(panels.poolSize(CLASS), 0, "nothing was taken");
    }

    /// What answers for a task does not stand behind a seat as well.
    function test_TakeSeats_WithABondThatAnswersElsewhere_Reverts() external {
        uint256 taskId = _openTask();
        _enlistVerifier(taskId, verifier, 100 * UNIT);
        vm.prank(verifier);
        vm.expectRevert(abi.encodeWithSelector(IStaking.InsufficientBond.selector, verifier, 0, SEAT_BOND));
        panels.takeSeats(CLASS, 1);
    }

    // leaveSeats

    function test_LeaveSeats_UnlocksAndMovesTheLastIntoTheGap() external {
        _seatJurors(4);
        vm.expectEmit(address(panels));
        emit IPanels.SeatMoved(CLASS, _juror(3), 3, 1);
        vm.expectEmit(address(panels));
        emit IPanels.SeatsLeft(CLASS, _juror(1), _one(1));
        vm.prank(_juror(1));
        panels.leaveSeats(CLASS, _one(1));
        vm.assertEq(panels.poolSize(CLASS), 3, "no holes");
        (address juror,) = panels.seatOf(CLASS, 1);
        vm.assertEq(juror, _juror(3), "moved");
        _assertLocked(_juror(1), 0);
        _assertLocked(_juror(3), SEAT_BOND);
        vm.prank(_juror(1));
        staking.requestUnbond(Role.Verifier, SEAT_BOND);
    }

    function test_LeaveSeats_All_FromTheHighestToTheLowest() external {
        address juror = _withSeats(outsider, 3);
        uint32[] memory seats = new uint32[](3);
        (seats[0], seats[1], seats[2]) = (2, 1, 0);
        vm.prank(juror);
        panels.leaveSeats(CLASS, seats);
        vm.assertEq(panels.poolSize(CLASS), 0, "empty");
        _assertLocked(juror, 0);
    }

    function test_LeaveSeats_ByTheWorkerKey() external {
        _withSeats(outsider, 1);
        address worker = _nameWorker(outsider, 50);
        vm.prank(worker);
        panels.leaveSeats(CLASS, _one(0));
        _assertLocked(outsider, 0);
    }

    function test_LeaveSeats_OfAnother_Reverts() external {
        _seatJurors(2);
        vm.prank(_juror(0));
        vm.expectRevert(abi.encodeWithSelector(IPanels.NotYourSeat.selector, CLASS, 1, _juror(0)));
        panels.leaveSeats(CLASS, _one(1));
        vm.prank(_juror(0));
        vm.expectRevert(abi.encodeWithSelector(IPanels.NotYourSeat.selector, CLASS, 2, _juror(0)));
        panels.leaveSeats(CLASS, _one(2)); // there is none
        vm.prank(_juror(0));
        vm.expectRevert(abi.encodeWithSelector(IPanels.NotYourSeat.selector, bytes32("other"), 0, _juror(0)));
        panels.leaveSeats("other", _one(0));
    }

    function test_LeaveSeats_OneSeatTwice_UnlocksItOnce() external {
        _withSeats(outsider, 2);
        uint32[] memory seats = new uint32[](2);
        (seats[0], seats[1]) = (1, 1);
        vm.prank(outsider);
        vm.expectRevert(abi.encodeWithSelector(IPanels.NotYourSeat.selector, CLASS, 1, outsider));
        panels.leaveSeats(CLASS, seats);
        vm.prank(outsider);
        panels.leaveSeats(CLASS, _one(1));
        vm.prank(outsider);
        vm.expectRevert(abi.encodeWithSelector(IPanels.NotYourSeat.selector, CLASS, 1, outsider));
        panels.leaveSeats(CLASS, _one(1));
        _assertLocked(outsider, SEAT_BOND);
    }

    function test_LeaveSeats_NoneOrTooMany_Reverts() external {
        vm.expectRevert(IPanels.NoSeats.selector);
        panels.leaveSeats(CLASS, new uint32[](0));
        vm.expectRevert(abi.encodeWithSelector(IPanels.TooManySeats.selector, 65, 64));
        panels.leaveSeats(CLASS, new uint32[](65));
    }

    /// Anyone who takes and leaves, in whatever order: every number below the size is somebody's seat, and what is
    /// locked of each is its seats' bonds.
    function testFuzz_Seats_AreDenseAndTheirBondsLocked(uint256 dice) external {
        for (uint256 i; i < 4; ++i) {
            _bond(_juror(i), Role.Verifier, 200 * SEAT_BOND);
        }
        uint256[4] memory held;
        for (uint256 step; step < 30; ++step) {
            uint256 chance = uint256(keccak256(abi.encode(dice, step)));
            uint256 who = chance % 4;
            uint32 size = panels.poolSize(CLASS);
            if (chance >> 8 & 1 == 0 || held[who] == 0) {
                uint16 count = uint16(1 + (chance >> 16) % 5);
                vm.prank(_juror(who));
                panels.takeSeats(CLASS, count);
                held[who] += count;
            } else {
                uint32 seat = uint32((chance >> 32) % size);
                (address juror,) = panels.seatOf(CLASS, seat);
                while (juror != _juror(who)) {
                    seat = (seat + 1) % size;
                    (juror,) = panels.seatOf(CLASS, seat);
                }
                vm.prank(_juror(who));
                panels.leaveSeats(CLASS, _one(seat));
                --held[who];
            }
            if (chance >> 64 & 1 == 0) _nextBlock();
        }
        uint256[4] memory found;
        for (uint32 seat; seat < panels.poolSize(CLASS); ++seat) {
            (address juror,) = panels.seatOf(CLASS, seat);
            for (uint256 i; i < 4; ++i) {
                if (juror == _juror(i)) ++found[i];
            }
        }
        for (uint256 i; i < 4; ++i) {
            vm.assertEq(found[i], held[i], "seats");
            _assertLocked(_juror(i), held[i] * SEAT_BOND);
        }
    }

    // draw

    function test_Draw_OfAnEmptyPool_IsNobody() external view {
        vm.assertEq(panels.draw(_request(0)).length, 0, "nobody");
    }

    function test_Draw_OfASmallPool_IsAllOfIt() external {
        _seatJurors(14);
        vm.assertEq(panels.draw(_request(0)).length, 14, "no seat twice, to make up for others");
    }

    /// No seat is drawn twice, and of a pool that has enough, always as many as a panel needs.
    function testFuzz_Draw_IsAFullPanelOfDifferentSeats(bytes32 seed, uint16 size) external {
        size = uint16(_bound(size, 15, 40));
        _seatJurors(size); // one each
        address[] memory jurors = panels.draw(_request(seed));
        vm.assertEq(jurors.length, 15, "full");
        _assertDistinct(jurors);
    }

    function test_Draw_OfALargePool_IsAFullPanelOfDifferentSeats() external {
        _seatJurors(300);
        for (uint256 i; i < 30; ++i) {
            address[] memory jurors = panels.draw(_request(keccak256(abi.encode(i))));
            vm.assertEq(jurors.length, 15, "full");
            _assertDistinct(jurors);
        }
    }

    /// A juror's chance is its share of the seats.
    function test_Draw_ByShareOfTheSeats() external {
        _seatJurors(20);
        _withSeats(outsider, 20);
        _nextBlock();
        uint256 drawn;
        for (uint256 i; i < 100; ++i) {
            address[] memory jurors = panels.draw(_request(keccak256(abi.encode(i))));
            for (uint256 k; k < 15; ++k) {
                if (jurors[k] == outsider) ++drawn;
            }
        }
        vm.assertTrue(drawn > 675 && drawn < 825, "half of 1,500");
    }

    function test_Draw_OfTheTrainer_Never() external {
        _seatJurors(16);
        PanelRequest memory request = _request(0);
        request.trainer = _juror(7);
        address[] memory jurors = panels.draw(request);
        vm.assertEq(jurors.length, 15, "all others");
        _assertAbsent(jurors, _juror(7));
    }

    function test_Draw_OfTheEpochsVerifiers_Never() external {
        uint256 taskId = _sealedTask();
        address[3] memory all = [verifier, secondVerifier, thirdVerifier];
        for (uint256 i; i < 3; ++i) {
            _withSeats(all[i], 20);
        }
        _seatJurors(5);
        PanelRequest memory request = _request(0);
        request.taskId = taskId;
        address[] memory jurors = panels.draw(request);
        vm.assertEq(jurors.length, 5, "nobody judges twice");
        vm.prank(verifier);
        verifiers.delist(taskId);
        vm.assertEq(panels.draw(request).length, 5, "who has left since has judged it all the same");
        request.epoch = 7; // long after it has left
        vm.assertEq(panels.draw(request).length, 15, "it may judge what it did not");
    }

    /// Nobody can seat friends once a challenge is known: neither in new seats nor in those that others leave.
    function testFuzz_Draw_FromThePoolAsItWas(bytes32 seed, uint8 crowd, uint8 leavers) external {
        _seatJurors(20);
        PanelRequest memory request = _request(seed);
        address[] memory before = panels.draw(request);
        for (uint256 i; i < leavers % 6; ++i) {
            _leave(_juror(i)); // the last seat moves here
        }
        _withSeats(outsider, uint16(_bound(crowd, 1, 64)));
        _nextBlock();
        address[] memory jurors = panels.draw(request);
        _assertAbsent(jurors, outsider);
        _assertRemain(before, jurors, leavers % 6);
    }

    /// Somebody who knows the seed leaves in the draw's own transaction: it leaves, and changes nothing else.
    function testFuzz_Draw_WhenOneLeaves_KeepsAllOthers(bytes32 seed, uint8 who) external {
        _seatJurors(20);
        PanelRequest memory request = _request(seed);
        address[] memory before = panels.draw(request);
        _leave(_juror(who % 20));
        address[] memory jurors = panels.draw(request);
        _assertAbsent(jurors, _juror(who % 20));
        vm.assertEq(jurors.length, 15, "the next in the order takes its place");
        uint256 k;
        for (uint256 i; i < 15; ++i) {
            if (before[i] == _juror(who % 20)) continue;
            vm.assertEq(before[i], jurors[k++], "the same, in the same order");
        }
    }

    function test_Draw_OfOneWhoLeftAndCameBack_NotForChallengesInBetween() external {
        _seatJurors(20);
        PanelRequest memory request = _request(0);
        address who = panels.draw(request)[0];
        _leave(who);
        vm.prank(who);
        panels.takeSeats(CLASS, 1);
        _nextBlock();
        _assertAbsent(panels.draw(request), who);
        request.takenBy = uint40(vm.getBlockNumber() - 1);
        vm.assertEq(panels.draw(request).length, 15, "full");
        bool isDrawn;
        for (uint256 i; i < 50 && !isDrawn; ++i) {
            request.seed = keccak256(abi.encode(i));
            isDrawn = _contains(panels.draw(request), who);
        }
        vm.assertTrue(isDrawn, "for later ones it is");
    }

    /// For one block, somebody takes thirty times as many seats as there are, and leaves them again. Later draws find
    /// as full a panel as before.
    function test_Draw_AfterAMomentsCrowd_IsAsFullAsBefore() external {
        _seatJurors(20);
        _bond(outsider, Role.Verifier, 640 * SEAT_BOND);
        for (uint256 i; i < 10; ++i) {
            vm.prank(outsider);
            panels.takeSeats(CLASS, 64);
        }
        _nextBlock();
        for (uint256 i; i < 10; ++i) {
            uint32[] memory seats = new uint32[](64);
            for (uint32 k; k < 64; ++k) {
                seats[k] = panels.poolSize(CLASS) - 1 - k;
            }
            vm.prank(outsider);
            panels.leaveSeats(CLASS, seats);
        }
        _nextBlock();
        vm.assertEq(panels.poolSize(CLASS), 20, "no trace");
        for (uint256 i; i < 20; ++i) {
            vm.assertEq(panels.draw(_request(keccak256(abi.encode(i)))).length, 15, "full");
        }
    }

    // dismiss

    function test_Dismiss_ByAnybodyButAppeals_Reverts() external {
        vm.prank(outsider);
        vm.expectRevert(abi.encodeWithSelector(IPanels.NotAuthorised.selector, outsider));
        panels.dismiss(1, CLASS, trainer, 0);
    }

    function test_Dismiss_MakesItsSeatsCountForNothing_UntilItTakesOthers() external {
        _seatJurors(15);
        uint40 since = uint40(vm.getBlockNumber());
        _nextBlock();
        vm.expectEmit(address(panels));
        emit IPanels.JurorDismissed(1, _juror(3));
        _dismiss(_juror(3), since);
        _nextBlock();
        address[] memory jurors = panels.draw(_request(0));
        vm.assertEq(jurors.length, 14, "one is missing");
        _assertAbsent(jurors, _juror(3));
        _bond(_juror(3), Role.Verifier, SEAT_BOND);
        vm.prank(_juror(3));
        panels.takeSeats(CLASS, 1);
        _nextBlock();
        vm.assertEq(panels.draw(_request(0)).length, 14, "one more is none");
        for (uint32 i; i < 2; ++i) {
            _leave(_juror(3));
        }
        vm.prank(_juror(3));
        panels.takeSeats(CLASS, 2);
        _nextBlock();
        vm.assertEq(panels.draw(_request(0)).length, 15, "back");
    }

    /// Somebody opens a task that no juror can serve, and has each of them dismissed there.
    function testFuzz_Dismiss_ForOneTask_TakesNobodyFromPanelsOfAnother(uint256 other, bytes32 seed) external {
        vm.assume(other != 1);
        _seatJurors(15);
        uint40 since = uint40(vm.getBlockNumber());
        _nextBlock();
        for (uint256 i; i < 15; ++i) {
            _dismiss(_juror(i), since);
        }
        _nextBlock();
        PanelRequest memory request = _request(seed);
        vm.assertEq(panels.draw(request).length, 0, "nobody serves there");
        request.taskId = other;
        vm.assertEq(panels.draw(request).length, 15, "all serve here");
    }

    /// Somebody keeps the dismissal of a juror that was once absent, and sends it when the draw would name that juror.
    function testFuzz_Dismiss_OnceTheSeedIsKnown_ChangesNothing(bytes32 seed) external {
        _seatJurors(20);
        PanelRequest memory request = _request(seed);
        address[] memory before = panels.draw(request);
        _dismiss(before[0], request.takenBy);
        address[] memory jurors = panels.draw(request);
        for (uint256 i; i < 15; ++i) {
            vm.assertEq(before[i], jurors[i], "as it was");
        }
    }

    function test_Dismiss_OfOneWhoHasLeftSince_LeavesItsNewSeats() external {
        _seatJurors(15);
        uint40 since = uint40(vm.getBlockNumber());
        _leave(_juror(3));
        _dismiss(_juror(3), since); // holds none
        _nextBlock();
        vm.prank(_juror(3));
        panels.takeSeats(CLASS, 1);
        _dismiss(_juror(3), since); // holds other ones
        _nextBlock();
        vm.assertEq(panels.draw(_request(0)).length, 15, "all");
    }

    /// Somebody has a second absence of a juror punished, so that the first one counts from then on only.
    function test_Dismiss_Twice_DoesNotUndoTheFirst() external {
        _seatJurors(15);
        uint40 since = uint40(vm.getBlockNumber());
        _nextBlock();
        _dismiss(_juror(3), since);
        _nextBlock();
        PanelRequest memory request = _request(0);
        vm.assertEq(panels.draw(request).length, 14, "dismissed");
        _dismiss(_juror(3), since);
        vm.assertEq(panels.draw(request).length, 14, "as it was");
    }

    function _request(bytes32 seed) private view returns (PanelRequest memory) {
        return PanelRequest({
            class: CLASS,
            seed: seed,
            takenBy: uint40(vm.getBlockNumber() - 1),
            taskId: 1,
            epoch: 0,
            index: 0,
            trainer: trainer
        });
    }

    function _withSeats(address who, uint16 count) private returns (address) {
        _bond(who, Role.Verifier, count * SEAT_BOND);
        vm.prank(who);
        panels.takeSeats(CLASS, count);
        return who;
    }

    /// Leaves the first seat that it has.
    function _leave(address who) private {
        uint32 seat;
        (address juror,) = panels.seatOf(CLASS, 0);
        while (juror != who) {
            (juror,) = panels.seatOf(CLASS, ++seat);
        }
        vm.prank(who);
        panels.leaveSeats(CLASS, _one(seat));
    }

    function _dismiss(address who, uint40 since) private {
        vm.prank(address(appeals));
        panels.dismiss(1, CLASS, who, since);
    }

    /// Of those who were drawn before, all but the jurors from 0 to `leavers` are drawn now.
    function _assertRemain(address[] memory before, address[] memory jurors, uint256 leavers) private pure {
        for (uint256 i; i < before.length; ++i) {
            bool hasLeft;
            for (uint256 k; k < leavers; ++k) {
                hasLeft = hasLeft || before[i] == _juror(k);
            }
            vm.assertTrue(_contains(jurors, before[i]) != hasLeft, "drawn unless it has left");
        }
    }

    function _assertAbsent(address[] memory jurors, address who) private pure {
        vm.assertFalse(_contains(jurors, who), "not drawn");
    }

    function _assertDistinct(address[] memory jurors) private pure {
        for (uint256 i; i < jurors.length; ++i) {
            for (uint256 k; k < i; ++k) {
                vm.assertTrue(jurors[i] != jurors[k], "no seat twice");
            }
        }
    }

    function _assertLocked(address who, uint256 expected) private view {
        (, uint128 locked,,) = staking.bondOf(who, Role.Verifier);
        vm.assertEq(locked, expected, "locked");
    }

    function _contains(address[] memory jurors, address who) private pure returns (bool found) {
        for (uint256 i; i < jurors.length; ++i) {
            found = found || jurors[i] == who;
        }
    }

    function _one(uint32 seat) private pure returns (uint32[] memory seats) {
        seats = new uint32[](1);
        seats[0] = seat;
    }
}
