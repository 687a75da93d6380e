// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";

import {AssayToken} from "../../contracts/AssayToken.sol";
import {IChallenges} from "../../contracts/interfaces/IChallenges.sol";
import {IStaking, Role} from "../../contracts/interfaces/IStaking.sol";
import {ITaskRegistry} from "../../contracts/interfaces/ITaskRegistry.sol";
import {Tokens} from "../../contracts/libraries/Tokens.sol";
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

/// An ERC-20 that tells both sides, as ERC-777 does: before it takes, and after it gives.
contract TokenWithHooks is AssayToken {
    constructor() AssayToken(msg.sender, 1e33) {}

    function _update(address from, address to, uint256 amount) internal override {
        _tell(from);
        super._update(from, to, amount);
        _tell(to);
    }

    function _tell(address who) private {
        if (who.code.length == 0) return;
        (bool success,) = who.call(abi.encodeCall(Intruder.told, ()));
        success; // whoever has no such function does not care
    }
}

/// Calls again what it is being paid (or pays) for.
contract Intruder {
    address private _target;
    bytes private _data;
    uint256 public attempts;
    bool public hasSucceeded;
    bytes public failure;

    function act(address target, bytes calldata data) external returns (bool success) {
        (success,) = target.call(data);
    }

    function plan(address target, bytes calldata data) external {
        (_target, _data) = (target, data);
    }

    function told() external {
        if (_target == address(0)) return;
        address target = _target;
        _target = address(0); // once
        ++attempts;
        (hasSucceeded, failure) = target.call(_data);
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
        vm.startPrank(trainer);
        registry.delist(taskId, trainer);
        staking.requestUnbond(Role.Trainer, 60 * UNIT);
        _wait(UNBONDING);
        staking.withdraw(Role.Trainer);
        vm.stopPrank();
        vm.assertEq(token.balanceOf(trainer), 70 * UNIT, "withdrawn");
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
        bytes memory failed = abi.encodeWithSelector(SafeERC20.SafeERC20FailedOperation.selector, address(token));
        TokenThatFails(address(token)).fail(true);
        vm.prank(outsider);
        vm.expectRevert(failed);
        staking.bond(Role.Trainer, UNIT);
        vm.assertEq(_bonded(outsider, Role.Trainer), 0, "not bonded");
        vm.expectRevert(failed);
        payouts.claim(_refs(_ref(taskId, 0, trainer, 0)));
        vm.expectRevert(failed);
        payouts.slashFraud(_ref(taskId, 0, secondTrainer, 1));
        vm.assertEq(_bonded(secondTrainer, Role.Trainer), 60 * UNIT, "not slashed");
        TokenThatFails(address(token)).fail(false);
        payouts.claim(_refs(_ref(taskId, 0, trainer, 0)));
        payouts.slashFraud(_ref(taskId, 0, secondTrainer, 1));
        vm.assertEq(token.balanceOf(trainer), 10 * UNIT, "paid when it works again");
    }
}

contract TokenWithHooksTest is Network {
    Intruder private _intruder;

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
        _commit(taskId, address(_intruder));
        _commitAllAndSeal(taskId);
        _judge(taskId, 0, hex"64646464");
        bytes memory data = abi.encodeCall(payouts.claim, (_refs(_ref(taskId, 0, address(_intruder), 0))));
        _intrude(address(payouts), data, abi.encodeWithSelector(ITaskRegistry.WrongWork.selector, taskId, 0, _intruder));
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
        _intrude(address(payouts), data, abi.encodeWithSelector(ITaskRegistry.WrongWork.selector, taskId, 0, trainer));
        vm.assertTrue(_intruder.act(address(payouts), data), "slashed");
        _assertRefused();
        vm.assertEq(token.balanceOf(address(_intruder)), 5 * UNIT, "once");
    }

    function test_RefundTask_Reentered_PaysOnce() public {
        token.approve(address(registry), 0);
        require(token.transfer(address(_intruder), 1000 * UNIT));
        vm.prank(address(_intruder));
        token.approve(address(registry), 1000 * UNIT);
        vm.prank(address(_intruder));
        uint256 taskId = registry.openTask(_params(), keccak256("spec"), "", POLICY, 1000 * UNIT);
        vm.prank(address(_intruder));
        registry.closeTask(taskId);
        _openTask(); // somebody else's money is there to be taken
        bytes memory data = abi.encodeCall(registry.refundTask, (taskId));
        _intrude(address(registry), data, abi.encodeWithSelector(ITaskRegistry.NothingToRefund.selector, taskId));
        registry.refundTask(taskId);
        _assertRefused();
        vm.assertEq(token.balanceOf(address(_intruder)), 1000 * UNIT, "once");
    }

    function test_ClaimOfAChallenge_Reentered_PaysOnce() public {
        uint256 taskId = _sealedTask();
        _attest(taskId, 0, hex"646464");
        _settle(taskId, 0, hex"646464");
        _challenge(taskId, 0, 0, 0, address(_intruder));
        _challenge(taskId, 0, 1, 0, outsider);
        _appeal(taskId, 0, 0, 0, 0, 0);
        challenges.decide(taskId, 0, 0, _list(hex"646464"));
        bytes memory data = abi.encodeCall(challenges.claim, (taskId, 0, 0, address(_intruder)));
        bytes memory refused = abi.encodeWithSelector(IChallenges.NothingToClaim.selector, taskId, 0, 0, _intruder);
        _intrude(address(challenges), data, refused);
        challenges.claim(taskId, 0, 0, address(_intruder));
        _assertRefused();
        vm.assertEq(token.balanceOf(address(_intruder)), UNIT, "once");
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

    function test_Challenge_Reentered_TakesNobodysBondTwice() public {
        uint256 taskId = _sealedTask();
        _attest(taskId, 0, hex"646464");
        _settle(taskId, 0, hex"646464");
        _fund(address(_intruder), address(registry), UNIT);
        bytes memory data = abi.encodeCall(challenges.challenge, (taskId, 0, 0, 0));
        bytes memory refused = abi.encodeWithSelector(IChallenges.AlreadyChallenged.selector, taskId, 0, 0);
        _intrude(address(challenges), data, refused);
        vm.assertTrue(_intruder.act(address(challenges), data), "challenged");
        _assertRefused();
    }

    bytes32 private _expected;

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
