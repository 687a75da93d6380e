// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {IStaking, Role} from "./interfaces/IStaking.sol";
import {Tokens} from "./libraries/Tokens.sol";

/// @title Bonds of trainers and verifiers.
/// @dev Holds exactly what is bonded and what is unbonding. The contracts of a deployment name one another in their
///      constructors; docs/decisions/0002-contracts.md has the order.
contract Staking is IStaking, EIP712 {
    using SafeERC20 for IERC20;
    using SafeCast for uint256;
    using Tokens for IERC20;

    /// First slot: what is at stake. Second slot: everything else.
    struct Bond {
        uint128 bonded;
        uint128 unbonding;
        uint128 fresh; // bonded in block `freshAt`, so not active in it
        uint40 freshAt;
        uint40 withdrawableAt;
        uint16 enlistments;
    }

    bytes32 private constant _WORKER_KEY_TYPEHASH = keccak256("WorkerKey(address operator,address worker)");

    IERC20 public immutable TOKEN;
    address public immutable REGISTRY;
    address public immutable ATTESTATIONS;
    /// @inheritdoc IStaking
    uint40 public immutable UNBONDING_PERIOD;

    mapping(address operator => mapping(Role role => Bond)) private _bonds;
    mapping(address worker => address operator) private _operators;
    /// @inheritdoc IStaking
    mapping(address operator => address worker) public workerOf;

    // No address is checked for zero: `assay deploy --check` compares all of a deployment with what was deployed.
    // slither-disable-next-line missing-zero-check
    constructor(IERC20 token, address registry, address attestations, uint40 unbondingPeriod) EIP712("Assay", "1") {
        TOKEN = token;
        REGISTRY = registry;
        ATTESTATIONS = attestations;
        UNBONDING_PERIOD = unbondingPeriod;
    }

    /// @inheritdoc IStaking
    function bond(Role role, uint128 amount) external {
        _bond(role, amount);
    }

    /// @inheritdoc IStaking
    function bondWithPermit(Role role, uint128 amount, uint256 deadline, uint8 v, bytes32 r, bytes32 s) external {
        // A permit that fails, for whatever reason, leaves the allowance to decide.
        // Nothing is written before, so that a token which calls back meets no half-done state.
        // slither-disable-next-line reentrancy-benign
        try IERC20Permit(address(TOKEN)).permit(msg.sender, address(this), amount, deadline, v, r, s) {} catch {}
        _bond(role, amount);
    }

    /// @inheritdoc IStaking
    function requestUnbond(Role role, uint128 amount) external {
        Bond storage held = _bonds[msg.sender][role];
        require(amount > 0, ZeroAmount());
        require(held.enlistments == 0, StillEnlisted(msg.sender, held.enlistments));
        require(amount <= held.bonded, InsufficientBond(msg.sender, held.bonded, amount));

        uint40 withdrawableAt = (block.timestamp + UNBONDING_PERIOD).toUint40();
        held.bonded -= amount;
        held.unbonding += amount;
        held.withdrawableAt = withdrawableAt;
        emit UnbondRequested(msg.sender, role, amount, withdrawableAt);
    }

    /// @inheritdoc IStaking
    function withdraw(Role role) external {
        Bond storage held = _bonds[msg.sender][role];
        uint128 amount = held.unbonding;
        require(amount > 0, NothingToWithdraw(msg.sender));
        require(block.timestamp >= held.withdrawableAt, StillUnbonding(msg.sender, held.withdrawableAt));

        held.unbonding = 0;
        emit Withdrawn(msg.sender, role, amount);
        TOKEN.safeTransfer(msg.sender, amount);
    }

    /// @inheritdoc IStaking
    /// @dev Warning: consent carries no nonce. An operator that has removed a key may name it again with the same signature.
    function setWorkerKey(address worker, bytes calldata signature) external {
        if (worker != address(0)) {
            address taken = _operators[worker];
            require(taken == address(0) || taken == msg.sender, WorkerKeyTaken(worker, taken));
            bytes32 digest = _hashTypedDataV4(keccak256(abi.encode(_WORKER_KEY_TYPEHASH, msg.sender, worker)));
            (address signer, ECDSA.RecoverError failure,) = ECDSA.tryRecoverCalldata(digest, signature);
            require(failure == ECDSA.RecoverError.NoError && signer == worker, BadWorkerSignature(worker));
        }
        delete _operators[workerOf[msg.sender]];
        workerOf[msg.sender] = worker;
        if (worker != address(0)) _operators[worker] = msg.sender;
        emit WorkerKeySet(msg.sender, worker);
    }

    /// @inheritdoc IStaking
    function slash(address operator, Role role, uint128 amount, address reporter, uint128 reporterAmount, bool leaves)
        external
    {
        _requireKeeper(role);
        Bond storage held = _bonds[operator][role];
        if (leaves) --held.enlistments;
        if (amount == 0) return;
        (uint128 bonded, uint128 unbonding) = (held.bonded, held.unbonding);
        uint128 fromBonded = amount < bonded ? amount : bonded;
        // Checked: whoever slashes knows what was set aside, and that is no more than both amounts together.
        (held.bonded, held.unbonding) = (bonded - fromBonded, unbonding - (amount - fromBonded));
        emit Slashed(operator, role, amount);

        // The registry first, which has already counted it, then a stranger.
        if (amount > reporterAmount) TOKEN.safeTransfer(REGISTRY, amount - reporterAmount);
        if (reporterAmount > 0) TOKEN.safeTransfer(reporter, reporterAmount);
    }

    /// @inheritdoc IStaking
    function enlisted(address operator, Role role, bool enter) external {
        _requireKeeper(role);
        Bond storage held = _bonds[operator][role];
        if (enter) ++held.enlistments;
        else --held.enlistments;
    }

    /// @inheritdoc IStaking
    function activeBond(Role role, address key) external view returns (address operator, uint128 amount) {
        operator = operatorOf(key);
        Bond storage held = _bonds[operator][role];
        // Block numbers are counted, not sent: nobody can make two of them differ.
        // slither-disable-next-line incorrect-equality
        uint256 fresh = held.freshAt == block.number ? held.fresh : 0;
        amount = uint128(Math.saturatingSub(held.bonded, fresh)); // no more than `bonded`
    }

    /// @inheritdoc IStaking
    function bondOf(address operator, Role role)
        external
        view
        returns (uint128 bonded, uint128 unbonding, uint40 withdrawableAt, uint16 enlistments)
    {
        Bond storage held = _bonds[operator][role];
        return (held.bonded, held.unbonding, held.withdrawableAt, held.enlistments);
    }

    /// @inheritdoc IStaking
    function operatorOf(address key) public view returns (address) {
        address operator = _operators[key];
        return operator == address(0) ? key : operator;
    }

    function _bond(Role role, uint128 amount) private {
        require(amount > 0, ZeroAmount());
        Bond storage held = _bonds[msg.sender][role];
        held.bonded += amount;
        // slither-disable-next-line incorrect-equality
        held.fresh = held.freshAt == block.number ? held.fresh + amount : amount;
        held.freshAt = uint40(block.number); // 2^40 blocks are out of reach
        emit Bonded(msg.sender, role, amount);
        TOKEN.pull(msg.sender, amount);
    }

    /// The registry keeps the enlistments of trainers and what they set aside, Attestations those of verifiers.
    function _requireKeeper(Role role) private view {
        require(msg.sender == (role == Role.Trainer ? REGISTRY : ATTESTATIONS), NotAuthorised(msg.sender));
    }
}
