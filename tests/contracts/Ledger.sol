// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ChallengeState, DisputePhase} from "../../contracts/interfaces/IAppeals.sol";
import {EpochPhase} from "../../contracts/interfaces/IAttestations.sol";
import {Submission} from "../../contracts/interfaces/ICommitments.sol";
import {PlantState} from "../../contracts/interfaces/IPlants.sol";
import {PolicyState} from "../../contracts/interfaces/IPolicies.sol";
import {Role} from "../../contracts/interfaces/IStaking.sol";
import {TaskParams} from "../../contracts/interfaces/ITaskRegistry.sol";
import {Network} from "./Network.sol";

/// Who takes part in a campaign, and what an outsider sees of it: from the token's balances, from what views tell, and
/// from what it has seen before. Whatever must not have happened is written down in `violations`.
abstract contract Ledger is Network {
    /// What has been seen of an epoch and may not change any more.
    struct Seen {
        bool isClosed;
        bytes32 runningHash; // when it closed
        uint16 submissions; // then
        bytes32 seed;
        bytes32 weights; // digest, when it was sealed
        bytes32 scores; // digest, once final or void
        uint32 version; // of the policy that came of it
    }

    struct PlacedChallenge {
        uint32 id;
        uint256 taskId;
        uint64 epoch;
        uint16 index;
        uint8 score;
        address challenger;
        bytes32 salt;
    }

    struct PlacedPlant {
        uint256 taskId;
        address trainer;
        bytes32 root;
        bytes32 salt;
        bytes32 commitment;
        address planter;
        bool isForeign; // of somebody else's submission
    }

    error Left(uint256 amount);

    uint256 public constant TASKS = 2;
    uint256 public constant BONDERS = 8; // of the people: operators and jurors
    uint128 internal constant PREPAID = 15 * UNIT / 10; // for the judging of one dispute
    uint128 internal constant SLASH_OF_UNIT = 5 * UNIT;

    /// Trainers and verifiers at once; jurors who are nothing else; everybody who may have tokens.
    address[5] public operators;
    address[3] public jurors;
    address[] public people;
    address internal immutable challenger = vm.addr(40);
    address internal immutable planter = vm.addr(41);
    address public immutable stranger = vm.addr(42);

    mapping(uint256 taskId => uint256) public inflow;
    mapping(uint256 taskId => uint256) public outflow;
    /// Tokens put into bonds; taken from them by slashes.
    uint256 public bondedEver;
    uint256 public withdrawnEver;
    uint256 public slashedEver;
    bytes32[] public violations;
    bytes32[] public kinds;
    mapping(bytes32 kind => uint256) public attempts;
    mapping(bytes32 kind => uint256) public successes;

    uint256 internal _current; // the task of the step under way
    bytes32 internal _dice;
    bytes internal _returned; // by the last call
    mapping(uint256 taskId => mapping(uint64 epoch => Submission[])) internal _submissions;
    mapping(bytes32 submission => uint256) internal _endings;
    mapping(bytes32 which => uint256) internal _times;
    mapping(uint256 taskId => mapping(address trainer => uint256)) internal _unitsInFlight;
    mapping(address => uint256) internal _numberOf; // in `people`
    mapping(uint256 taskId => mapping(uint64 epoch => mapping(address verifier => bytes))) internal _reports;
    mapping(uint256 taskId => mapping(uint64 epoch => mapping(address verifier => bytes32))) internal _salts;
    mapping(bytes32 vote => uint256) internal _votes; // 1 + score, and 512 where beyond
    PlacedChallenge[] internal _challenges;
    PlacedPlant[] internal _plants;
    mapping(bytes32 root => bool) internal _isPlanted;
    mapping(uint256 taskId => mapping(uint64 epoch => mapping(uint16 index => bool))) internal _openedInTime; // plants

    mapping(uint256 taskId => mapping(uint64 epoch => Seen)) private _seen;
    mapping(uint256 taskId => uint64) private _nextPolicy;
    mapping(uint256 taskId => uint32) private _version;
    uint256 private _burnt;
    uint256 private _staked;
    uint256[3] private _registryHeld; // all, then by task

    /// Attributes what moves to the task of the step, and looks at what may not have changed.
    modifier step(uint256 seed) {
        _begin(seed);
        _;
        _end();
    }

    // Calls.

    /// Calls as somebody, and counts whether it went through.
    function _try(bytes32 kind, address caller, address target, bytes memory data) internal returns (bool success) {
        if (attempts[kind]++ == 0) kinds.push(kind);
        vm.prank(caller);
        (success, _returned) = target.call(data);
        if (success) ++successes[kind];
    }

    /// As `_try`, of what nobody may do.
    function _tryForbidden(bytes32 kind, address caller, address target, bytes memory data) internal {
        if (_try(kind, caller, target, data)) violations.push(kind);
    }

    function _must(bool holds, bytes32 what) internal {
        if (!holds) violations.push(what);
    }

    /// Something that may happen once.
    function _once(bytes32 kind, bytes memory which) internal {
        _must(++_times[keccak256(abi.encode(kind, which))] == 1, kind);
    }

    function _roll(uint256 sides) internal returns (uint256) {
        _dice = keccak256(abi.encode(_dice));
        return uint256(_dice) % sides;
    }

    function _chance(uint256 oneIn) internal returns (bool) {
        return _roll(oneIn) == 0;
    }

    function _begin(uint256 seed) internal {
        _dice = keccak256(abi.encode(seed));
        _current = 1 + _roll(TASKS);
        _registryHeld[0] = token.balanceOf(address(registry));
        _staked = token.balanceOf(address(staking));
    }

    function _end() internal {
        uint256 held = token.balanceOf(address(registry));
        if (held > _registryHeld[0]) inflow[_current] += held - _registryHeld[0];
        else outflow[_current] += _registryHeld[0] - held;
        if (_current <= TASKS) _observe(_current);
        uint256 burnt = token.balanceOf(address(0xdEaD));
        _must(burnt >= _burnt, "burnt tokens came back");
        _burnt = burnt;
    }

    // What may not change.

    /// Looks at all that is final, decided or fixed about a task.
    function _observe(uint256 taskId) internal {
        (uint64 open,, bool isClosed, uint16 submissions) = commitments.openEpochOf(taskId);
        _observeClosing(taskId, open, isClosed, submissions);
        for (uint64 epoch = open > 4 ? open - 4 : 0; epoch < open; ++epoch) {
            _observeSealed(taskId, epoch);
        }
        _observePolicies(taskId, open);
    }

    function _observeClosing(uint256 taskId, uint64 epoch, bool isClosed, uint16 submissions) private {
        Seen storage seen = _seen[taskId][epoch];
        bytes32 hash = commitments.runningHashOf(taskId);
        if (seen.isClosed) {
            _must(isClosed && submissions == seen.submissions && hash == seen.runningHash, "closed is undone");
        } else if (isClosed) {
            (seen.isClosed, seen.submissions, seen.runningHash) = (true, submissions, hash);
        }
        _must(attestations.seedOf(taskId, epoch) == 0, "seed of an open epoch");
    }

    function _observeSealed(uint256 taskId, uint64 epoch) private {
        Seen storage seen = _seen[taskId][epoch];
        bytes32 seed = attestations.seedOf(taskId, epoch);
        bytes32 weights = _weightsDigest(taskId, epoch);
        if (seen.seed == 0) {
            _must(seed != 0 && seen.isClosed, "sealed before it was closed");
            (seen.seed, seen.weights) = (seed, weights);
        }
        _must(seed == seen.seed, "seed changed");
        _must(weights == seen.weights, "weights of a sealed epoch moved");
        EpochPhase phase = attestations.phaseOf(taskId, epoch);
        if (seen.scores != 0) {
            _must(_scoresDigest(taskId, epoch) == seen.scores, "final scores changed");
        } else if (phase == EpochPhase.Final || phase == EpochPhase.Void) {
            seen.scores = _scoresDigest(taskId, epoch);
        }
    }

    function _observePolicies(uint256 taskId, uint64 open) private {
        (uint32 version,, uint64 next) = policies.policyOf(taskId);
        uint64 former = _nextPolicy[taskId];
        _must(next >= former && next <= open, "policies went back");
        uint32 published;
        for (uint64 epoch = former; epoch < next; ++epoch) {
            PolicyState state = policies.stateOf(taskId, epoch);
            _must(state != PolicyState.Pending, "policy passed over");
            if (state == PolicyState.Published) ++published;
        }
        _must(version == _version[taskId] + published, "policy version out of order");
        _must(policies.stateOf(taskId, next) == PolicyState.Pending, "policy ahead of its turn");
        (_nextPolicy[taskId], _version[taskId]) = (next, version);
    }

    function _weightsDigest(uint256 taskId, uint64 epoch) private view returns (bytes32 digest) {
        for (uint256 i; i < BONDERS; ++i) {
            digest = keccak256(abi.encode(digest, verifiers.weightAt(taskId, epoch, people[i])));
        }
    }

    function _scoresDigest(uint256 taskId, uint64 epoch) private view returns (bytes32) {
        uint256[] memory places = new uint256[](_submissionsOf(taskId, epoch));
        for (uint256 i; i < places.length; ++i) {
            places[i] = uint256(epoch) << 16 | i;
        }
        return keccak256(attestations.finalScoresOf(taskId, places));
    }

    // Views of an outsider.

    function countViolations() external view returns (uint256) {
        return violations.length;
    }

    function countKinds() external view returns (uint256) {
        return kinds.length;
    }

    function countTasks() external view returns (uint256) {
        return registry.taskCount();
    }

    function reservedOf(uint256 taskId) external view returns (uint256 reserved) {
        (, reserved) = _money(taskId);
    }

    /// Bonds and unbonding of all.
    function owedByStaking() external view returns (uint256 owed) {
        for (uint256 i; i < BONDERS; ++i) {
            owed += _stake(people[i], Role.Trainer) + _stake(people[i], Role.Verifier);
        }
    }

    function owedByRegistry(uint256 taskId) external view returns (uint256) {
        (uint256 budget, uint256 reserved) = _money(taskId);
        return budget + reserved;
    }

    /// What is reserved for submissions that can still be claimed, slashed or opened as plants.
    function owedForSubmissions(uint256 taskId) external view returns (uint256 owed) {
        TaskParams memory params = registry.paramsOf(taskId);
        uint64 open = _openEpoch(taskId);
        for (uint64 epoch; epoch <= open; ++epoch) {
            if (epoch < open && attestations.phaseOf(taskId, epoch) == EpochPhase.Void) continue;
            Submission[] storage submissions = _submissions[taskId][epoch];
            for (uint256 i; i < submissions.length; ++i) {
                if (_endings[_nameOf(taskId, epoch, submissions[i])] > 0) continue;
                owed += submissions[i].units * params.kinds[uint256(submissions[i].kind)].unitPrice;
            }
        }
    }

    /// Deposits of plants that are not opened and not forfeited.
    function owedByPlants() external view returns (uint256 owed) {
        for (uint256 i; i < _plants.length; ++i) {
            (PlantState state,,) = plants.plantOf(_plants[i].taskId, _plants[i].commitment);
            if (state == PlantState.Committed) owed += plants.depositOf(_plants[i].taskId);
        }
    }

    /// What undecided challenges have put down.
    function heldForChallenges() external view returns (uint256 held) {
        for (uint256 i; i < _challenges.length; ++i) {
            PlacedChallenge storage placed = _challenges[i];
            (, ChallengeState state, uint16 index,) = appeals.challengeOf(placed.taskId, placed.epoch, placed.id);
            bool isDecided = appeals.phaseOf(placed.taskId, placed.epoch, index) >= DisputePhase.Upheld;
            bool isPending = state == ChallengeState.Committed || state == ChallengeState.Revealed && !isDecided;
            if (isPending) held += UNIT + PREPAID;
        }
    }

    /// Reverts, with what Appeals would hold if everybody claimed all that it can.
    function claimAppeals() external {
        _claimAppeals();
        revert Left(token.balanceOf(address(appeals)));
    }

    /// Contracts that hold no money.
    function heldByOthers() external view returns (uint256 held) {
        address[6] memory others = [
            address(commitments),
            address(verifiers),
            address(attestations),
            address(policies),
            address(panels),
            address(payouts)
        ];
        for (uint256 i; i < 6; ++i) {
            held += token.balanceOf(others[i]);
        }
    }

    function heldBy(uint256 which) external view returns (uint256) {
        address[4] memory holders = [address(staking), address(registry), address(appeals), address(plants)];
        return token.balanceOf(holders[which]);
    }

    /// Whether what is locked of everybody's bonds is what answers for something, and is there.
    function areLocksExplained() external view returns (bool) {
        uint256[BONDERS] memory seats = _seatsOfAll();
        for (uint256 i; i < BONDERS; ++i) {
            (uint256 bonded, uint256 locked,,) = staking.bondOf(people[i], Role.Trainer);
            if (locked != _trainerCollateral(people[i]) || locked > bonded) return false;
            (bonded, locked,,) = staking.bondOf(people[i], Role.Verifier);
            uint256 answers = seats[i] * SEAT_BOND;
            for (uint256 taskId = 1; taskId <= TASKS; ++taskId) {
                (uint256 collateral,) = verifiers.collateralOf(taskId, people[i]);
                answers += collateral;
            }
            if (locked != answers || locked > bonded) return false;
        }
        return true;
    }

    /// For each task the larger of what enlistment and the units of submissions in flight need, which nobody has ended.
    function _trainerCollateral(address who) private view returns (uint256 needed) {
        for (uint256 taskId = 1; taskId <= TASKS; ++taskId) {
            uint256 ofTask = _unitsInFlight[taskId][who] * SLASH_OF_UNIT;
            bool isEnlisted = commitments.isEnlisted(taskId, who);
            needed += isEnlisted && ofTask < 60 * UNIT ? 60 * UNIT : ofTask;
        }
    }

    function _seatsOfAll() private view returns (uint256[BONDERS] memory seats) {
        bytes32[2] memory classes = [CLASS, _smallClass()];
        for (uint256 k; k < 2; ++k) {
            uint32 size = panels.poolSize(classes[k]);
            for (uint32 seat; seat < size; ++seat) {
                (address holder,) = panels.seatOf(classes[k], seat);
                ++seats[_numberOf[holder]];
            }
        }
    }

    /// Whether the counts of an epoch are those of the people who judge it.
    function isTallyRight(uint256 taskId, uint64 epoch) external view returns (bool) {
        (,, uint16 voters, uint16 committed, uint16 revealed, uint128 revealedWeight, uint128 weight) =
            attestations.tallyOf(taskId, epoch);
        if (revealedWeight > weight || revealed > committed) return false;
        (uint256[2] memory sums, uint256[2] memory counts) = _count(taskId, epoch);
        // Nobody is called upon in an epoch that was void at once.
        bool isIdle = voters == 0 && committed == 0 && attestations.phaseOf(taskId, epoch) == EpochPhase.Void;
        bool isCounted = isIdle || voters == counts[0] && committed <= voters;
        return isCounted && sums[0] == weight && sums[1] == revealedWeight && counts[1] == revealed;
    }

    /// Weight and number of those who judge an epoch; and of those who revealed in it.
    function _count(uint256 taskId, uint64 epoch)
        private
        view
        returns (uint256[2] memory sums, uint256[2] memory counts)
    {
        for (uint256 i; i < BONDERS; ++i) {
            (bytes31 hash, uint128 weight,) = attestations.attestationOf(taskId, epoch, people[i]);
            sums[0] += weight;
            if (weight > 0) ++counts[0];
            if (hash == 0) continue;
            sums[1] += weight;
            ++counts[1];
        }
    }

    /// Whether those who judge the open epoch, and the next, add up to what the electorate says.
    function isElectorateRight(uint256 taskId) external view returns (bool) {
        (uint128 weight, uint16 count) = verifiers.electorateOf(taskId);
        uint64 open = _openEpoch(taskId);
        uint256 sum;
        uint256 members;
        for (uint256 i; i < BONDERS; ++i) {
            uint256 of_ = verifiers.weightAt(taskId, open, people[i]);
            sum += of_;
            if (of_ > 0) ++members;
            (uint256 collateral,) = verifiers.collateralOf(taskId, people[i]);
            bool isEnlisted = verifiers.isEnlisted(taskId, people[i]);
            // What an enlisted verifier will weigh is what it has at stake.
            if (isEnlisted && verifiers.weightAt(taskId, open + 1, people[i]) != collateral) return false;
        }
        return sum == weight && members == count;
    }

    function openEpochOf(uint256 taskId) external view returns (uint64) {
        return _openEpoch(taskId);
    }

    // Internals.

    function _claimAppeals() internal {
        for (uint256 i; i < _challenges.length; ++i) {
            PlacedChallenge storage placed = _challenges[i];
            uint256 told = appeals.owedTo(placed.taskId, placed.epoch, placed.id);
            if (told == 0 && !_dares()) continue;
            bytes memory data = abi.encodeCall(appeals.claimChallenge, (placed.taskId, placed.epoch, placed.id));
            if (_try("claim: challenge", outsider, address(appeals), data)) {
                _must(abi.decode(_returned, (uint256)) == told, "paid otherwise than was told");
            }
            (,, uint16 index,) = appeals.challengeOf(placed.taskId, placed.epoch, placed.id);
            if (appeals.phaseOf(placed.taskId, placed.epoch, index) < DisputePhase.Upheld) continue;
            for (uint256 k; k < BONDERS; ++k) {
                if (appeals.seatsOf(placed.taskId, placed.epoch, index, people[k]) == 0) continue;
                data = abi.encodeCall(appeals.claimVote, (placed.taskId, placed.epoch, index, people[k]));
                _try("claim: vote", outsider, address(appeals), data);
            }
        }
    }

    /// The operator's own key, or one that it named.
    function _keyOf(address who) internal returns (address) {
        address worker = staking.workerOf(who);
        return worker == address(0) || _chance(2) ? who : worker;
    }

    /// Whether somebody tries nevertheless what it can see will be refused.
    function _dares() internal returns (bool) {
        return _chance(32);
    }

    function _random() internal returns (uint256) {
        return _roll(type(uint256).max);
    }

    /// A submission is paid, slashed, or a plant: one of these, once.
    function _ended(uint64 epoch, Submission memory submission) internal {
        _must(++_endings[_nameOf(_current, epoch, submission)] == 1, "a submission ended twice");
        _unitsInFlight[_current][submission.trainer] -= submission.units;
    }

    /// As what nobody needs to count.
    function _call(address caller, address target, bytes memory data) internal returns (bool success) {
        vm.prank(caller);
        (success,) = target.call(data);
    }

    function _smallClass() internal pure returns (bytes32) {
        return keccak256("small class");
    }

    function _nameOf(uint256 taskId, uint64 epoch, Submission memory submission) internal pure returns (bytes32) {
        return keccak256(abi.encode(taskId, epoch, submission.index));
    }

    function _stake(address who, Role role) internal view returns (uint256) {
        (uint128 bonded,, uint128 unbonding,) = staking.bondOf(who, role);
        return uint256(bonded) + unbonding;
    }

    function _submissionsOf(uint256 taskId, uint64 epoch) internal view returns (uint16 submissions) {
        (submissions,,,) = commitments.epochOf(taskId, epoch);
    }
}
