// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";

import {AssayToken} from "../../contracts/AssayToken.sol";
import {ChallengeState, IAppeals} from "../../contracts/interfaces/IAppeals.sol";
import {ICommitments} from "../../contracts/interfaces/ICommitments.sol";
import {IPayouts} from "../../contracts/interfaces/IPayouts.sol";
import {IPlants, PlantState} from "../../contracts/interfaces/IPlants.sol";
import {IStaking, Role} from "../../contracts/interfaces/IStaking.sol";
import {ITaskRegistry, TaskParams} from "../../contracts/interfaces/ITaskRegistry.sol";
import {Tokens} from "../../contracts/libraries/Tokens.sol";
import {Intruder, TokenWithHooks} from "./Hooks.sol";
import {Network} from "./Network.sol";

/// An ERC-20 as some of the oldest are: nothing is returned.
contract TokenWithoutReturn {
    mapping(address holder => uint256) public balanceOf;
    mapping(address holder => mapping(address spender => uint256)) private _allowances;

    constructor(uint256 supply) {
        balanceOf[msg.sender] = supply;
    }

    function approve(address spender, uint256 amount) external {
        _allowances[msg.sender][spender] = amount;
    }

    function transfer(address to, uint256 amount) external {
        _move(msg.sender, to, amount);
    }

    function transferFrom(address from, address to, uint256 amount) external {
        _allowances[from][msg.sender] -= amount;
        _move(from, to, amount);
    }

    function _move(address from, address to, uint256 amount) private {
        balanceOf[from] -= amount;
        balanceOf[to] += amount;
    }
}

/// An ERC-20 that says false, rather than to revert, once it is told to.
contract TokenThatFails is AssayToken {
    bool public isFailing;

    constructor() AssayToken(msg.sender, 1e33) {}

    function fail(bool isFailing_) external {
        isFailing = isFailing_;
    }

    function transfer(address to, uint256 amount) public override returns (bool) {
        return !isFailing && super.transfer(to, amount);
    }

    function transferFrom(address from, address to, uint256 amount) public override returns (bool) {
        return !isFailing && super.transferFrom(from, to, amount);
    }
}

/// An ERC-20 that keeps one of a hundred for itself, once it is told to.
contract TokenWithFee is AssayToken {
    bool private _isGreedy;

    constructor() AssayToken(msg.sender, 1e33) {}

    function charge() external {
        _isGreedy = true;
    }

    function _update(address from, address to, uint256 value) internal override {
        super._update(from, to, value);
        if (_isGreedy && from != address(0) && to != address(0)) super._update(to, address(0xfee), value / 100);
    }
}

/// An ERC-20 that refuses some holders.
contract TokenWithBlacklist is AssayToken {
    mapping(address holder => bool) public isRefused;

    constructor() AssayToken(msg.sender, 1e33) {}

    function refuse(address holder) external {
        isRefused[holder] = true;
    }

    function _update(address from, address to, uint256 value) internal override {
        require(!isRefused[from] && !isRefused[to], "refused");
        super._update(from, to, value);
    }
}

