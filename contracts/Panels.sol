// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Checkpoints} from "@openzeppelin/contracts/utils/structs/Checkpoints.sol";

import {Deployment} from "./interfaces/Deployment.sol";
import {IAppeals} from "./interfaces/IAppeals.sol";
import {IPanels, PanelRequest} from "./interfaces/IPanels.sol";
import {IStaking, Role} from "./interfaces/IStaking.sol";
import {IVerifiers} from "./interfaces/IVerifiers.sol";
import {Economics} from "./libraries/Economics.sol";

/// @title Pools of jurors, of which the panels of appeals are drawn.
/// @dev Holds no money. Each seat remembers who held it when, so that a panel is drawn from the pool as it was before
///      the challenge was committed to: anyone who joins, leaves or is dismissed later changes at most its own seats.
contract Panels is IPanels {
    using Checkpoints for Checkpoints.Trace160;

    struct Juror {
        uint32 seats;
        uint40 since; // block in which it took the first of them
        uint40 leftAt; // block in which it last left one
    }

    /// Traces by block.
    struct Pool {
        Checkpoints.Trace160 size;
        mapping(uint256 seat => Checkpoints.Trace160) holders;
        mapping(address => Juror) jurors;
    }

    /// @inheritdoc IPanels
    uint16 public constant PANEL_SEATS = Economics.PANEL_SEATS;
    uint16 private constant _MAX_AT_ONCE = 64;
    /// Pools up to this size are drawn from to the last seat; of larger ones half as many seats are tried.
    uint256 private constant _SHUFFLED = 256;

    IStaking public immutable STAKING;
    IVerifiers public immutable VERIFIERS;
    IAppeals public immutable APPEALS;
    /// @inheritdoc IPanels
    uint128 public immutable SEAT_BOND;

    mapping(bytes32 class => Pool) private _pools;
    /// In which block. For one task alone: terms that nobody can serve, or a spec that nobody can judge, would else
    /// empty the pool that other tasks draw from.
    mapping(uint256 taskId => mapping(address juror => uint40)) private _dismissedAt;

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
        uint32 size = poolSize(class);
        uint32[] memory taken = new uint32[](count);
        for (uint256 i; i < count; ++i) {
            taken[i] = size;
            _hold(pool, size, juror);
            ++size;
        }
        pool.size.push(_block(), size);
        Juror storage record = pool.jurors[juror];
        if (record.seats == 0) record.since = uint40(block.number);
        record.seats += count;
        emit SeatsTaken(class, juror, taken);
        STAKING.lock(Role.Verifier, juror, count * SEAT_BOND);
    }

    /// @inheritdoc IPanels
    function leaveSeats(bytes32 class, uint32[] calldata seats) external {
        require(seats.length > 0, NoSeats());
        require(seats.length <= _MAX_AT_ONCE, TooManySeats(seats.length, _MAX_AT_ONCE));
        address juror = STAKING.operatorOf(msg.sender);
        Pool storage pool = _pools[class];
        uint32 size = poolSize(class);
        for (uint256 i; i < seats.length; ++i) {
            uint32 seat = seats[i];
            require(seat < size && _holder(pool, seat) == juror, NotYourSeat(class, seat, juror));
            // slither-disable-next-line incorrect-equality
            if (seat == --size) continue;
            address last = _holder(pool, size);
            _hold(pool, seat, last);
            emit SeatMoved(class, last, size, seat);
        }
        pool.size.push(_block(), size);
        Juror storage record = pool.jurors[juror];
        (record.seats, record.leftAt) = (record.seats - uint32(seats.length), uint40(block.number));
        emit SeatsLeft(class, juror, seats);
        STAKING.unlock(Role.Verifier, juror, uint128(seats.length * SEAT_BOND)); // as much as was locked for them
    }

    /// @inheritdoc IPanels
    function dismiss(uint256 taskId, bytes32 class, address juror, uint40 since) external {
        require(msg.sender == address(APPEALS), NotAuthorised(msg.sender));
        Juror storage record = _pools[class].jurors[juror];
        // The first dismissal counts: a later one would undo it for panels of the time between.
        bool isDismissed = _dismissedAt[taskId][juror] >= record.since;
        if (record.seats == 0 || record.since > since || isDismissed) return;
        _dismissedAt[taskId][juror] = uint40(block.number);
        emit JurorDismissed(taskId, juror);
    }

    /// @inheritdoc IPanels
    function draw(PanelRequest calldata request) external view returns (address[] memory jurors) {
        uint256[] memory order = _order(request.seed, _pools[request.class].size.upperLookupRecent(request.takenBy));
        jurors = new address[](PANEL_SEATS);
        uint256 count;
        for (uint256 i; i < order.length && count < PANEL_SEATS; ++i) {
            address juror = _eligible(request, order[i]);
            if (juror == address(0)) continue;
            jurors[count] = juror;
            ++count;
        }
        // Shortens the list to those that were found.
        // solhint-disable no-inline-assembly
        // slither-disable-next-line assembly
        assembly ("memory-safe") {
            mstore(jurors, count)
        }
    }

    /// @inheritdoc IPanels
    function seatOf(bytes32 class, uint32 seat) external view returns (address juror, uint40 takenAt) {
        if (seat >= poolSize(class)) return (address(0), 0);
        (, uint96 from, uint160 holder) = _pools[class].holders[seat].latestCheckpoint();
        return (address(holder), uint40(from));
    }

    /// @inheritdoc IPanels
    function poolSize(bytes32 class) public view returns (uint32) {
        return uint32(_pools[class].size.latest());
    }

    function _hold(Pool storage pool, uint256 seat, address juror) private {
        pool.holders[seat].push(_block(), uint160(juror));
    }

    function _holder(Pool storage pool, uint256 seat) private view returns (address) {
        return address(pool.holders[seat].latest());
    }

    /// Who held a seat, if that juror may judge; else zero.
    function _eligible(PanelRequest calldata request, uint256 seat) private view returns (address juror) {
        Pool storage pool = _pools[request.class];
        juror = address(pool.holders[seat].upperLookupRecent(request.takenBy));
        if (juror == request.trainer) return address(0);
        Juror memory record = pool.jurors[juror];
        // What happened since counts only where the juror itself has left.
        uint40 dismissedAt = _dismissedAt[request.taskId][juror];
        bool isDismissed = dismissedAt >= record.since && dismissedAt <= request.takenBy;
        if (record.leftAt > request.takenBy || isDismissed) return address(0);
        // Judges nothing twice, nor its own challenge. As many calls as there are seats to try.
        // slither-disable-next-line calls-loop
        if (VERIFIERS.weightAt(request.taskId, request.epoch, juror) > 0) return address(0);
        // slither-disable-next-line calls-loop
        bool isParty = APPEALS.isChallenger(request.taskId, request.epoch, request.index, juror);
        return isParty ? address(0) : juror;
    }

    function _block() private view returns (uint96) {
        return uint96(block.number);
    }

    /// Seats in the order in which they are tried: all of a small pool, shuffled; of a large one 128, without those
    /// that have been tried already.
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
                // slither-disable-next-line incorrect-equality
                isTried = order[j] == seat;
            }
            if (isTried) continue;
            order[count] = seat;
            ++count;
        }
        // solhint-disable no-inline-assembly
        // slither-disable-next-line assembly
        assembly ("memory-safe") {
            mstore(order, count)
        }
    }
}
