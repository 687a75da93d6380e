// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC20Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";

import {IStaking, Role} from "../../contracts/interfaces/IStaking.sol";
import {Tokens} from "../../contracts/libraries/Tokens.sol";
import {Network} from "./Network.sol";

contract StakingTest is Network {
    uint256 private constant WORKER_KEY = 50;
    uint256 private constant TRAINER_KEY = 10;

    // bond, bondWithPermit

    function test_Bond_HoldsTheToken() public {
        _fund(trainer, address(staking), 5 * UNIT);
        vm.expectEmit(address(staking));
        emit IStaking.Bonded(trainer, Role.Trainer, 5 * UNIT);
        vm.prank(trainer);
        staking.bond(Role.Trainer, 5 * UNIT);
        _assertBond(trainer, Role.Trainer, 5 * UNIT, 0, 0);
        _assertBond(trainer, Role.Verifier, 0, 0, 0);
        vm.assertEq(token.balanceOf(address(staking)), 5 * UNIT, "held");
    }

    function test_Bond_Nothing_Reverts() public {
        vm.expectRevert(IStaking.ZeroAmount.selector);
        staking.bond(Role.Trainer, 0);
    }

    function test_Bond_CountsFromTheNextBlock() public {
        _bond(trainer, Role.Trainer, 5 * UNIT);
        _fund(trainer, address(staking), 3 * UNIT);
        vm.startPrank(trainer);
        staking.bond(Role.Trainer, 2 * UNIT);
        staking.bond(Role.Trainer, 1 * UNIT);
        vm.stopPrank();
        _assertFree(trainer, 5 * UNIT);
        vm.prank(address(commitments));
        vm.expectRevert(_insufficient(trainer, 5 * UNIT, 5 * UNIT + 1));
        staking.lock(Role.Trainer, trainer, 5 * UNIT + 1);
        _nextBlock();
        _assertFree(trainer, 8 * UNIT);
    }

    /// What is bonded in a block stays out of every lock of that block, however it is moved about.
    function test_Bond_OfTheSameBlock_IsNoStandInForOlderBond() public {
        _bond(trainer, Role.Trainer, 5 * UNIT);
        _fund(trainer, address(staking), 5 * UNIT);
        vm.startPrank(trainer);
        staking.bond(Role.Trainer, 5 * UNIT);
        staking.requestUnbond(Role.Trainer, 5 * UNIT);
        vm.stopPrank();
        _assertFree(trainer, 0);
        _nextBlock();
        _assertFree(trainer, 5 * UNIT);
    }

    function test_Bond_LockedOfTheSameBlock_IsFreeAgainWhenUnlocked() public {
        _bond(trainer, Role.Trainer, 5 * UNIT);
        _lock(trainer, 5 * UNIT);
        _fund(trainer, address(staking), UNIT);
        vm.prank(trainer);
        staking.bond(Role.Trainer, UNIT);
        _assertFree(trainer, 0);
        vm.prank(address(commitments));
        staking.unlock(Role.Trainer, trainer, 5 * UNIT);
        _assertFree(trainer, 5 * UNIT);
    }

    function test_BondWithPermit() public {
        require(token.transfer(trainer, UNIT));
        (uint8 v, bytes32 r, bytes32 s) = _permit(UNIT);
        vm.prank(trainer);
        staking.bondWithPermit(Role.Trainer, UNIT, _now(), v, r, s);
        vm.assertEq(_bonded(trainer, Role.Trainer), UNIT, "bonded");
    }

    function test_BondWithPermit_Nothing_Reverts() public {
        vm.expectRevert(IStaking.ZeroAmount.selector);
        staking.bondWithPermit(Role.Trainer, 0, 0, 0, 0, 0);
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

    // requestUnbond, withdraw

    function test_RequestUnbond_Nothing_Reverts() public {
        vm.expectRevert(IStaking.ZeroAmount.selector);
        staking.requestUnbond(Role.Trainer, 0);
    }

    function test_RequestUnbond_MoreThanBonded_Reverts() public {
        _bond(trainer, Role.Trainer, UNIT);
        vm.prank(trainer);
        vm.expectRevert(_insufficient(trainer, UNIT, UNIT + 1));
        staking.requestUnbond(Role.Trainer, UNIT + 1);
    }

    function test_RequestUnbond_OfTheOtherRole_Reverts() public {
        _bond(trainer, Role.Trainer, UNIT);
        vm.prank(trainer);
        vm.expectRevert(_insufficient(trainer, 0, 1));
        staking.requestUnbond(Role.Verifier, 1);
    }

    function test_RequestUnbond_WhatIsLocked_Reverts() public {
        _enlistTrainer(_openTask(), trainer);
        _bond(trainer, Role.Trainer, UNIT);
        vm.prank(trainer);
        vm.expectRevert(_insufficient(trainer, UNIT, UNIT + 1));
        staking.requestUnbond(Role.Trainer, UNIT + 1);
        vm.prank(trainer);
        staking.requestUnbond(Role.Trainer, UNIT);
        _assertBond(trainer, Role.Trainer, 60 * UNIT, 60 * UNIT, UNIT);
    }

    function test_RequestUnbond_ByTheWorkerKey_MovesNothingOfItsOperator() public {
        _bond(trainer, Role.Trainer, UNIT);
        address worker = _nameWorker(trainer, WORKER_KEY);
        vm.prank(worker);
        vm.expectRevert(_insufficient(worker, 0, UNIT));
        staking.requestUnbond(Role.Trainer, UNIT);
    }

    function test_RequestUnbond_Again_StartsThePeriodAgain() public {
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
        _assertBond(trainer, Role.Trainer, UNIT, 0, 2 * UNIT);
        (,,, uint40 withdrawableAt) = staking.bondOf(trainer, Role.Trainer);
        vm.assertEq(withdrawableAt, due, "due");
    }

    function test_Withdraw_AfterThePeriod() public {
        _bond(trainer, Role.Trainer, 3 * UNIT);
        vm.prank(trainer);
        staking.requestUnbond(Role.Trainer, 2 * UNIT);
        _wait(UNBONDING);
        vm.expectEmit(address(staking));
        emit IStaking.Withdrawn(trainer, Role.Trainer, 2 * UNIT);
        vm.prank(trainer);
        staking.withdraw(Role.Trainer);
        vm.assertEq(token.balanceOf(trainer), 2 * UNIT, "paid out");
        vm.prank(trainer);
        vm.expectRevert(abi.encodeWithSelector(IStaking.NothingToWithdraw.selector, trainer));
        staking.withdraw(Role.Trainer);
    }

    function test_Withdraw_BeforeThePeriodIsOver_Reverts() public {
        _bond(trainer, Role.Trainer, UNIT);
        vm.prank(trainer);
        staking.requestUnbond(Role.Trainer, UNIT);
        uint40 due = uint40(_now()) + UNBONDING;
        _wait(UNBONDING - 1);
        vm.prank(trainer);
        vm.expectRevert(abi.encodeWithSelector(IStaking.StillUnbonding.selector, trainer, due));
        staking.withdraw(Role.Trainer);
    }

    // setWorkerKey, renounceWorkerKey

    function test_SetWorkerKey_ActsForItsOperator() public {
        vm.assertEq(staking.operatorOf(trainer), trainer, "nobody's worker acts for itself");
        address worker = _nameWorker(trainer, WORKER_KEY);
        vm.assertEq(staking.operatorOf(worker), trainer, "operator");
        vm.assertEq(staking.workerOf(trainer), worker, "worker");
        _bond(trainer, Role.Trainer, UNIT);
        _assertFree(worker, UNIT);
        (address operator,) = staking.freeBond(Role.Trainer, worker);
        vm.assertEq(operator, trainer, "of its operator");
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
        vm.assertEq(staking.workerOf(trainer), worker, "worker");
    }

    function test_SetWorkerKey_Zero_RemovesIt() public {
        address worker = _nameWorker(trainer, WORKER_KEY);
        vm.expectEmit(address(staking));
        emit IStaking.WorkerKeySet(trainer, address(0));
        vm.prank(trainer);
        staking.setWorkerKey(address(0), 0, "");
        vm.assertEq(staking.operatorOf(worker), worker, "released");
        vm.assertEq(staking.workerOf(trainer), address(0), "none");
        vm.assertEq(staking.operatorOf(address(0)), address(0), "the zero address acts for nobody");
    }

    function test_SetWorkerKey_OfAnotherOperator_Reverts() public {
        address worker = _nameWorker(trainer, WORKER_KEY);
        bytes memory consent = _consent(WORKER_KEY, secondTrainer);
        vm.prank(secondTrainer);
        vm.expectRevert(abi.encodeWithSelector(IStaking.WorkerKeyTaken.selector, worker, trainer));
        staking.setWorkerKey(worker, type(uint256).max, consent);
    }

    function test_SetWorkerKey_WithoutItsConsent_Reverts() public {
        address worker = vm.addr(WORKER_KEY);
        _assertNoConsent(trainer, worker, type(uint256).max, _consent(WORKER_KEY, secondTrainer));
        _assertNoConsent(trainer, worker, type(uint256).max - 1, _consent(WORKER_KEY, trainer));
        _assertNoConsent(trainer, worker, type(uint256).max, _consent(WORKER_KEY + 1, trainer));
        _assertNoConsent(trainer, worker, type(uint256).max, hex"1234");
        _assertNoConsent(trainer, worker, type(uint256).max, "");
        _assertNoConsent(trainer, worker, type(uint256).max, new bytes(65));
    }

    function test_SetWorkerKey_AfterTheDeadline_Reverts() public {
        address worker = vm.addr(WORKER_KEY);
        uint256 deadline = _now() + 10;
        bytes memory consent = _consentUntil(deadline);
        _wait(11);
        vm.prank(trainer);
        vm.expectRevert(abi.encodeWithSelector(IStaking.ConsentExpired.selector, deadline));
        staking.setWorkerKey(worker, deadline, consent);
    }

    function test_SetWorkerKey_AtTheDeadline_IsInTime() public {
        uint256 deadline = _now() + 10;
        bytes memory consent = _consentUntil(deadline);
        _wait(10);
        vm.prank(trainer);
        staking.setWorkerKey(vm.addr(WORKER_KEY), deadline, consent);
        vm.assertEq(staking.workerOf(trainer), vm.addr(WORKER_KEY), "named");
    }

    /// What is public since it was used gives nobody the key back, whatever that has become meanwhile.
    function test_SetWorkerKey_WithAConsentThatHasServed_Reverts() public {
        bytes memory consent = _consent(WORKER_KEY, outsider);
        address worker = _nameWorker(outsider, WORKER_KEY);
        vm.assertEq(staking.workerNonceOf(worker), 1, "used up");
        _assertNoConsent(outsider, worker, type(uint256).max, consent);
        vm.prank(outsider);
        staking.setWorkerKey(address(0), 0, "");
        uint256 taskId = _openTask();
        _enlistVerifier(taskId, worker, 100 * UNIT); // an operator of its own
        _assertNoConsent(outsider, worker, type(uint256).max, consent);
        vm.prank(worker);
        verifiers.delist(taskId);
    }

    /// Nor does one that was given for the same nonce and not used: of two only the first counts.
    function test_SetWorkerKey_WithAnUnusedConsentOfAnOldNonce_Reverts() public {
        bytes memory unused = _consent(WORKER_KEY, secondTrainer);
        address worker = _nameWorker(trainer, WORKER_KEY);
        vm.prank(trainer);
        staking.setWorkerKey(address(0), 0, "");
        _assertNoConsent(secondTrainer, worker, type(uint256).max, unused);
    }

    function test_RenounceWorkerKey_ByTheWorker_EndsItAndVoidsConsents() public {
        address worker = _nameWorker(trainer, WORKER_KEY);
        bytes memory unused = _consent(WORKER_KEY, trainer);
        vm.expectEmit(address(staking));
        emit IStaking.WorkerKeySet(trainer, address(0));
        vm.prank(worker);
        staking.renounceWorkerKey();
        vm.assertEq(staking.operatorOf(worker), worker, "acts for itself");
        vm.assertEq(staking.workerOf(trainer), address(0), "none");
        _assertNoConsent(trainer, worker, type(uint256).max, unused);
        _nameWorker(secondTrainer, WORKER_KEY);
    }

    function test_RenounceWorkerKey_ByNobodysWorker_Reverts() public {
        _nameWorker(trainer, WORKER_KEY);
        vm.prank(trainer);
        vm.expectRevert(abi.encodeWithSelector(IStaking.NotAWorkerKey.selector, trainer));
        staking.renounceWorkerKey();
    }

    /// Anyone who names whom, in whatever order: no key acts for an operator that does not name it, and none for two.
    function testFuzz_WorkerKeys_PointsBothWays(uint8[24] memory actions) public {
        uint256[4] memory keys = [uint256(WORKER_KEY), WORKER_KEY + 1, TRAINER_KEY, TRAINER_KEY + 1];
        for (uint256 i; i < actions.length; ++i) {
            address operator = vm.addr(keys[actions[i] % 4]);
            uint256 key = keys[actions[i] / 4 % 4];
            bytes memory consent = _consent(key, operator);
            vm.prank(operator);
            if (actions[i] / 16 % 3 == 0) {
                try staking.renounceWorkerKey() {} catch {}
            } else if (actions[i] / 16 % 3 == 1) {
                staking.setWorkerKey(address(0), 0, "");
            } else {
                try staking.setWorkerKey(vm.addr(key), type(uint256).max, consent) {} catch {}
            }
            _assertKeysAgree(keys);
        }
    }

    // lock, unlock, slash

    /// What is locked is what can be slashed: the bond of the operator named, no matter who it works for meanwhile.
    function test_Lock_OfAnOperatorThatIsAWorkerKey_LocksItsOwnBond() public {
        address worker = vm.addr(WORKER_KEY);
        _bond(trainer, Role.Trainer, 3 * UNIT);
        _bond(worker, Role.Trainer, 2 * UNIT);
        _nameWorker(trainer, WORKER_KEY);
        _lock(worker, 2 * UNIT);
        _assertBond(trainer, Role.Trainer, 3 * UNIT, 0, 0);
        _assertBond(worker, Role.Trainer, 2 * UNIT, 2 * UNIT, 0);
        vm.prank(address(commitments));
        staking.slash(Role.Trainer, worker, 2 * UNIT, outsider, 0);
        _assertBond(worker, Role.Trainer, 0, 0, 0);
    }

    function test_Lock_MoreThanIsFree_Reverts() public {
        _bond(trainer, Role.Trainer, 3 * UNIT);
        _lock(trainer, 2 * UNIT);
        vm.prank(address(commitments));
        vm.expectRevert(_insufficient(trainer, UNIT, UNIT + 1));
        staking.lock(Role.Trainer, trainer, UNIT + 1);
    }

    function test_Unlock_MoreThanIsLocked_Reverts() public {
        _bond(trainer, Role.Trainer, 3 * UNIT);
        _lock(trainer, 2 * UNIT);
        vm.prank(address(commitments));
        vm.expectRevert();
        staking.unlock(Role.Trainer, trainer, 2 * UNIT + 1);
    }

    function test_Slash_MoreThanIsLocked_Reverts() public {
        _bond(trainer, Role.Trainer, 3 * UNIT);
        _lock(trainer, 2 * UNIT);
        vm.prank(address(commitments));
        vm.expectRevert();
        staking.slash(Role.Trainer, trainer, 2 * UNIT + 1, outsider, 0);
    }

    function test_Slash_WithALargerPartThanTheWhole_Reverts() public {
        _bond(trainer, Role.Trainer, 3 * UNIT);
        _lock(trainer, 2 * UNIT);
        vm.prank(address(commitments));
        vm.expectRevert();
        staking.slash(Role.Trainer, trainer, UNIT, outsider, UNIT + 1);
    }

    function test_Slash_EmitsWhoGotWhat() public {
        _bond(verifier, Role.Verifier, 3 * UNIT);
        vm.prank(address(verifiers));
        staking.lock(Role.Verifier, verifier, 2 * UNIT);
        vm.expectEmit(address(staking));
        emit IStaking.Slashed(verifier, Role.Verifier, 2 * UNIT, outsider, UNIT / 2);
        vm.expectEmit(address(token));
        emit IERC20.Transfer(address(staking), Tokens.BURNT, 3 * UNIT / 2);
        vm.prank(address(verifiers));
        staking.slash(Role.Verifier, verifier, 2 * UNIT, outsider, UNIT / 2);
        _assertBond(verifier, Role.Verifier, UNIT, 0, 0);
    }

    function test_Keepers_AnybodyElse_Reverts() public {
        address[7] memory others = [
            outsider,
            trainer,
            address(registry),
            address(attestations),
            address(appeals),
            address(payouts),
            address(plants)
        ];
        for (uint256 i; i < others.length; ++i) {
            _assertIsNoKeeper(others[i], Role.Trainer);
            _assertIsNoKeeper(others[i], Role.Verifier);
        }
        _assertIsNoKeeper(address(commitments), Role.Verifier);
        _assertIsNoKeeper(address(verifiers), Role.Trainer);
        _assertIsNoKeeper(address(panels), Role.Trainer);
    }

    /// Whatever is done with two bonds: nothing is made, nothing is lost, and what is locked stays bonded.
    function testFuzz_Bonds_MatchesWhatIsHeld(uint8[40] memory actions, uint64[40] memory amounts) public {
        uint256 burnt;
        uint256 paid;
        for (uint256 i; i < actions.length; ++i) {
            (Role role, uint128 amount) = (Role(actions[i] & 1), uint128(amounts[i]) + 1);
            address keeper = role == Role.Trainer ? address(commitments) : address(verifiers);
            (uint128 bonded, uint128 locked,,) = staking.bondOf(trainer, role);
            uint128 part = uint128(_bound(amount, 0, locked));
            if (actions[i] / 2 % 6 == 0) {
                _bond(trainer, role, amount);
            } else if (actions[i] / 2 % 6 == 1) {
                amount = uint128(_bound(amount, 0, bonded - locked));
                vm.prank(trainer);
                if (amount > 0) staking.requestUnbond(role, amount);
                else staking.operatorOf(trainer);
            } else if (actions[i] / 2 % 6 == 2) {
                vm.prank(keeper);
                staking.lock(role, trainer, uint128(_bound(amount, 0, bonded - locked)));
            } else if (actions[i] / 2 % 6 == 3) {
                vm.prank(keeper);
                staking.unlock(role, trainer, part);
            } else if (actions[i] / 2 % 6 == 4) {
                vm.prank(keeper);
                staking.slash(role, trainer, part, outsider, part / 3);
                (burnt, paid) = (burnt + part - part / 3, paid + part / 3);
            } else {
                _wait(UNBONDING);
                vm.prank(trainer);
                try staking.withdraw(role) {} catch {}
            }
            _assertHeld(burnt, paid);
        }
    }

    function _assertHeld(uint256 burnt, uint256 paid) private view {
        (uint128 asTrainer, uint128 locked, uint128 leaving,) = staking.bondOf(trainer, Role.Trainer);
        vm.assertLe(locked, asTrainer, "locked is bonded");
        (uint128 asVerifier, uint128 alsoLocked, uint128 alsoLeaving,) = staking.bondOf(trainer, Role.Verifier);
        vm.assertLe(alsoLocked, asVerifier, "locked is bonded");
        uint256 owed = uint256(asTrainer) + leaving + asVerifier + alsoLeaving;
        vm.assertEq(token.balanceOf(address(staking)), owed, "held = owed");
        vm.assertEq(token.balanceOf(Tokens.BURNT), burnt, "burnt");
        vm.assertEq(token.balanceOf(outsider), paid, "paid");
    }

    function _assertKeysAgree(uint256[4] memory keys) private view {
        for (uint256 i; i < 4; ++i) {
            address account = vm.addr(keys[i]);
            address worker = staking.workerOf(account);
            if (worker != address(0)) vm.assertEq(staking.operatorOf(worker), account, "who is named acts for it");
            address operator = staking.operatorOf(account);
            if (operator != account) vm.assertEq(staking.workerOf(operator), account, "who acts for it is named");
        }
    }

    function _assertIsNoKeeper(address caller, Role role) private {
        bytes memory refused = abi.encodeWithSelector(IStaking.NotAuthorised.selector, caller);
        vm.startPrank(caller);
        vm.expectRevert(refused);
        staking.lock(role, trainer, 0);
        vm.expectRevert(refused);
        staking.unlock(role, trainer, 0);
        vm.expectRevert(refused);
        staking.slash(role, trainer, 0, outsider, 0);
        vm.stopPrank();
    }

    function _assertNoConsent(address operator, address worker, uint256 deadline, bytes memory consent) private {
        vm.prank(operator);
        vm.expectRevert(abi.encodeWithSelector(IStaking.BadWorkerSignature.selector, worker));
        staking.setWorkerKey(worker, deadline, consent);
    }

    function _assertBond(address operator, Role role, uint256 bonded, uint256 locked, uint256 unbonding) private view {
        (uint128 bonded_, uint128 locked_, uint128 unbonding_,) = staking.bondOf(operator, role);
        vm.assertEq(bonded_, bonded, "bonded");
        vm.assertEq(locked_, locked, "locked");
        vm.assertEq(unbonding_, unbonding, "unbonding");
    }

    function _assertFree(address key, uint256 expected) private view {
        (, uint128 amount) = staking.freeBond(Role.Trainer, key);
        vm.assertEq(amount, expected, "free");
    }

    function _insufficient(address operator, uint256 free, uint256 needed) private pure returns (bytes memory) {
        return abi.encodeWithSelector(IStaking.InsufficientBond.selector, operator, free, needed);
    }

    function _lock(address operator, uint128 amount) private {
        vm.prank(address(commitments));
        staking.lock(Role.Trainer, operator, amount);
    }

    function _consentUntil(uint256 deadline) private view returns (bytes memory) {
        bytes32 typeHash = keccak256("WorkerKey(address operator,address worker,uint256 nonce,uint256 deadline)");
        bytes32 structHash = keccak256(abi.encode(typeHash, trainer, vm.addr(WORKER_KEY), 0, deadline));
        return _sign(WORKER_KEY, _domain("Assay", address(staking)), structHash);
    }

    function _permit(uint256 amount) private view returns (uint8 v, bytes32 r, bytes32 s) {
        bytes32 typeHash =
            keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");
        bytes32 structHash = keccak256(abi.encode(typeHash, trainer, address(staking), amount, 0, _now()));
        bytes32 domain = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("Assay"),
                keccak256("1"), // the token's own version
                block.chainid,
                address(token)
            )
        );
        return vm.sign(TRAINER_KEY, keccak256(abi.encodePacked(hex"1901", domain, structHash)));
    }
}