contract TokenWithoutReturnTest is Network {
    function _newToken() internal override returns (AssayToken) {
        return AssayToken(address(new TokenWithoutReturn(1e33)));
    }

    function test_TokenWithoutReturn_ServesForAWholeEpoch() public {
        uint256 taskId = _sealedTask();
        _judge(taskId, 0, hex"64ff64");
        payouts.claim(_refs(_ref(taskId, 0, trainer, 0)));
        vm.assertEq(token.balanceOf(trainer), 10 * UNIT, "claimed");
        vm.prank(outsider);
        payouts.slashFraud(_ref(taskId, 0, secondTrainer, 1));
        vm.assertEq(token.balanceOf(outsider), 5 * UNIT, "reported");
        vm.assertEq(token.balanceOf(Tokens.BURNT), 45 * UNIT, "burnt");
        vm.startPrank(trainer);
        commitments.delist(taskId, trainer);
        staking.requestUnbond(Role.Trainer, 60 * UNIT);
        _wait(UNBONDING);
        staking.withdraw(Role.Trainer);
        vm.stopPrank();
        vm.assertEq(token.balanceOf(trainer), 70 * UNIT, "withdrawn");
    }

    function test_TokenWithoutReturn_ServesForChallengesAndPlants() public {
        uint256 taskId = _sealedTask();
        _attest(taskId, 0, hex"646464");
        _settle(taskId, 0, hex"646464");
        uint32 id = _commitChallenge(taskId, 0, 0, 0, outsider);
        _wait(200);
        appeals.expireChallenge(taskId, 0, id);
        vm.assertEq(token.balanceOf(Tokens.BURNT), 2.5 ether, "bond and judging are burnt");
        _fund(initiator, address(plants), 12 * UNIT);
        vm.prank(initiator);
        plants.commitPlant(taskId, keccak256(abi.encode(taskId, address(0), bytes32(0), SALT)));
        vm.assertEq(token.balanceOf(address(plants)), 12 * UNIT, "deposit");
        plants.refundPlant(taskId, address(0), bytes32(0), SALT);
        vm.assertEq(token.balanceOf(initiator), 12 * UNIT, "deposit is back");
    }

    /// It has no permit either: what was allowed before decides.
    function test_BondWithPermit_OfATokenWithoutPermits_UsesTheAllowance() public {
        _fund(trainer, address(staking), UNIT);
        vm.prank(trainer);
        staking.bondWithPermit(Role.Trainer, UNIT, 0, 0, 0, 0);
        vm.assertEq(_bonded(trainer, Role.Trainer), UNIT, "bonded");
    }
}

contract TokenThatFailsTest is Network {
    function _newToken() internal override returns (AssayToken) {
        return new TokenThatFails();
    }

    function test_TokenThatSaysFalse_NothingIsBooked() public {
        uint256 taskId = _sealedTask();
        _judge(taskId, 0, hex"64ff64");
        _fund(outsider, address(staking), UNIT);
        _fund(initiator, address(plants), 12 * UNIT);
        bytes memory failed = abi.encodeWithSelector(SafeERC20.SafeERC20FailedOperation.selector, address(token));
        TokenThatFails(address(token)).fail(true);
        vm.prank(outsider);
        vm.expectRevert(failed);
        staking.bond(Role.Trainer, UNIT);
        vm.assertEq(_bonded(outsider, Role.Trainer), 0, "not bonded");
        vm.prank(initiator);
        vm.expectRevert(failed);
        plants.commitPlant(taskId, SALT);
        vm.expectRevert(failed);
        payouts.claim(_refs(_ref(taskId, 0, trainer, 0)));
        vm.expectRevert(failed);
        payouts.slashFraud(_ref(taskId, 0, secondTrainer, 1));
        vm.assertEq(_bonded(secondTrainer, Role.Trainer), 60 * UNIT, "not slashed");
        TokenThatFails(address(token)).fail(false);
        payouts.claim(_refs(_ref(taskId, 0, trainer, 0)));
        payouts.slashFraud(_ref(taskId, 0, secondTrainer, 1));
        vm.assertEq(token.balanceOf(trainer), 10 * UNIT, "paid when it works again");
        vm.assertEq(_bonded(secondTrainer, Role.Trainer), 10 * UNIT, "slashed when it works again");
    }
}

contract TokenWithFeeTest is Network {
    function _newToken() internal override returns (AssayToken) {
        return new TokenWithFee();
    }

    /// Wherever money comes in, what comes is what is booked, or nothing is.
    function test_TokenWithFee_ComesInNowhere() public {
        uint256 taskId = _sealedTask();
        _attest(taskId, 0, hex"646464");
        _settle(taskId, 0, hex"646464");
        _fundAll(outsider);
        TokenWithFee(address(token)).charge();
        vm.startPrank(outsider);
        vm.expectRevert(abi.encodeWithSelector(Tokens.UnsupportedToken.selector, 100, 99));
        staking.bond(Role.Trainer, 100);
        vm.expectRevert(abi.encodeWithSelector(Tokens.UnsupportedToken.selector, 1000 * UNIT, 990 * UNIT));
        registry.openTask(_params(), 0, "", POLICY, 1000 * UNIT);
        vm.expectRevert(abi.encodeWithSelector(Tokens.UnsupportedToken.selector, 100, 99));
        registry.fundTask(taskId, 100);
        vm.expectRevert(abi.encodeWithSelector(Tokens.UnsupportedToken.selector, 12 * UNIT, 11.88 ether));
        plants.commitPlant(taskId, SALT);
        vm.expectRevert(abi.encodeWithSelector(Tokens.UnsupportedToken.selector, 2.5 ether, 2.475 ether));
        appeals.commitChallenge(taskId, 0, SALT);
        vm.stopPrank();
        vm.assertEq(registry.taskCount(), 1, "no other task");
    }

    function _fundAll(address who) private {
        _fund(who, address(staking), UNIT);
        _fund(who, address(registry), 2000 * UNIT);
        _fund(who, address(plants), 12 * UNIT);
        _fund(who, address(appeals), 3 * UNIT);
    }
}

