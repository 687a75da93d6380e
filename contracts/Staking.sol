// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {Deployment} from "./interfaces/Deployment.sol";
import {IStaking, Role} from "./interfaces/IStaking.sol";
import {Tokens} from "./libraries/Tokens.sol";

/// @title Bonds of trainers and verifiers.
/// @dev Holds exactly what is bonded and what is unbonding. What is locked is part of what is bonded.
contract Staking is IStaking, EIP712 {
    using SafeERC20 for IERC20;
    using SafeCast for uint256;
    using Tokens for IERC20;

    /// First slot: what is at stake. The others: money that moves, and what came in the newest block.
    struct Bond {
        uint128 bonded;
        uint128 locked;
        uint128 unbonding;
        uint40 withdrawableAt;
        uint40 freshAt;
        uint128 fresh; // bonded in block `freshAt`, so not free in it
    }

    bytes32 private constant _WORKER_KEY_TYPEHASH =
        keccak256("WorkerKey(address operator,address worker,uint256 nonce,uint256 deadline)");

    IERC20 public immutable TOKEN;
    address public immutable COMMITMENTS;
    address public immutable VERIFIERS;
    address public immutable PANELS;
    /// @inheritdoc IStaking
    uint40 public immutable UNBONDING_PERIOD;

    mapping(address operator => mapping(Role role => Bond)) private _bonds;
    mapping(address worker => address operator) private _operators;
    /// @inheritdoc IStaking
    mapping(address operator => address worker) public workerOf;
    /// @inheritdoc IStaking
    mapping(address worker => uint256) public workerNonceOf;

    constructor(Deployment memory deployment, uint40 unbondingPeriod) EIP712("Assay", "2") {
        TOKEN = deployment.token;
        COMMITMENTS = address(deployment.commitments);
        VERIFIERS = address(deployment.verifiers);
        PANELS = address(deployment.panels);
        UNBONDING_PERIOD = unbondingPeriod;
    }

    /*//////////////////////////////////////////////////////////////
                                OPERATORS
    //////////////////////////////////////////////////////////////*/

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
        uint128 free = held.bonded - held.locked;
        require(amount <= free, InsufficientBond(msg.sender, free, amount));

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
    function setWorkerKey(address worker, uint256 deadline, bytes calldata signature) external {
        if (worker != address(0)) {
            address taken = _operators[worker];
            require(taken == address(0) || taken == msg.sender, WorkerKeyTaken(worker, taken));
            require(block.timestamp <= deadline, ConsentExpired(deadline));
            uint256 nonce = workerNonceOf[worker];
            workerNonceOf[worker] = nonce + 1;
            bytes32 structHash = keccak256(abi.encode(_WORKER_KEY_TYPEHASH, msg.sender, worker, nonce, deadline));
            (address signer, ECDSA.RecoverError failure,) =
                ECDSA.tryRecoverCalldata(_hashTypedDataV4(structHash), signature);
            require(failure == ECDSA.RecoverError.NoError && signer == worker, BadWorkerSignature(worker));
        }
        _nameWorker(msg.sender, worker);
    }

    /// @inheritdoc IStaking
    function renounceWorkerKey() external {
        address operator = _operators[msg.sender];
        require(operator != address(0), NotAWorkerKey(msg.sender));
        ++workerNonceOf[msg.sender];
        _nameWorker(operator, address(0));
    }

    /*//////////////////////////////////////////////////////////////
                                 KEEPERS
    //////////////////////////////////////////////////////////////*/

    /// @inheritdoc IStaking
    function lock(Role role, address operator, uint128 amount) external {
        _requireKeeper(role);
        Bond storage held = _bonds[operator][role];
        uint128 free = _free(held);
        require(amount <= free, InsufficientBond(operator, free, amount));
        held.locked += amount;
    }

    /// @inheritdoc IStaking
    function unlock(Role role, address operator, uint128 amount) external {
        _requireKeeper(role);
        _bonds[operator][role].locked -= amount;
    }

    /// @inheritdoc IStaking
    function slash(Role role, address operator, uint128 amount, address recipient, uint128 recipientAmount) external {
        _requireKeeper(role);
        Bond storage held = _bonds[operator][role];
        (held.bonded, held.locked) = (held.bonded - amount, held.locked - amount);
        emit Slashed(operator, role, amount, recipient, recipientAmount);
        TOKEN.burn(amount - recipientAmount);
        if (recipientAmount > 0) TOKEN.safeTransfer(recipient, recipientAmount);
    }

    /*//////////////////////////////////////////////////////////////
                                  VIEWS
    //////////////////////////////////////////////////////////////*/

    /// @inheritdoc IStaking
    function freeBond(Role role, address key) external view returns (address operator, uint128 amount) {
        operator = operatorOf(key);
        amount = _free(_bonds[operator][role]);
    }

    /// @inheritdoc IStaking
    function bondOf(address operator, Role role)
        external
        view
        returns (uint128 bonded, uint128 locked, uint128 unbonding, uint40 withdrawableAt)
    {
        Bond storage held = _bonds[operator][role];
        return (held.bonded, held.locked, held.unbonding, held.withdrawableAt);
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
        // Block numbers are counted, not sent: nobody can make two of them differ.
        // slither-disable-next-line incorrect-equality
        held.fresh = held.freshAt == block.number ? held.fresh + amount : amount;
        held.freshAt = uint40(block.number); // 2^40 blocks are out of reach
        emit Bonded(msg.sender, role, amount);
        TOKEN.pull(msg.sender, amount);
    }

    function _nameWorker(address operator, address worker) private {
        delete _operators[workerOf[operator]];
        workerOf[operator] = worker;
        if (worker != address(0)) _operators[worker] = operator;
        emit WorkerKeySet(operator, worker);
    }

    /// What of a bond can be locked in this block.
    function _free(Bond storage held) private view returns (uint128) {
        uint128 unlocked = held.bonded - held.locked;
        // slither-disable-next-line incorrect-equality
        uint128 fresh = held.freshAt == block.number ? held.fresh : 0;
        return unlocked > fresh ? unlocked - fresh : 0;
    }

    function _requireKeeper(Role role) private view {
        bool isKeeper =
            role == Role.Trainer ? msg.sender == COMMITMENTS : msg.sender == VERIFIERS || msg.sender == PANELS;
        require(isKeeper, NotAuthorised(msg.sender));
    }
}
