// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// What an operator is bonded for. The two bonds are separate money: a slash of one never touches the other.
enum Role {
    Trainer,
    Verifier
}

/// @title Bonds of trainers and verifiers.
/// @notice A cold *operator* key holds the money. It may name one hot *worker key*, which submits work and attests and
///         can move nothing. What is unbonding stays slashable until it is withdrawn.
interface IStaking {
    event Bonded(address indexed operator, Role indexed role, uint256 amount);
    event UnbondRequested(address indexed operator, Role indexed role, uint256 amount, uint40 withdrawableAt);
    event Withdrawn(address indexed operator, Role indexed role, uint256 amount);
    event WorkerKeySet(address indexed operator, address indexed worker);
    event Slashed(address indexed operator, Role indexed role, uint256 amount);

    error ZeroAmount();
    error InsufficientBond(address operator, uint256 bonded, uint256 needed);
    error StillEnlisted(address operator, uint256 tasks);
    error NothingToWithdraw(address operator);
    error StillUnbonding(address operator, uint40 withdrawableAt);
    error WorkerKeyTaken(address worker, address operator);
    error BadWorkerSignature(address worker);
    error NotAuthorised(address caller);

    /// Bonds `amount` of the token. Counts only from the next block on, so that stake cannot be borrowed for one vote.
    function bond(Role role, uint128 amount) external;

    /// As `bond`, with an ERC-2612 permit. A permit that somebody else used first does no harm.
    function bondWithPermit(Role role, uint128 amount, uint256 deadline, uint8 v, bytes32 r, bytes32 s) external;

    /// Moves `amount` from bond to unbonding; withdrawable after UNBONDING_PERIOD. Not while enlisted for a task.
    /// A second request merges with the first and starts the period anew.
    function requestUnbond(Role role, uint128 amount) external;

    /// Pays out what has finished unbonding.
    function withdraw(Role role) external;

    /// Names the hot key that acts for the caller. `signature` is the worker's own EIP-712 consent,
    /// `WorkerKey(address operator,address worker)`, so that nobody can claim another's key. The former key is released.
    /// The zero address, with an empty signature, removes the key.
    function setWorkerKey(address worker, bytes calldata signature) external;

    /// Takes `amount`, which its bond or what is unbonding must hold, from an operator: `reporterAmount` of it goes to
    /// `reporter`, the rest to the registry. Ends one of its enlistments, too, when it `leaves`. Only TaskRegistry
    /// (trainers) and Attestations (verifiers), which know what an operator has set aside.
    function slash(address operator, Role role, uint128 amount, address reporter, uint128 reporterAmount, bool leaves)
        external;

    /// Counts an enlistment (or its end); only TaskRegistry (trainers) and Attestations (verifiers).
    function enlisted(address operator, Role role, bool enter) external;

    /// The operator that `key` acts for (itself when it is nobody's worker key), and that operator's bond in `role`
    /// that counts in this block.
    function activeBond(Role role, address key) external view returns (address operator, uint128 amount);

    /// Amounts of an operator in one role.
    function bondOf(address operator, Role role)
        external
        view
        returns (uint128 bonded, uint128 unbonding, uint40 withdrawableAt, uint16 enlistments);

    /// The operator that `key` acts for; `key` itself when it is nobody's worker key.
    function operatorOf(address key) external view returns (address);
    function workerOf(address operator) external view returns (address);

    /// Seconds between `requestUnbond` and `withdraw`.
    function UNBONDING_PERIOD() external view returns (uint40);
}