contract TokenWithBlacklistTest is Network {
    function _newToken() internal override returns (AssayToken) {
        return new TokenWithBlacklist();
    }

    /// A trainer whom the token refuses is paid elsewhere, and keeps nobody's money reserved.
    function test_Claim_OfARefusedTrainer_GoesWhereItSays() public {
        uint256 taskId = _sealedTask();
        _judge(taskId, 0, hex"646464");
        TokenWithBlacklist(address(token)).refuse(trainer);
        vm.expectRevert("refused");
        payouts.claim(_refs(_ref(taskId, 0, trainer, 0)));
        vm.prank(trainer);
        payouts.claimTo(_refs(_ref(taskId, 0, trainer, 0)), outsider);
        vm.assertEq(token.balanceOf(outsider), 10 * UNIT, "paid");
        (, uint32 inFlight) = commitments.collateralOf(taskId, trainer);
        vm.assertEq(inFlight, 0, "unlocked");
    }

    function test_ClaimTo_BySomebodyElse_Reverts() public {
        uint256 taskId = _sealedTask();
        _judge(taskId, 0, hex"646464");
        address worker = _nameWorker(trainer, 50);
        vm.prank(worker);
        vm.expectRevert(abi.encodeWithSelector(IPayouts.NotTheTrainer.selector, worker, trainer));
        payouts.claimTo(_refs(_ref(taskId, 0, trainer, 0)), worker);
    }

    /// Who is refused cannot be slashed any less, nor keep others from slashing.
    function test_Slash_OfARefusedTrainer_IsTaken() public {
        uint256 taskId = _sealedTask();
        _judge(taskId, 0, hex"ff6464");
        TokenWithBlacklist(address(token)).refuse(trainer);
        TokenWithBlacklist(address(token)).refuse(initiator);
        vm.prank(initiator);
        vm.expectRevert("refused");
        payouts.slashFraud(_ref(taskId, 0, trainer, 0));
        vm.prank(outsider);
        payouts.slashFraud(_ref(taskId, 0, trainer, 0));
        vm.assertEq(_bonded(trainer, Role.Trainer), 10 * UNIT, "slashed");
        vm.assertEq(token.balanceOf(outsider), 5 * UNIT, "reported");
    }

    /// An initiator whom the token refuses owes its trainers no less.
    function test_RefusedInitiator_TrainersArePaid() public {
        uint256 taskId = _sealedTask();
        TokenWithBlacklist(address(token)).refuse(initiator);
        vm.prank(initiator);
        registry.closeTask(taskId);
        vm.expectRevert("refused");
        registry.refundTask(taskId);
        _judge(taskId, 0, hex"646464");
        payouts.claim(_refs(_ref(taskId, 0, trainer, 0)));
        vm.assertEq(token.balanceOf(trainer), 10 * UNIT, "paid");
    }
}

