// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Deployment} from "./interfaces/Deployment.sol";
import {IAppeals} from "./interfaces/IAppeals.sol";
import {IPanels, PanelRequest} from "./interfaces/IPanels.sol";
import {IStaking, Role} from "./interfaces/IStaking.sol";
import {IVerifiers} from "./interfaces/IVerifiers.sol";

/// @title Pools of jurors, of which the panels of appeals are drawn.
/// @dev Holds no money. Seats keep their numbers: who leaves makes a hole, which the next to come fills. So nobody can turn
///      a draw by leaving or joining once the seed is known.
contract Panels is IPanels {
    struct Seat {
        address juror;
        uint40 takenAt; // block
    }

    struct Pool {
        Seat[] seats;
        uint32[] holes;
        mapping(address juror => uint40) dismissedAt; // block
    }

    /// @inheritdoc IPanels
    uint16 public constant PANEL_SEATS = 15;
    uint16 private constant _MAX_AT_ONCE = 64;
    /// Pools up to this size are drawn from without repetition; larger ones so seldom repeat that they may.
    uint256 private constant _SHUFFLED = 256;

    IStaking public immutable STAKING;
    IVerifiers public immutable VERIFIERS;
    IAppeals public immutable APPEALS;
    /// @inheritdoc IPanels
    uint128 public immutable SEAT_BOND;

    mapping(bytes32 class => Pool) private _pools;

    constructor(Deployment memory deployment, uint128 seatBond) {
        STAKING = deployment.staking;
        VERIFIERS = deployment.verifiers;
        APPEALS = deployment.appeals;
        SEAT_BOND = seatBond;
    }

    /// @inheritdoc IPanels
    function takeSeats(bytes32 class, uint16 count) external {
        require(count > 0, NoSeats());
        require(count <= _MAX_AT_ONCE, TooManySeats(count, _MAX_AT_ONCE));
        address juror = STAKING.operatorOf(msg.sender);
        Pool storage pool = _pools[class];
        Seat memory seat = Seat(juror, uint40(block.number));
        uint32[] memory taken = new uint32[](count);
        for (uint256 i; i < count; ++i) {
            uint256 holes = pool.holes.length;
            if (holes > 0) {
                taken[i] = pool.holes[holes - 1];
                pool.holes.pop();
                pool.seats[taken[i]] = seat;
            } else {
                taken[i] = uint32(pool.seats.length);
                pool.seats.push(seat);
            }
        }
        emit SeatsTaken(class, juror, taken);
        STAKING.lock(Role.Verifier, juror, count * SEAT_BOND);
    }

    /// @inheritdoc IPanels
    function leaveSeats(bytes32 class, uint32[] calldata seats) external {
        require(seats.length > 0, NoSeats());
        require(seats.length <= _MAX_AT_ONCE, TooManySeats(seats.length, _MAX_AT_ONCE));
        address juror = STAKING.operatorOf(msg.sender);
        Pool storage pool = _pools[class];
        for (uint256 i; i < seats.length; ++i) {
            bool isYours = seats[i] < pool.seats.length && pool.seats[seats[i]].juror == juror;
            require(isYours, NotYourSeat(class, seats[i], juror));
            delete pool.seats[seats[i]];
            pool.holes.push(seats[i]);
        }
        emit SeatsLeft(class, juror, seats);
        STAKING.unlock(Role.Verifier, juror, uint128(seats.length * SEAT_BOND)); // as much as was locked for them
    }

    /// @inheritdoc IPanels
    function dismiss(bytes32 class, address juror) external {
        require(msg.sender == address(APPEALS), NotAuthorised(msg.sender));
        _pools[class].dismissedAt[juror] = uint40(block.number);
        emit JurorDismissed(class, juror);
    }

    /// @inheritdoc IPanels
    function draw(PanelRequest calldata request) external view returns (address[] memory jurors) {
        uint256[] memory order = _order(request.seed, request.size);
        jurors = new address[](PANEL_SEATS);
        uint256 count;
        for (uint256 i; i < order.length && count < PANEL_SEATS; ++i) {
            address juror = _eligible(request, order[i]);
            if (juror != address(0)) jurors[count++] = juror;
        }
        // Shortens the list to those that were found.
        // solhint-disable-next-line no-inline-assembly
        assembly ("memory-safe") {
            mstore(jurors, count)
        }
    }

    /// @inheritdoc IPanels
    function poolSize(bytes32 class) external view returns (uint32) {
        return uint32(_pools[class].seats.length);
    }

    /// @inheritdoc IPanels
    function seatOf(bytes32 class, uint32 seat) external view returns (address juror, uint40 takenAt) {
        Seat[] storage seats = _pools[class].seats;
        if (seat >= seats.length) return (address(0), 0);
        return (seats[seat].juror, seats[seat].takenAt);
    }

    /// Who holds a seat, if that juror may judge; else zero.
    function _eligible(PanelRequest calldata request, uint256 index) private view returns (address juror) {
        Pool storage pool = _pools[request.class];
        Seat memory seat = pool.seats[index];
        juror = seat.juror;
        if (juror == address(0) || juror == request.trainer || seat.takenAt > request.takenBy) return address(0);
        if (pool.dismissedAt[juror] >= seat.takenAt) return address(0);
        // Judges nothing twice, nor its own challenge. As many calls as there are seats to try.
        // slither-disable-next-line calls-loop
        if (VERIFIERS.weightAt(request.taskId, request.epoch, juror) > 0) return address(0);
        // slither-disable-next-line calls-loop
        bool isParty = APPEALS.isChallenger(request.taskId, request.epoch, request.index, juror);
        return isParty ? address(0) : juror;
    }

    /// Seats in the order in which they are tried: all of a small pool, shuffled; of a large one 128, without those that
    /// have been tried already.
    function _order(bytes32 seed, uint256 size) private pure returns (uint256[] memory order) {
        uint256 length = size <= _SHUFFLED ? size : 128;
        order = new uint256[](length);
        if (size <= _SHUFFLED) {
            for (uint256 i; i < size; ++i) {
                order[i] = i;
            }
            for (uint256 i; i < size; ++i) {
                uint256 other = i + uint256(keccak256(abi.encode(seed, i))) % (size - i);
                (order[i], order[other]) = (order[other], order[i]);
            }
            return order;
        }
        uint256 count;
        for (uint256 i; i < length; ++i) {
            uint256 seat = uint256(keccak256(abi.encode(seed, i))) % size;
            bool isTried;
            for (uint256 j; j < count && !isTried; ++j) {
                isTried = order[j] == seat;
            }
            if (!isTried) order[count++] = seat;
        }
        // solhint-disable-next-line no-inline-assembly
        assembly ("memory-safe") {
            mstore(order, count)
        }
    }
}
