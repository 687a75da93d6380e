// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {Deployment} from "./interfaces/Deployment.sol";
import {ICommitments} from "./interfaces/ICommitments.sol";
import {IStaking} from "./interfaces/IStaking.sol";
import {ITaskRegistry, KindTerms, TaskParams, SubmissionKind} from "./interfaces/ITaskRegistry.sol";
import {Economics} from "./libraries/Economics.sol";
import {Terms, SubmissionTerms} from "./libraries/Terms.sol";
import {Tokens} from "./libraries/Tokens.sol";

/// @title Tasks: their terms and their money.
/// @dev Holds exactly the budgets and reservations of all tasks. An open epoch reserves the most that it can cost; its
///      seal gives back what its submissions cannot cost; claims end the rest of the reservation submission by
///      submission. The verifier fee of an epoch can leave a few wei reserved for ever (fewer than it has verifiers):
///      shares round down.
contract TaskRegistry is ITaskRegistry {
    using SafeCast for uint256;
    using SafeERC20 for IERC20;
    using Terms for address;
    using Tokens for IERC20;

    struct Task {
        address terms; // see Terms
        bool isClosed;
        uint128 budget;
        uint128 reserved;
    }

    uint256 private constant _MAX_URI = 512;

    IERC20 public immutable TOKEN;
    IStaking public immutable STAKING;
    ICommitments public immutable COMMITMENTS;
    address public immutable ATTESTATIONS;
    address public immutable POLICIES;
    address public immutable PAYOUTS;

    /// @inheritdoc ITaskRegistry
    uint32 public immutable MIN_WINDOW;

    /// @inheritdoc ITaskRegistry
    uint256 public taskCount;

    mapping(uint256 taskId => Task) private _tasks;

    constructor(Deployment memory deployment, uint32 minWindow) {
        require(minWindow > 0, NoMinWindow());
        TOKEN = deployment.token;
        STAKING = deployment.staking;
        COMMITMENTS = deployment.commitments;
        ATTESTATIONS = address(deployment.attestations);
        POLICIES = address(deployment.policies);
        PAYOUTS = address(deployment.payouts);
        MIN_WINDOW = minWindow;
    }

    /*//////////////////////////////////////////////////////////////
                                  TASKS
    //////////////////////////////////////////////////////////////*/

    /// @inheritdoc ITaskRegistry
    function openTask(
        TaskParams calldata params,
        bytes32 specHash,
        string calldata specURI,
        bytes32 policyRoot,
        uint128 budget
    ) external returns (uint256 taskId) {
        _checkParams(params);
        require(bytes(specURI).length <= _MAX_URI, UriTooLong(bytes(specURI).length, _MAX_URI));
        require(policyRoot != bytes32(0), EmptyRoot());

        taskId = ++taskCount;
        bytes32 termsHash = keccak256(abi.encode(taskId, msg.sender, params, specHash, policyRoot));
        Task storage task = _tasks[taskId];
        task.budget = budget;
        task.terms = Terms.store(params, msg.sender, policyRoot, termsHash, bytes32(taskId));
        _requireFunds(task.terms, budget);
        // Nothing is at stake that early, so that the openness of this seed does no harm.
        bytes32 seed = keccak256(abi.encode(block.prevrandao, taskId, specHash));
        emit TaskOpened(taskId, msg.sender, params, specHash, specURI, policyRoot, termsHash, seed);
        emit TaskFunded(taskId, msg.sender, budget);
        COMMITMENTS.openEpoch(taskId);
        TOKEN.pull(msg.sender, budget);
    }

    /// @inheritdoc ITaskRegistry
    function fundTask(uint256 taskId, uint128 amount) external {
        Task storage task = _known(taskId);
        require(!task.isClosed, TaskIsClosed(taskId));
        task.budget += amount;
        emit TaskFunded(taskId, msg.sender, amount);
        COMMITMENTS.openEpoch(taskId);
        if (amount > 0) TOKEN.pull(msg.sender, amount);
    }

    /// @inheritdoc ITaskRegistry
    function closeTask(uint256 taskId) external {
        Task storage task = _known(taskId);
        (address initiator,,) = task.terms.originAt();
        require(msg.sender == initiator, NotInitiator(msg.sender, initiator));
        require(!task.isClosed, TaskIsClosed(taskId));
        task.isClosed = true;
        emit TaskClosed(taskId);
        COMMITMENTS.extendEpoch(taskId);
    }

    /// @inheritdoc ITaskRegistry
    function refundTask(uint256 taskId) external {
        Task storage task = _known(taskId);
        uint256 amount = task.budget;
        require(task.isClosed && amount > 0, NothingToRefund(taskId));
        (address initiator,,) = task.terms.originAt();
        task.budget = 0;
        emit TaskRefunded(taskId, initiator, amount);
        TOKEN.safeTransfer(initiator, amount);
    }

    /*//////////////////////////////////////////////////////////////
                             OTHER CONTRACTS
    //////////////////////////////////////////////////////////////*/

    /// @inheritdoc ITaskRegistry
    function reserveEpoch(uint256 taskId, uint64 epoch) external returns (uint128) {
        require(msg.sender == address(COMMITMENTS), NotAuthorised(msg.sender));
        Task storage task = _known(taskId);
        if (task.isClosed) return 0;
        SubmissionTerms memory terms = task.terms.submissionTermsAt();
        if (terms.maxEpochs != 0 && epoch >= terms.maxEpochs) {
            task.isClosed = true;
            emit TaskClosed(taskId);
            return 0;
        }
        uint256 cost = _epochCost(terms);
        if (task.budget < cost) return 0;
        task.budget -= uint128(cost); // no more than the budget
        task.reserved += uint128(cost);
        return uint128(cost);
    }

    /// @inheritdoc ITaskRegistry
    function free(uint256 taskId, uint128 amount) external {
        bool isKnown = msg.sender == address(COMMITMENTS) || msg.sender == ATTESTATIONS || msg.sender == POLICIES;
        require(isKnown, NotAuthorised(msg.sender));
        Task storage task = _tasks[taskId];
        (task.budget, task.reserved) = (task.budget + amount, task.reserved - amount);
    }

    /// @inheritdoc ITaskRegistry
    function pay(uint256 taskId, address to, uint128 amount, uint128 released) external {
        require(msg.sender == PAYOUTS, NotAuthorised(msg.sender));
        Task storage task = _tasks[taskId];
        // `amount` never exceeds `released`, and that never the reservation: the subtractions check it.
        (task.reserved, task.budget) = (task.reserved - released, task.budget + (released - amount));
        if (amount > 0) TOKEN.safeTransfer(to, amount);
    }

    /*//////////////////////////////////////////////////////////////
                                  VIEWS
    //////////////////////////////////////////////////////////////*/

    /// @inheritdoc ITaskRegistry
    function paramsOf(uint256 taskId) external view returns (TaskParams memory) {
        return _known(taskId).terms.paramsAt();
    }

    /// @inheritdoc ITaskRegistry
    function termsOf(uint256 taskId) external view returns (address) {
        return _known(taskId).terms;
    }

    /// @inheritdoc ITaskRegistry
    function originOf(uint256 taskId) external view returns (address initiator, bytes32 policyRoot, bytes32 termsHash) {
        return _known(taskId).terms.originAt();
    }

    /// @inheritdoc ITaskRegistry
    function moneyOf(uint256 taskId) external view returns (uint128 budget, uint128 reserved, bool isClosed) {
        Task storage task = _tasks[taskId];
        return (task.budget, task.reserved, task.isClosed);
    }

    function _known(uint256 taskId) private view returns (Task storage task) {
        task = _tasks[taskId];
        require(task.terms != address(0), UnknownTask(taskId));
    }

    function _checkParams(TaskParams calldata params) private view {
        _checkKinds(params);
        require(params.maxSubmissionUnits > 0, BadParams("maxSubmissionUnits"));
        require(params.maxSubmissionsEach > 0, BadParams("maxSubmissionsEach"));
        require(params.maxEpochUnits >= params.maxSubmissionUnits, BadParams("maxEpochUnits"));
        require(params.trainerBond > 0 && params.trainerBond >= params.fraudSlash, BadParams("trainerBond"));
        require(params.verifierBond > 0, BadParams("verifierBond"));
        require(params.quorumBps > Economics.BPS / 2 && params.quorumBps <= Economics.BPS, BadParams("quorumBps"));
        require(params.absenceSlashBps <= Economics.BPS, BadParams("absenceSlashBps"));
        require(params.verdictSlashBps <= Economics.BPS, BadParams("verdictSlashBps"));
        require(params.protocolVersion > 0, BadParams("protocolVersion"));
        require(params.commitWindow >= MIN_WINDOW, BadParams("commitWindow"));
        require(params.attestWindow >= MIN_WINDOW, BadParams("attestWindow"));
        require(params.revealWindow >= MIN_WINDOW, BadParams("revealWindow"));
        if (params.challengeWindow > 0) {
            // Plants are opened in its first half, so that anyone who they blame can object in the second.
            require(params.challengeWindow / 2 >= MIN_WINDOW, BadParams("challengeWindow"));
            // What a challenger puts down has to fit its type, or nobody could challenge.
            bool isBond = params.challengeBond > 0 && params.challengeBond <= type(uint120).max;
            require(isBond, BadParams("challengeBond"));
            require(params.jurorFee <= type(uint120).max, BadParams("jurorFee"));
            // Or nobody would: who is blamed and objects, in vain or not, loses no more than by silence.
            uint256 verdictSlash = Economics.shareUp(params.verifierBond, params.verdictSlashBps);
            uint256 putDown = params.challengeBond + uint256(Economics.PANEL_SEATS) * params.jurorFee;
            require(putDown <= verdictSlash, BadParams("challengeBond"));
            // A panel judges as verifiers do, and needs no less time.
            bool isLong = params.appealWindow >= params.attestWindow && params.appealWindow >= params.revealWindow;
            require(isLong, BadParams("appealWindow"));
        }
        // Twice the attest window: so long may a seal wait for verifiers. Twice the reveal window: reports, and
        // challenges. Three times the appeal window: to draw a panel, for it to commit, and to reveal.
        uint256 windows = uint256(params.commitWindow) + params.challengeWindow + 3 * uint256(params.appealWindow);
        windows += 2 * (uint256(params.attestWindow) + params.revealWindow);
        uint256 unbonding = STAKING.UNBONDING_PERIOD();
        require(windows < unbonding, WindowsTooLong(windows, unbonding));
    }

    function _requireFunds(address terms, uint256 budget) private view {
        uint256 needed = _epochCost(terms.submissionTermsAt());
        require(budget >= needed, BudgetTooSmall(budget, needed));
    }

    function _checkKinds(TaskParams calldata params) private pure {
        require(params.samplingBps > 0 && params.samplingBps <= Economics.BPS, BadParams("samplingBps"));
        bool any;
        for (uint256 kind; kind < params.kinds.length; ++kind) {
            KindTerms calldata terms = params.kinds[kind];
            if (terms.unitPrice == 0) continue;
            any = true;
            require(terms.detectionBps > 0 && terms.detectionBps <= Economics.BPS, BadParams("detectionBps"));
            uint256 gain = uint256(params.maxSubmissionUnits) * terms.unitPrice;
            uint256 needed = Economics.neededSlash(gain, params.samplingBps, terms.detectionBps);
            require(params.fraudSlash >= needed, CheatingPays(SubmissionKind(kind), params.fraudSlash, needed));
        }
        require(any, BadParams("unitPrice"));
    }

    /// The most that one epoch can cost.
    function _epochCost(SubmissionTerms memory terms) private pure returns (uint256) {
        uint256 price;
        for (uint256 kind; kind < terms.unitPrices.length; ++kind) {
            if (terms.unitPrices[kind] > price) price = terms.unitPrices[kind];
        }
        return terms.maxEpochUnits * price + terms.verifierFee;
    }
}
