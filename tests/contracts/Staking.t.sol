// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC20Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";
import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

import {Staking} from "../../contracts/Staking.sol";
import {IStaking, Role} from "../../contracts/interfaces/IStaking.sol";
import {Tokens} from "../../contracts/libraries/Tokens.sol";
import {Network} from "./Network.sol";

contract TokenWithFee is ERC20("Fee", "FEE") {
    constructor() {
        _mint(msg.sender, 1e30);
    }

    function _update(address from, address to, uint256 value) internal override {
        super._update(from, to, value);
        if (from != address(0) && to != address(0)) super._update(to, address(0xfee), value / 100);
    }
}

contract StakingTest is Network {
    uint256 private constant WORKER_KEY = 50;
    uint256 private constant TRAINER_KEY = 10;

    function test_Bond_HoldsTheToken() public {
        _fund(trainer, address(staking), 5 * UNIT);
        vm.expectEmit(address(staking));
        emit IStaking.Bonded(trainer, Role.Trainer, 5 * UNIT);
        vm.prank(trainer);
        staking.bond(Role.Trainer, 5 * UNIT);
        vm.assertEq(_bonded(trainer, Role.Trainer), 5 * UNIT, "bonded");
        vm.assertEq(_bonded(trainer, Role.Verifier), 0, "the other role has its own money");
        vm.assertEq(token.balanceOf(address(staking)), 5 * UNIT, "held");
    }

    function test_Bond_Nothing_Reverts() public {
        vm.expectRevert(IStaking.ZeroAmount.selector);
        staking.bond(Role.Trainer, 0);
    }

    function test_Bond_CountsFromTheNextBlock() public {
        _bond(trainer, Role.Trainer, 5 * UNIT);
        _fund(trainer, address(staking), 3 * UNIT);
        vm.prank(trainer);
        staking.bond(Role.Trainer, 2 * UNIT);
        vm.prank(trainer);
        staking.bond(Role.Trainer, 1 * UNIT);
        (, uint128 active) = staking.activeBond(Role.Trainer, trainer);
        vm.assertEq(active, 5 * UNIT, "only the older bond is active");
        _nextBlock();
        (, active) = staking.activeBond(Role.Trainer, trainer);
        vm.assertEq(active, 8 * UNIT, "all active");
    }

    function test_Bond_TokenWithFee_Reverts() public {
        TokenWithFee fees = new TokenWithFee();
        Staking other = new Staking(fees, address(1), address(2), UNBONDING);
        fees.approve(address(other), 100);
        vm.expectRevert(abi.encodeWithSelector(Tokens.UnsupportedToken.selector, 100, 99));
        other.bond(Role.Trainer, 100);
    }

    function test_BondWithPermit() public {
        require(token.transfer(trainer, UNIT));
        (uint8 v, bytes32 r, bytes32 s) = _permit(UNIT);
        vm.prank(trainer);
        staking.bondWithPermit(Role.Trainer, UNIT, _now(), v, r, s);
        vm.assertEq(_bonded(trainer, Role.Trainer), UNIT, "bonded");
    }

    function test_BondWithPermit_UsedByAnOutsiderFirst_StillBonds() public {
        require(token.transfer(trainer, UNIT));
        (uint8 v, bytes32 r, bytes32 s) = _permit(UNIT);
        token.permit(trainer, address(staking), UNIT, _now(), v, r, s);
        vm.prank(trainer);
        staking.bondWithPermit(Role.Trainer, UNIT, _now(), v, r, s);
        vm.assertEq(_bonded(trainer, Role.Trainer), UNIT, "bonded");
    }

    function test_BondWithPermit_ForAnotherAmount_Reverts() public {
        require(token.transfer(trainer, 2 * UNIT));
        (uint8 v, bytes32 r, bytes32 s) = _permit(UNIT);
        uint256 deadline = _now();
        vm.prank(trainer);
        vm.expectRevert(
            abi.encodeWithSelector(IERC20Errors.ERC20InsufficientAllowance.selector, address(staking), 0, 2 * UNIT)
        );
        staking.bondWithPermit(Role.Trainer, 2 * UNIT, deadline, v, r, s);
    }

    function test_RequestUnbond_Nothing_Reverts() public {
        vm.expectRevert(IStaking.ZeroAmount.selector);
        staking.requestUnbond(Role.Trainer, 0);
    }

    function test_RequestUnbond_MoreThanBonded_Reverts() public {
        _bond(trainer, Role.Trainer, UNIT);
        vm.prank(trainer);
        vm.expectRevert(abi.encodeWithSelector(IStaking.InsufficientBond.selector, trainer, UNIT, UNIT + 1));
        staking.requestUnbond(Role.Trainer, UNIT + 1);
    }

    function test_RequestUnbond_WhileEnlisted_Reverts() public {
        _enlistTrainer(_openTask(), trainer);
        vm.prank(trainer);
        vm.expectRevert(abi.encodeWithSelector(IStaking.StillEnlisted.selector, trainer, 1));
        staking.requestUnbond(Role.Trainer, 1);
    }

    function test_RequestUnbond_Again_StartsThePeriodAnew() public {
        _bond(trainer, Role.Trainer, 3 * UNIT);
        vm.prank(trainer);
        staking.requestUnbond(Role.Trainer, UNIT);
        _wait(UNBONDING - 1);
        uint40 due = uint40(_now()) + UNBONDING;
        vm.expectEmit(address(staking));
        emit IStaking.UnbondRequested(trainer, Role.Trainer, UNIT, due);
        vm.prank(trainer);
        staking.requestUnbond(Role.Trainer, UNIT);
        _wait(1);
        vm.prank(trainer);
        vm.expectRevert(abi.encodeWithSelector(IStaking.StillUnbonding.selector, trainer, due));
        staking.withdraw(Role.Trainer);
        (uint128 bonded, uint128 unbonding, uint40 withdrawableAt, uint16 enlistments) =
            staking.bondOf(trainer, Role.Trainer);
        vm.assertEq(bonded, UNIT, "bonded");
        vm.assertEq(unbonding, 2 * UNIT, "unbonding");
        vm.assertEq(withdrawableAt, due, "due");
        vm.assertEq(enlistments, 0, "enlistments");
    }

    function test_Withdraw_AfterThePeriod() public {
        _bond(trainer, Role.Trainer, 3 * UNIT);
        vm.prank(trainer);
        staking.requestUnbond(Role.Trainer, 2 * UNIT);
        _wait(UNBONDING);
        vm.prank(trainer);
        staking.withdraw(Role.Trainer);
        vm.assertEq(token.balanceOf(trainer), 2 * UNIT, "paid out");
        vm.prank(trainer);
        vm.expectRevert(abi.encodeWithSelector(IStaking.NothingToWithdraw.selector, trainer));
        staking.withdraw(Role.Trainer);
    }

    function test_SetWorkerKey_ActsForItsOperator() public {
        vm.assertEq(staking.operatorOf(trainer), trainer, "nobody's worker acts for itself");
        address worker = _nameWorker(trainer, WORKER_KEY);
        vm.assertEq(staking.operatorOf(worker), trainer, "operator");
        vm.assertEq(staking.workerOf(trainer), worker, "worker");
        _bond(trainer, Role.Trainer, UNIT);
        (address operator, uint128 active) = staking.activeBond(Role.Trainer, worker);
        vm.assertEq(operator, trainer, "bond of its operator");
        vm.assertEq(active, UNIT, "active");
    }

    function test_SetWorkerKey_Another_ReleasesTheFormer() public {
        address former = _nameWorker(trainer, WORKER_KEY);
        address next = _nameWorker(trainer, WORKER_KEY + 1);
        vm.assertEq(staking.operatorOf(former), former, "released");
        vm.assertEq(staking.operatorOf(next), trainer, "named");
        _nameWorker(secondTrainer, WORKER_KEY);
        vm.assertEq(staking.operatorOf(former), secondTrainer, "free for another");
    }

    function test_SetWorkerKey_TheSameAgain_Stays() public {
        _nameWorker(trainer, WORKER_KEY);
        address worker = _nameWorker(trainer, WORKER_KEY);
        vm.assertEq(staking.operatorOf(worker), trainer, "operator");
    }

    function test_SetWorkerKey_Zero_RemovesIt() public {
        address worker = _nameWorker(trainer, WORKER_KEY);
        vm.prank(trainer);
        staking.setWorkerKey(address(0), "");
        vm.assertEq(staking.operatorOf(worker), worker, "released");
        vm.assertEq(staking.workerOf(trainer), address(0), "none");
        vm.assertEq(staking.operatorOf(address(0)), address(0), "the zero address acts for nobody");
    }

    function test_SetWorkerKey_OfAnotherOperator_Reverts() public {
        address worker = _nameWorker(trainer, WORKER_KEY);
        bytes memory consent = _consent(WORKER_KEY, secondTrainer);
        vm.prank(secondTrainer);
        vm.expectRevert(abi.encodeWithSelector(IStaking.WorkerKeyTaken.selector, worker, trainer));
        staking.setWorkerKey(worker, consent);
    }

    function test_SetWorkerKey_WithoutItsConsent_Reverts() public {
        address worker = vm.addr(WORKER_KEY);
        bytes memory toAnother = _consent(WORKER_KEY, secondTrainer);
        vm.prank(trainer);
        vm.expectRevert(abi.encodeWithSelector(IStaking.BadWorkerSignature.selector, worker));
        staking.setWorkerKey(worker, toAnother);
        vm.prank(trainer);
        vm.expectRevert(abi.encodeWithSelector(IStaking.BadWorkerSignature.selector, worker));
        staking.setWorkerKey(worker, hex"1234");
    }

    function test_Slash_ByAnybodyElse_Reverts() public {
        _bond(trainer, Role.Trainer, UNIT);
        _bond(verifier, Role.Verifier, UNIT);
        address[4] memory callers = [outsider, address(payouts), address(challenges), trainer];
        for (uint256 i; i < 4; ++i) {
            _assertMayNotSlash(callers[i], trainer, Role.Trainer);
            _assertMayNotSlash(callers[i], verifier, Role.Verifier);
        }
        _assertMayNotSlash(address(attestations), trainer, Role.Trainer);
        _assertMayNotSlash(address(registry), verifier, Role.Verifier);
    }

    function test_Enlisted_ByAnybodyElse_Reverts() public {
        vm.prank(outsider);
        vm.expectRevert(abi.encodeWithSelector(IStaking.NotAuthorised.selector, outsider));
        staking.enlisted(trainer, Role.Trainer, false);
        vm.prank(address(registry));
        vm.expectRevert(abi.encodeWithSelector(IStaking.NotAuthorised.selector, address(registry)));
        staking.enlisted(verifier, Role.Verifier, true);
    }

    /// Bond first, then what is unbonding: all of it, or nothing at all.
    function testFuzz_Slash_TakesFromBondThenUnbonding(uint128 bonded, uint128 unbonding, uint128 amount, uint128 share)
        public
    {
        bonded = uint128(_bound(bonded, 1, 1e30));
        unbonding = uint128(_bound(unbonding, 0, bonded));
        amount = uint128(_bound(amount, 0, bonded));
        share = uint128(_bound(share, 0, amount));
        _bond(trainer, Role.Trainer, bonded);
        vm.prank(trainer);
        if (unbonding > 0) staking.requestUnbond(Role.Trainer, unbonding);
        else staking.operatorOf(trainer);

        vm.prank(address(registry));
        staking.slash(trainer, Role.Trainer, amount, outsider, share, false);
        vm.assertEq(token.balanceOf(outsider), share, "reporter paid");
        vm.assertEq(token.balanceOf(address(registry)), amount - share, "registry paid");
        (uint128 leftBonded, uint128 leftUnbonding,,) = staking.bondOf(trainer, Role.Trainer);
        uint256 fromBonded = amount < bonded - unbonding ? amount : bonded - unbonding;
        vm.assertEq(leftBonded, bonded - unbonding - fromBonded, "bond first");
        vm.assertEq(leftUnbonding, unbonding - (amount - fromBonded), "then unbonding");
        vm.assertEq(token.balanceOf(address(staking)), uint256(leftBonded) + leftUnbonding, "held = owed");
    }

    function test_Slash_MoreThanThereIs_Reverts() public {
        _bond(trainer, Role.Trainer, UNIT);
        vm.prank(address(registry));
        vm.expectRevert();
        staking.slash(trainer, Role.Trainer, UNIT + 1, outsider, 0, false);
    }

    function _assertMayNotSlash(address caller, address operator, Role role) private {
        vm.prank(caller);
        vm.expectRevert(abi.encodeWithSelector(IStaking.NotAuthorised.selector, caller));
        staking.slash(operator, role, 1, outsider, 0, false);
    }

    function _permit(uint256 amount) private view returns (uint8 v, bytes32 r, bytes32 s) {
        bytes32 typeHash =
            keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");
        bytes32 structHash = keccak256(abi.encode(typeHash, trainer, address(staking), amount, 0, _now()));
        bytes32 domain = _domain("Assay", address(token));
        return vm.sign(TRAINER_KEY, keccak256(abi.encodePacked(hex"1901", domain, structHash)));
    }
}