contract TokenWithHooksTest is Network {
    Intruder private _intruder;
    bytes32 private _expected;

    function _newToken() internal override returns (AssayToken) {
        return new TokenWithHooks();
    }

    function setUp() public override {
        super.setUp();
        _intruder = new Intruder();
    }

    function test_Claim_Reentered_PaysOnce() public {
        uint256 taskId = _openTask();
        _enlistTrainer(taskId, address(_intruder));
        _staff(taskId);
        _enlistVerifier(taskId, outsider, 100 * UNIT); // four submissions need more weight
        _commit(taskId, address(_intruder));
        _commitAllAndSeal(taskId);
        _commitReport(taskId, 0, outsider, hex"64646464");
        _attest(taskId, 0, hex"64646464");
        _reveal(taskId, 0, outsider, hex"64646464");
        _settle(taskId, 0, hex"64646464");
        _finalise(taskId, 0);
        bytes memory data = abi.encodeCall(payouts.claim, (_refs(_ref(taskId, 0, address(_intruder), 0))));
        _intrude(address(payouts), data, abi.encodeWithSelector(ICommitments.WrongSubmission.selector, taskId, 0, 0));
        payouts.claim(_refs(_ref(taskId, 0, address(_intruder), 0)));
        _assertRefused();
        vm.assertEq(token.balanceOf(address(_intruder)), 10 * UNIT, "once");
    }

    function test_Withdraw_Reentered_PaysOnce() public {
        _bond(address(_intruder), Role.Trainer, UNIT);
        _bond(trainer, Role.Trainer, UNIT);
        vm.prank(address(_intruder));
        staking.requestUnbond(Role.Trainer, UNIT);
        _wait(UNBONDING);
        bytes memory data = abi.encodeCall(staking.withdraw, (Role.Trainer));
        _intrude(address(staking), data, abi.encodeWithSelector(IStaking.NothingToWithdraw.selector, _intruder));
        vm.prank(address(_intruder));
        staking.withdraw(Role.Trainer);
        _assertRefused();
        vm.assertEq(token.balanceOf(address(_intruder)), UNIT, "once");
    }

    function test_SlashFraud_ReenteredByTheReporter_PaysOnce() public {
        uint256 taskId = _sealedTask();
        _judge(taskId, 0, hex"ff6464");
        bytes memory data = abi.encodeCall(payouts.slashFraud, (_ref(taskId, 0, trainer, 0)));
        _intrude(address(payouts), data, abi.encodeWithSelector(ICommitments.WrongSubmission.selector, taskId, 0, 0));
        vm.assertTrue(_intruder.act(address(payouts), data), "slashed");
        _assertRefused();
        vm.assertEq(token.balanceOf(address(_intruder)), 5 * UNIT, "once");
    }

    /// While a slash pays its reporter, nothing of the slashed bond can be moved: it is gone already.
    function test_SlashFraud_ReenteredByTheTrainer_LeavesItNoMore() public {
        uint256 taskId = _openTask();
        _enlistTrainer(taskId, address(_intruder));
        _staff(taskId);
        vm.prank(thirdTrainer);
        commitments.delist(taskId, thirdTrainer);
        _commit(taskId, address(_intruder));
        _commit(taskId, trainer);
        _commit(taskId, secondTrainer);
        attestations.sealEpoch(taskId);
        _judge(taskId, 0, hex"ff6464");
        bytes memory data = abi.encodeCall(staking.requestUnbond, (Role.Trainer, 60 * UNIT));
        bytes memory refused =
            abi.encodeWithSelector(IStaking.InsufficientBond.selector, _intruder, 10 * UNIT, 60 * UNIT);
        _intrude(address(staking), data, refused);
        bytes memory report = abi.encodeCall(payouts.slashFraud, (_ref(taskId, 0, address(_intruder), 0)));
        vm.assertTrue(_intruder.act(address(payouts), report), "it may report itself");
        _assertRefused();
        vm.assertEq(_bonded(address(_intruder), Role.Trainer), 10 * UNIT, "slashed");
    }

    function test_RefundTask_Reentered_PaysOnce() public {
        uint256 taskId = _openAsIntruder();
        vm.prank(address(_intruder));
        registry.closeTask(taskId);
        _openTask(); // somebody else's money is there to be taken
        bytes memory data = abi.encodeCall(registry.refundTask, (taskId));
        _intrude(address(registry), data, abi.encodeWithSelector(ITaskRegistry.NothingToRefund.selector, taskId));
        registry.refundTask(taskId);
        _assertRefused();
        vm.assertEq(token.balanceOf(address(_intruder)), 897 * UNIT, "once");
    }

    /// Before its budget has come in, somebody refunds it to itself, out of another's: the whole is refused.
    function test_OpenTask_Reentered_PaysNobodyOutOfTheBudgetOfAnother() public {
        _openTask();
        require(token.transfer(address(_intruder), 1000 * UNIT));
        vm.prank(address(_intruder));
        token.approve(address(registry), type(uint256).max);
        bytes memory close = abi.encodeCall(registry.closeTask, (2));
        bytes memory refund = abi.encodeCall(registry.refundTask, (2));
        _intruder.plan(address(_intruder), abi.encodeCall(_intruder.both, (address(registry), close, refund)));
        vm.prank(address(_intruder));
        vm.expectRevert(abi.encodeWithSelector(Tokens.UnsupportedToken.selector, 1000 * UNIT, 103 * UNIT));
        registry.openTask(_params(), keccak256("spec"), "", POLICY, 1000 * UNIT);
        vm.assertEq(token.balanceOf(address(registry)), 1000 * UNIT, "all that is another's");
    }

    function test_ClaimChallenge_Reentered_PaysOnce() public {
        uint256 taskId = _sealedTask();
        _attest(taskId, 0, hex"646464");
        _settle(taskId, 0, hex"646464");
        uint32 id = _commitChallenge(taskId, 0, 0, 0, address(_intruder));
        _commitChallenge(taskId, 0, 1, 0, outsider); // somebody else's money is there to be taken
        _wait(100);
        appeals.revealChallenge(taskId, 0, id, 0, 0, SALT);
        _wait(200);
        appeals.decide(taskId, 0, 0); // nobody has drawn a panel
        bytes memory data = abi.encodeCall(appeals.claimChallenge, (taskId, 0, id));
        bytes memory refused = abi.encodeWithSelector(IAppeals.NothingToPay.selector, taskId, 0, 0, _intruder);
        _intrude(address(appeals), data, refused);
        appeals.claimChallenge(taskId, 0, id);
        _assertRefused();
        vm.assertEq(token.balanceOf(address(_intruder)), 2 ether, "once");
    }

    /// While it is given one reward, a planter has another verifier slashed: both together are capped, and no third is
    /// spared.
    function test_SlashPaidPlant_Reentered_KeepsTheCap() public {
        (uint256 taskId, address third) = _paidByThree();
        bytes memory again = abi.encodeCall(plants.slashPaidPlant, (taskId, 0, 0, secondVerifier, hex"646464"));
        _intruder.plan(address(plants), again);
        plants.slashPaidPlant(taskId, 0, 0, verifier, hex"646464");
        vm.assertTrue(_intruder.hasSucceeded(), "slashed as well");
        vm.assertEq(token.balanceOf(address(_intruder)), 22 * UNIT, "its deposit, and ten bonds");
        plants.slashPaidPlant(taskId, 0, 0, third, hex"646464");
        vm.assertEq(_bonded(third, Role.Verifier), 50 * UNIT, "half of its weight");
        vm.assertEq(token.balanceOf(address(_intruder)), 22 * UNIT, "and no more");
    }

    /// A plant of the intruder's that three verifiers paid, and others, who are a quorum, found.
    function _paidByThree() private returns (uint256 taskId, address third) {
        TaskParams memory params = _params();
        params.samplingBps = 10_000;
        taskId = _staff(_openTask(params, 1000 * UNIT));
        address heavy = vm.addr(900);
        third = vm.addr(901);
        _enlistVerifier(taskId, heavy, 700 * UNIT);
        _enlistVerifier(taskId, third, 100 * UNIT);
        _fund(address(_intruder), address(plants), 12 * UNIT);
        vm.prank(address(_intruder));
        plants.commitPlant(taskId, keccak256(abi.encode(taskId, trainer, ROOT, SALT)));
        _commitAllAndSeal(taskId);
        address[5] memory all = [verifier, secondVerifier, third, thirdVerifier, heavy];
        bytes memory found = hex"ff6464";
        for (uint256 i; i < 5; ++i) {
            _commitReport(taskId, 0, all[i], i < 3 ? bytes(hex"646464") : found);
        }
        for (uint256 i; i < 5; ++i) {
            _reveal(taskId, 0, all[i], i < 3 ? bytes(hex"646464") : found);
        }
        _settle(taskId, 0, _sorted(found, hex"646464"));
        vm.prank(trainer);
        plants.openPlant(taskId, 0, _submission(trainer, 0), SALT);
        _finalise(taskId, 0);
    }

    function test_RefundPlant_Reentered_PaysOnce() public {
        uint256 taskId = _staffedTask();
        bytes32 commitment = keccak256(abi.encode(taskId, address(0), bytes32(0), SALT));
        _fund(address(_intruder), address(plants), 12 * UNIT);
        vm.prank(address(_intruder));
        plants.commitPlant(taskId, commitment);
        _fund(outsider, address(plants), 12 * UNIT);
        vm.prank(outsider);
        plants.commitPlant(taskId, keccak256("another"));
        _commitAllAndSeal(taskId);
        _judge(taskId, 0, hex"646464");
        bytes memory data = abi.encodeCall(plants.refundPlant, (taskId, address(0), bytes32(0), SALT));
        bytes memory refused =
            abi.encodeWithSelector(IPlants.WrongPlant.selector, taskId, commitment, PlantState.Opened);
        _intrude(address(plants), data, refused);
        plants.refundPlant(taskId, address(0), bytes32(0), SALT);
        _assertRefused();
        vm.assertEq(token.balanceOf(address(_intruder)), 12 * UNIT, "once");
    }

    /// Of what comes in while something else comes in, only one can be counted: the whole is refused.
    function test_Bond_Reentered_Reverts() public {
        _fund(address(_intruder), address(staking), 3 * UNIT);
        bytes memory data = abi.encodeCall(staking.bond, (Role.Trainer, UNIT));
        _intruder.plan(address(staking), data);
        vm.prank(address(_intruder));
        vm.expectRevert(abi.encodeWithSelector(Tokens.UnsupportedToken.selector, 2 * UNIT, 3 * UNIT));
        staking.bond(Role.Trainer, 2 * UNIT);
        vm.assertEq(_bonded(address(_intruder), Role.Trainer), 0, "nothing bonded");
    }

    /// Nor does a hook bring in stake for the block in which it is called.
    function test_Bond_ReenteredByEnlisting_CountsForNothing() public {
        uint256 taskId = _openTask();
        _fund(address(_intruder), address(staking), 100 * UNIT);
        bytes memory data = abi.encodeCall(verifiers.enlist, (taskId, _termsHash(taskId), 100 * UNIT, address(0)));
        bytes memory refused = abi.encodeWithSelector(IStaking.InsufficientBond.selector, _intruder, 0, 100 * UNIT);
        _intrude(address(verifiers), data, refused);
        vm.prank(address(_intruder));
        staking.bond(Role.Verifier, 100 * UNIT);
        _assertRefused();
    }

    function test_CommitChallenge_Reentered_Reverts() public {
        uint256 taskId = _sealedTask();
        _attest(taskId, 0, hex"646464");
        _settle(taskId, 0, hex"646464");
        _fund(address(_intruder), address(appeals), 5 * UNIT);
        bytes memory data = abi.encodeCall(appeals.commitChallenge, (taskId, 0, SALT));
        _intruder.plan(address(appeals), data);
        vm.prank(address(_intruder));
        vm.expectRevert(abi.encodeWithSelector(Tokens.UnsupportedToken.selector, 2.5 ether, 5 * UNIT));
        appeals.commitChallenge(taskId, 0, SALT);
        (, ChallengeState state,,) = appeals.challengeOf(taskId, 0, 0);
        vm.assertTrue(state == ChallengeState.None, "none");
    }

    function _openAsIntruder() private returns (uint256) {
        require(token.transfer(address(_intruder), 1000 * UNIT));
        vm.prank(address(_intruder));
        token.approve(address(registry), 1000 * UNIT);
        vm.prank(address(_intruder));
        return registry.openTask(_params(), keccak256("spec"), "", POLICY, 1000 * UNIT);
    }

    function _intrude(address target, bytes memory data, bytes memory refusal) private {
        _intruder.plan(target, data);
        _expected = keccak256(refusal);
    }

    function _assertRefused() private view {
        vm.assertEq(_intruder.attempts(), 1, "attempts");
        vm.assertFalse(_intruder.hasSucceeded(), "refused");
        vm.assertEq(keccak256(_intruder.failure()), _expected, "for the reason that counts");
    }
}
