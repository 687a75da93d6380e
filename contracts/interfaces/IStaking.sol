// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// What an operator is bonded for. The two bonds are separate money: a slash of one never touches the other.
enum Role {
    Trainer,
    Verifier
}

/// @title Bonds of trainers and verifiers.
/// @notice A cold *operator* key holds the money. It may name one hot *worker key*, which commits and attests for it
///         and can move nothing. What answers for something is *locked* by the contract that may slash it; only what is
///         free can be unbonded.
interface IStaking {
    /*//////////////////////////////////////////////////////////////
                                 EVENTS
    //////////////////////////////////////////////////////////////*/

    event Bonded(address indexed operator, Role indexed role, uint256 amount);
    event UnbondRequested(address indexed operator, Role indexed role, uint256 amount, uint40 withdrawableAt);
    event Withdrawn(address indexed operator, Role indexed role, uint256 amount);
    event WorkerKeySet(address indexed operator, address indexed worker);
    /// @param amount all that was taken
    /// @param recipient who got `recipientAmount` of it; the rest was burnt
    event Slashed(
        address indexed operator, Role indexed role, uint256 amount, address recipient, uint256 recipientAmount
    );

    /*//////////////////////////////////////////////////////////////
                                 ERRORS
    //////////////////////////////////////////////////////////////*/

    error ZeroAmount();
    /// The operator has less free bond than the call needs.
    error InsufficientBond(address operator, uint256 free, uint256 needed);
    error NothingToWithdraw(address operator);
    error StillUnbonding(address operator, uint40 withdrawableAt);
    error WorkerKeyTaken(address worker, address operator);
    error BadWorkerSignature(address worker);
    error ConsentExpired(uint256 deadline);
    error NotAWorkerKey(address caller);
    error NotAuthorised(address caller);

    /*//////////////////////////////////////////////////////////////
                                OPERATORS
    //////////////////////////////////////////////////////////////*/

    /// @notice Bonds `amount` of the token. Counts from the next block on, so that stake cannot be borrowed for one
    ///         vote.
    /// @param role what the bond is for
    /// @param amount in wei of the token; reverts with ZeroAmount when 0
    function bond(Role role, uint128 amount) external;

    /// @notice As `bond`, with an ERC-2612 permit. A permit that somebody else used first does no harm.
    /// @param role what the bond is for
    /// @param amount in wei of the token
    /// @param deadline of the permit
    /// @param v signature of the permit
    /// @param r signature of the permit
    /// @param s signature of the permit
    function bondWithPermit(Role role, uint128 amount, uint256 deadline, uint8 v, bytes32 r, bytes32 s) external;

    /// @notice Moves free bond to unbonding; withdrawable after UNBONDING_PERIOD. A second request merges with the
    ///         first and starts the period again.
    /// @param role which bond
    /// @param amount reverts with InsufficientBond where that much is not free
    function requestUnbond(Role role, uint128 amount) external;

    /// @notice Pays out what has finished unbonding.
    /// @param role which bond; reverts with NothingToWithdraw or StillUnbonding
    function withdraw(Role role) external;

    /// @notice Names the hot key that acts for the caller; the former key is released.
    /// @param worker the key; zero, with an empty signature, removes the key
    /// @param deadline last second at which the consent may be used
    /// @param signature the worker's EIP-712 consent `WorkerKey(address operator,address worker,uint256 nonce,uint256
    ///        deadline)`. The nonce is `workerNonceOf(worker)`, so that a consent serves once.
    function setWorkerKey(address worker, uint256 deadline, bytes calldata signature) external;

    /// @notice Ends what the caller does as a worker key. Its old consents are void from then on.
    function renounceWorkerKey() external;

    /*//////////////////////////////////////////////////////////////
                                 KEEPERS
    //////////////////////////////////////////////////////////////*/

    /// @notice Locks free bond, because it answers for something now. Only Commitments (trainers), Verifiers and Panels
    ///         (verifiers).
    /// @param role which bond
    /// @param operator whose; not looked up again, so that what is locked is what can be slashed
    /// @param amount reverts with InsufficientBond where that much is not free
    function lock(Role role, address operator, uint128 amount) external;

    /// @notice Ends a lock. Only who may lock.
    /// @param role which bond
    /// @param operator whose
    /// @param amount of what is locked
    function unlock(Role role, address operator, uint128 amount) external;

    /// @notice Takes locked bond: a part goes to a recipient, the rest is burnt. Only who may lock.
    /// @param role which bond
    /// @param operator whose
    /// @param amount of what is locked
    /// @param recipient of `recipientAmount`
    /// @param recipientAmount at most `amount`
    function slash(Role role, address operator, uint128 amount, address recipient, uint128 recipientAmount) external;

    /*//////////////////////////////////////////////////////////////
                                  VIEWS
    //////////////////////////////////////////////////////////////*/

    /// @notice What of a bond can be locked in this block.
    /// @param role which bond
    /// @param key the operator, or its worker key
    /// @return operator that `key` acts for
    /// @return amount its free bond, without what was bonded in this block
    function freeBond(Role role, address key) external view returns (address operator, uint128 amount);

    /// @notice Amounts of an operator in one role.
    /// @param operator whose
    /// @param role which bond
    /// @return bonded all of the bond
    /// @return locked what of it answers for something
    /// @return unbonding no longer bonded, not yet withdrawn
    /// @return withdrawableAt Unix time from which `unbonding` can be withdrawn
    function bondOf(address operator, Role role)
        external
        view
        returns (uint128 bonded, uint128 locked, uint128 unbonding, uint40 withdrawableAt);

    /// @notice The operator that a key acts for; the key itself when it is nobody's worker key.
    /// @param key any address
    /// @return the operator
    function operatorOf(address key) external view returns (address);

    /// @notice The worker key of an operator; zero when it has none.
    /// @param operator any address
    /// @return the worker key
    function workerOf(address operator) external view returns (address);

    /// @notice What the next consent of a worker key has to name.
    /// @param worker any address
    /// @return the nonce
    function workerNonceOf(address worker) external view returns (uint256);

    /// @notice Seconds between `requestUnbond` and `withdraw`, and for which a verifier's bond answers after it has
    ///         left.
    function UNBONDING_PERIOD() external view returns (uint40);
}
