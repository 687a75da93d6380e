// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// A panel that is wanted for the dispute about one submission.
struct PanelRequest {
    bytes32 class; // of the pool
    bytes32 seed; // of the draw
    uint40 takenBy; // the pool of the end of this block is drawn from: nobody who knows the seed can change it
    uint256 taskId;
    uint64 epoch; // whose verifiers do not judge again
    uint16 index; // whose challengers do not judge
    address trainer; // nor does it
}

/// @title Pools of jurors, of which the panels of appeals are drawn.
/// @notice A juror takes seats in the pool of a class of tasks, each for SEAT_BOND of its verifier bond; its chance to
///         be drawn is its share of the seats. Seats are at risk of nothing: who does not vote in a panel of a task is
///         drawn for that task no more. They are numbered without holes, so that empty ones cannot thin a pool out: the
///         last one takes the place of one that is left.
interface IPanels {
    /// @param seats numbers of the seats taken, consecutive
    event SeatsTaken(bytes32 indexed class, address indexed juror, uint32[] seats);
    /// The last seat of the pool takes the place of one that is left.
    event SeatMoved(bytes32 indexed class, address indexed juror, uint32 from, uint32 to);
    event SeatsLeft(bytes32 indexed class, address indexed juror, uint32[] seats);
    event JurorDismissed(uint256 indexed taskId, address indexed juror);

    error NoSeats();
    error TooManySeats(uint256 count, uint256 max);
    error NotYourSeat(bytes32 class, uint32 seat, address juror);
    error NotAuthorised(address caller);

    /// @notice Takes seats for the caller's operator and locks SEAT_BOND for each.
    /// @param class of tasks that the juror can judge, as their terms name it
    /// @param count how many, at most 64 a call
    function takeSeats(bytes32 class, uint16 count) external;

    /// @notice Leaves seats and unlocks their bonds. Votes in panels already drawn are still wanted; for challenges
    ///         before it is not drawn any more.
    /// @param class of the seats
    /// @param seats of the caller's operator, from the highest to the lowest: see SeatMoved
    function leaveSeats(bytes32 class, uint32[] calldata seats) external;

    /// @notice Makes all seats that a juror holds now count for nothing in panels of one task, until it leaves all and
    ///         takes some again; only Appeals. Does nothing if it has done so since, or is dismissed.
    /// @param taskId of the panel in which it did not vote
    /// @param class of that task
    /// @param juror whom
    /// @param since block from whose pool the panel was drawn
    function dismiss(uint256 taskId, bytes32 class, address juror, uint40 since) external;

    /// @notice Draws a panel from the pool as it was, in an order that follows from the seed, without seats of those
    ///         who have left some since, had been dismissed, or are parties.
    /// @param request what the panel is for
    /// @return jurors one for each seat drawn, at most PANEL_SEATS
    function draw(PanelRequest calldata request) external view returns (address[] memory jurors);

    /// @notice Seats of a pool: numbers below this one are taken.
    /// @param class of the pool
    /// @return how many
    function poolSize(bytes32 class) external view returns (uint32);

    /// @notice Who holds a seat.
    /// @param class of the pool
    /// @param seat its number
    /// @return juror zero when there is no such seat
    /// @return takenAt block from which on
    function seatOf(bytes32 class, uint32 seat) external view returns (address juror, uint40 takenAt);

    /// @notice Seats of a panel. Fewer decide nothing.
    function PANEL_SEATS() external view returns (uint16);

    /// @notice What one seat locks, in wei of the token.
    function SEAT_BOND() external view returns (uint128);
}
