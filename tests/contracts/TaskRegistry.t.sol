// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {TaskRegistry} from "../../contracts/TaskRegistry.sol";
import {Deployment} from "../../contracts/interfaces/Deployment.sol";
import {EpochPhase} from "../../contracts/interfaces/IAttestations.sol";
import {ICommitments} from "../../contracts/interfaces/ICommitments.sol";
import {Role} from "../../contracts/interfaces/IStaking.sol";
import {ITaskRegistry, KindTerms, TaskParams, SubmissionKind} from "../../contracts/interfaces/ITaskRegistry.sol";
import {Economics} from "../../contracts/libraries/Economics.sol";
import {Network} from "./Network.sol";

contract TaskRegistryTest is Network {
    bytes32 private constant SPEC = keccak256("spec");

    // openTask

    function test_OpenTask_EscrowsAndOpensEpochZero() public {
        uint256 taskId = _openTask();
        vm.assertEq(taskId, 1, "ids count from 1");
        vm.assertEq(registry.taskCount(), 1, "count");
        _assertMoney(taskId, 897 * UNIT, 103 * UNIT, false); // an epoch's most: 100 units and the fee
        vm.assertEq(token.balanceOf(address(registry)), 1000 * UNIT, "held");
        _assertOpen(taskId, 0, true);
        (uint16 trainers, uint16 waiting) = commitments.trainersOf(taskId);
        vm.assertEq(trainers, 0, "trainers");
        vm.assertEq(waiting, 0, "waiting");
        (address who, bytes32 root,) = registry.originOf(taskId);
        vm.assertEq(who, initiator, "initiator");
        vm.assertEq(root, POLICY, "policy");
        (uint32 version, bytes32 current,) = policies.policyOf(taskId);
        vm.assertEq(version, 0, "version");
        vm.assertEq(current, POLICY, "initiator's policy");
    }

    function test_OpenTask_TellsTermsAndMoney() public {
        TaskParams memory params = _params();
        bytes32 termsHash = keccak256(abi.encode(uint256(1), initiator, params, SPEC, POLICY));
        bytes32 seed = keccak256(abi.encode(bytes32(uint256(7)), uint256(1), SPEC));
        _fund(initiator, address(registry), 1000 * UNIT);
        vm.prevrandao(bytes32(uint256(7)));
        vm.expectEmit(address(registry));
        emit ITaskRegistry.TaskOpened(1, initiator, params, SPEC, "ipfs://spec", POLICY, termsHash, seed);
        vm.expectEmit(address(registry));
        emit ITaskRegistry.TaskFunded(1, initiator, 1000 * UNIT);
        vm.expectEmit(address(commitments));
        emit ICommitments.EpochOpened(1, 0, uint40(_now() + 100));
        vm.prank(initiator);
        registry.openTask(params, SPEC, "ipfs://spec", POLICY, 1000 * UNIT);
        vm.assertEq(_termsHash(1), termsHash, "terms hash");
    }

    /// Whatever differs between two tasks, number, initiator, terms, spec or policy, is named by another hash.
    function test_OpenTask_TermsHash_NamesAllThatIsAgreed() public {
        uint256[5] memory tasks;
        tasks[0] = _open(initiator, _params(), SPEC, POLICY);
        tasks[1] = _open(initiator, _params(), SPEC, POLICY);
        tasks[2] = _open(outsider, _params(), SPEC, POLICY);
        TaskParams memory params = _params();
        params.verdictSlashBps += 1;
        tasks[3] = _open(initiator, params, SPEC, POLICY);
        tasks[4] = _open(initiator, _params(), keccak256("another spec"), ROOT);
        for (uint256 i; i < 5; ++i) {
            for (uint256 j; j < i; ++j) {
                vm.assertTrue(_termsHash(tasks[i]) != _termsHash(tasks[j]), "the same hash");
            }
        }
    }

    function testFuzz_ParamsOf_GivesBackWhatWasOpened(TaskParams memory params) public {
        for (uint256 kind; kind < 4; ++kind) {
            params.kinds[kind].unitPrice = uint128(_bound(params.kinds[kind].unitPrice, kind, 1e20));
            params.kinds[kind].detectionBps = uint16(_bound(params.kinds[kind].detectionBps, 1, 10_000));
        }
        params.maxSubmissionUnits = uint16(_bound(params.maxSubmissionUnits, 1, type(uint16).max));
        params.maxSubmissionsEach = uint16(_bound(params.maxSubmissionsEach, 1, type(uint16).max));
        params.maxEpochUnits = uint32(_bound(params.maxEpochUnits, params.maxSubmissionUnits, 1e6));
        params.samplingBps = uint16(_bound(params.samplingBps, 1, 10_000));
        params.quorumBps = uint16(_bound(params.quorumBps, 5001, 10_000));
        params.fraudSlash = uint128(_bound(params.fraudSlash, 1e34, 1e35));
        params.trainerBond = uint128(_bound(params.trainerBond, params.fraudSlash, 1e38));
        params.verifierBond = uint128(_bound(params.verifierBond, 1, 1e38));
        params.absenceSlashBps = uint16(_bound(params.absenceSlashBps, 0, 10_000));
        params.verdictSlashBps = uint16(_bound(params.verdictSlashBps, 1, 10_000));
        uint256 most = Economics.shareUp(params.verifierBond, params.verdictSlashBps);
        if (most > type(uint120).max) most = type(uint120).max;
        params.challengeBond = uint128(_bound(params.challengeBond, 1, most));
        params.jurorFee = uint128(_bound(params.jurorFee, 0, (most - params.challengeBond) / 15));
        params.verifierFee = uint128(_bound(params.verifierFee, 0, 1e30));
        params.protocolVersion = uint16(_bound(params.protocolVersion, 1, type(uint16).max));
        params.commitWindow = uint32(_bound(params.commitWindow, MIN_WINDOW, 99));
        params.attestWindow = uint32(_bound(params.attestWindow, MIN_WINDOW, 199));
        params.revealWindow = uint32(_bound(params.revealWindow, MIN_WINDOW, 199));
        params.challengeWindow = uint32(_bound(params.challengeWindow, 2 * MIN_WINDOW, 99));
        if (params.panelClass == bytes32(0)) params.challengeWindow = 0; // any reason will do
        params.appealWindow = uint32(_bound(params.appealWindow, 199, 500));
        uint256 taskId = _openTask(params, 1e32);
        bytes32 expected = keccak256(abi.encode(params));
        vm.assertEq(keccak256(abi.encode(registry.paramsOf(taskId))), expected, "another set of parameters");
    }

    function test_OpenTask_TermsCannotBeRun() public {
        address terms = registry.termsOf(_openTask());
        vm.assertEq(terms.code.length, 327, "terms");
        vm.assertEq(uint8(terms.code[0]), 0, "STOP");
    }

    function test_OpenTask_BadParams_Reverts() public {
        TaskParams memory params = _params();
        params.kinds[0].unitPrice = 0;
        _assertBad(params, "unitPrice");
        params = _params();
        params.maxSubmissionUnits = 0;
        _assertBad(params, "maxSubmissionUnits");
        params = _params();
        params.maxSubmissionsEach = 0;
        _assertBad(params, "maxSubmissionsEach");
        params = _params();
        params.maxEpochUnits = 9;
        _assertBad(params, "maxEpochUnits");
        params = _params();
        params.trainerBond = params.fraudSlash - 1;
        _assertBad(params, "trainerBond");
        params = _params();
        params.verifierBond = 0;
        _assertBad(params, "verifierBond");
        params = _params();
        params.protocolVersion = 0;
        _assertBad(params, "protocolVersion");
        params = _params();
        params.jurorFee = uint128(type(uint120).max) + 1; // nobody could challenge
        _assertBad(params, "jurorFee");
        params = _params();
        params.challengeBond = uint128(type(uint120).max) + 1;
        _assertBad(params, "challengeBond");
    }

    function test_OpenTask_BadRates_Reverts() public {
        TaskParams memory params = _params();
        params.kinds[0].detectionBps = 0;
        _assertBad(params, "detectionBps");
        params.kinds[0].detectionBps = 10_001;
        _assertBad(params, "detectionBps");
        params = _params();
        params.quorumBps = 5000;
        _assertBad(params, "quorumBps");
        params.quorumBps = 10_001;
        _assertBad(params, "quorumBps");
        params = _params();
        params.samplingBps = 0;
        _assertBad(params, "samplingBps");
        params.samplingBps = 10_001;
        _assertBad(params, "samplingBps");
        params = _params();
        params.absenceSlashBps = 10_001;
        _assertBad(params, "absenceSlashBps");
        params = _params();
        params.verdictSlashBps = 10_001;
        _assertBad(params, "verdictSlashBps");
    }

    function test_OpenTask_BadWindows_Reverts() public {
        TaskParams memory params = _params();
        params.commitWindow = MIN_WINDOW - 1;
        _assertBad(params, "commitWindow");
        params = _params();
        params.attestWindow = MIN_WINDOW - 1;
        _assertBad(params, "attestWindow");
        params = _params();
        params.revealWindow = MIN_WINDOW - 1;
        _assertBad(params, "revealWindow");
        params = _params();
        params.challengeWindow = 2 * MIN_WINDOW - 1; // nobody whom a plant blames could object
        _assertBad(params, "challengeWindow");
        params = _params();
        params.challengeBond = 0;
        _assertBad(params, "challengeBond");
        params = _params();
        // Who is blamed would lose less by silence than by objecting in vain, or by being right.
        params.challengeBond = params.verifierBond / 2 - 15 * params.jurorFee + 1;
        _assertBad(params, "challengeBond");
        params = _params();
        params.jurorFee = (params.verifierBond / 2 - params.challengeBond) / 15 + 1;
        _assertBad(params, "challengeBond");
        params = _params();
        params.verdictSlashBps = 0; // nobody would answer for a verdict
        _assertBad(params, "challengeBond");
        params = _params();
        params.appealWindow = params.attestWindow - 1;
        _assertBad(params, "appealWindow");
        params = _params();
        params.revealWindow = params.appealWindow + 1;
        _assertBad(params, "appealWindow");
    }

    /// Terms that leave no time to act in would disarm who they are to protect.
    function testFuzz_OpenTask_WithAWindowUnderTheLeast_Reverts(uint8 which, uint32 window) public {
        TaskParams memory params = _params();
        window = uint32(_bound(window, 0, MIN_WINDOW - 1));
        string[3] memory names = ["commitWindow", "attestWindow", "revealWindow"];
        if (which % 3 == 0) params.commitWindow = window;
        if (which % 3 == 1) params.attestWindow = window;
        if (which % 3 == 2) params.revealWindow = window;
        _assertBad(params, names[which % 3]);
    }

    function test_Deploy_WithoutALeastWindow_Reverts() public {
        Deployment memory deployment;
        vm.expectRevert(ITaskRegistry.NoMinWindow.selector);
        new TaskRegistry(deployment, 0);
    }

    function test_OpenTask_WithoutChallenges_NeedsNeitherTheirBondNorTheirWindow() public {
        TaskParams memory params = _params();
        (params.challengeWindow, params.challengeBond, params.appealWindow) = (0, 0, 0);
        _openTask(params, 1000 * UNIT);
    }

    /// Where every submission is replayed in full no slash is needed; a bond still is.
    function test_OpenTask_WhereNoCheatEscapes_NeedsNoSlash() public {
        TaskParams memory params = _params();
        (params.samplingBps, params.fraudSlash, params.trainerBond) = (10_000, 0, 0);
        _assertBad(params, "trainerBond");
        params.trainerBond = 1;
        _openTask(params, 1000 * UNIT);
    }

    function test_OpenTask_WindowsAsLongAsUnbonding_Reverts() public {
        TaskParams memory params = _params();
        // Twice 100 to attest, twice 100 to reveal, 100 to challenge, three times 633 to appeal: one second is too
        // much.
        (params.commitWindow, params.appealWindow) = (101, 633);
        vm.expectRevert(abi.encodeWithSelector(ITaskRegistry.WindowsTooLong.selector, UNBONDING, UNBONDING));
        registry.openTask(params, 0, "", POLICY, 1000 * UNIT);
        params.commitWindow = 100;
        _openTask(params, 1000 * UNIT);
    }

    function test_OpenTask_CheatingPays_Reverts() public {
        TaskParams memory params = _params();
        params.fraudSlash = 48 * UNIT - 1;
        vm.expectRevert(_cheatingPays(SubmissionKind.Full, 48 * UNIT - 1, 48 * UNIT));
        registry.openTask(params, 0, "", POLICY, 1000 * UNIT);
        params.fraudSlash = 48 * UNIT;
        _openTask(params, 1000 * UNIT);
    }

    /// Each kind that has a price is asked, by its own price and by how well cheating in it is found.
    function testFuzz_OpenTask_CheatingPaysWithAnyKind_Reverts(uint8 which, uint64 price, uint16 sampled, uint16 found)
        public
    {
        uint256 kind = which % 4;
        TaskParams memory params = _params();
        params.kinds[0].unitPrice = 0;
        params.samplingBps = uint16(_bound(sampled, 1, 9999));
        params.kinds[kind] = KindTerms(uint128(price) + 1, uint16(_bound(found, 1, 10_000)));
        uint256 needed =
            Economics.neededSlash(10 * (uint256(price) + 1), params.samplingBps, params.kinds[kind].detectionBps);
        (params.fraudSlash, params.trainerBond) = (uint128(needed - 1), uint128(needed));
        vm.expectRevert(_cheatingPays(SubmissionKind(kind), needed - 1, needed));
        registry.openTask(params, 0, "", POLICY, 10_000 * UNIT);
        params.fraudSlash = uint128(needed);
        _openTask(params, 10_000 * UNIT);
    }

    /// A cheap kind in which a cheat is seldom found needs as much as a dear one in which it always is.
    function test_OpenTask_ASeldomFoundKindNeedsMore() public {
        TaskParams memory params = _params();
        params.kinds[3] = KindTerms(UNIT / 10, 500); // p = 0.01: 1 × 0.99 × 1.2 / 0.01
        vm.expectRevert(_cheatingPays(SubmissionKind.Labels, 50 * UNIT, 118.8 ether));
        registry.openTask(params, 0, "", POLICY, 1000 * UNIT);
        (params.fraudSlash, params.trainerBond) = (118.8 ether, 118.8 ether);
        _openTask(params, 1000 * UNIT);
    }

    /// What a kind without a price says about detection means nothing.
    function test_OpenTask_KindWithoutAPrice_IsNotAsked() public {
        TaskParams memory params = _params();
        params.kinds[1] = KindTerms(0, 0);
        params.kinds[2] = KindTerms(0, type(uint16).max);
        _openTask(params, 1000 * UNIT);
    }

    /// An epoch reserves what it costs if all its units are of the dearest kind.
    function test_OpenTask_ReservesByTheDearestKind() public {
        TaskParams memory params = _params();
        params.kinds[2] = KindTerms(UNIT / 2, 10_000);
        params.kinds[1] = KindTerms(UNIT + 1, 10_000);
        uint256 taskId = _openTask(params, 1000 * UNIT);
        _assertMoney(taskId, 897 * UNIT - 100, 103 * UNIT + 100, false);
    }

    function test_OpenTask_WithoutPolicy_Reverts() public {
        vm.expectRevert(ITaskRegistry.EmptyRoot.selector);
        registry.openTask(_params(), 0, "", 0, 1000 * UNIT);
    }

    function test_OpenTask_BudgetBelowOneEpoch_Reverts() public {
        uint128 needed = 103 * UNIT;
        vm.expectRevert(abi.encodeWithSelector(ITaskRegistry.BudgetTooSmall.selector, needed - 1, needed));
        registry.openTask(_params(), 0, "", POLICY, needed - 1);
        _assertMoney(_openTask(_params(), needed), 0, needed, false);
    }

    /// No budget is large enough for an epoch whose cost no amount can hold.
    function test_OpenTask_EpochThatCostsMoreThanThereIs_Reverts() public {
        TaskParams memory params = _params();
        (params.samplingBps, params.maxEpochUnits) = (10_000, type(uint32).max); // no slash is needed
        params.kinds[0].unitPrice = type(uint128).max;
        uint256 needed = uint256(type(uint32).max) * type(uint128).max + 3 * UNIT;
        vm.expectRevert(abi.encodeWithSelector(ITaskRegistry.BudgetTooSmall.selector, type(uint128).max, needed));
        registry.openTask(params, 0, "", POLICY, type(uint128).max);
    }

    /// Readers check what an URI is: here any bytes are one, up to 512 of them.
    function testFuzz_OpenTask_UriOfAnyBytes(bytes calldata seed, uint16 length) public {
        bytes memory uri = new bytes(length % 513);
        for (uint256 i; i < uri.length && seed.length > 0; ++i) {
            uri[i] = seed[i % seed.length];
        }
        _fund(initiator, address(registry), 1000 * UNIT);
        bytes32 seed_ = keccak256(abi.encode(bytes32(0), uint256(1), SPEC));
        bytes32 termsHash = keccak256(abi.encode(uint256(1), initiator, _params(), SPEC, POLICY));
        vm.prevrandao(0);
        vm.expectEmit(address(registry));
        emit ITaskRegistry.TaskOpened(1, initiator, _params(), SPEC, string(uri), POLICY, termsHash, seed_);
        vm.prank(initiator);
        registry.openTask(_params(), SPEC, string(uri), POLICY, 1000 * UNIT);
    }

    function testFuzz_OpenTask_UriTooLong_Reverts(uint16 more) public {
        uint256 length = 513 + uint256(more);
        vm.expectRevert(abi.encodeWithSelector(ITaskRegistry.UriTooLong.selector, length, 512));
        registry.openTask(_params(), SPEC, string(new bytes(length)), POLICY, 1000 * UNIT);
    }

    // fundTask, closeTask, refundTask

    function test_UnknownTask_Reverts() public {
        bytes memory unknown = abi.encodeWithSelector(ITaskRegistry.UnknownTask.selector, 7);
        vm.expectRevert(unknown);
        registry.fundTask(7, 1);
        vm.expectRevert(unknown);
        registry.closeTask(7);
        vm.expectRevert(unknown);
        registry.refundTask(7);
        vm.expectRevert(unknown);
        registry.paramsOf(7);
        vm.expectRevert(unknown);
        registry.termsOf(7);
        vm.expectRevert(unknown);
        registry.originOf(7);
        vm.expectRevert(unknown);
        commitments.enlist(7, 0);
        vm.expectRevert(unknown);
        commitments.openEpoch(7);
        vm.expectRevert(unknown);
        verifiers.enlist(7, 0, 1, address(0));
        _assertMoney(7, 0, 0, false);
    }

    function test_FundTask_ByAnybody_AddsToTheBudget() public {
        uint256 taskId = _openTask();
        _fund(outsider, address(registry), 5 * UNIT);
        vm.expectEmit(address(registry));
        emit ITaskRegistry.TaskFunded(taskId, outsider, 5 * UNIT);
        vm.prank(outsider);
        registry.fundTask(taskId, 5 * UNIT);
        _assertMoney(taskId, 902 * UNIT, 103 * UNIT, false);
        vm.assertEq(token.balanceOf(address(registry)), 1005 * UNIT, "held");
    }

    function test_FundTask_RunDry_OpensTheNextEpoch() public {
        uint256 taskId = _staff(_openTask(_params(), 103 * UNIT));
        _commitAllAndSeal(taskId);
        _assertOpen(taskId, 1, false);
        _fund(outsider, address(registry), 50 * UNIT);
        vm.prank(outsider);
        registry.fundTask(taskId, 33 * UNIT - 1); // 70 came back at the seal
        _assertOpen(taskId, 1, false);
        vm.prank(outsider);
        registry.fundTask(taskId, 1);
        _assertOpen(taskId, 1, true);
        _assertMoney(taskId, 0, 136 * UNIT, false);
    }

    function test_FundTask_WithNothing_OpensAnEpochThatClaimsPaidFor() public {
        uint256 taskId = _staff(_openTask(_params(), 132 * UNIT));
        _commitAllAndSeal(taskId); // leaves a budget of 99
        _judge(taskId, 0, hex"000000");
        _assertOpen(taskId, 1, false);
        payouts.claim(_refs(_ref(taskId, 0, trainer, 0)));
        registry.fundTask(taskId, 0);
        _assertOpen(taskId, 1, true);
    }

    function test_CloseTask_ByAnOutsider_Reverts() public {
        uint256 taskId = _openTask();
        vm.prank(outsider);
        vm.expectRevert(abi.encodeWithSelector(ITaskRegistry.NotInitiator.selector, outsider, initiator));
        registry.closeTask(taskId);
    }

    function test_Closed_Reverts() public {
        uint256 taskId = _openTask();
        vm.expectEmit(address(registry));
        emit ITaskRegistry.TaskClosed(taskId);
        _close(taskId);
        bytes memory closed = abi.encodeWithSelector(ITaskRegistry.TaskIsClosed.selector, taskId);
        vm.expectRevert(closed);
        registry.fundTask(taskId, 1);
        vm.prank(initiator);
        vm.expectRevert(closed);
        registry.closeTask(taskId);
    }

    function test_CloseTask_WithoutSubmissions_GivesTheEpochOneMoreWindow() public {
        uint256 taskId = _openTask();
        _wait(70);
        uint40 commitBy = uint40(_now()) + 100;
        vm.expectEmit(address(commitments));
        emit ICommitments.EpochOpened(taskId, 0, commitBy);
        _close(taskId);
        (,,, uint40 actual) = commitments.epochOf(taskId, 0);
        vm.assertEq(actual, commitBy, "a whole window");
        registry.refundTask(taskId);
        vm.assertEq(token.balanceOf(initiator), 897 * UNIT, "what is not reserved");
        _wait(100);
        commitments.abandonEpoch(taskId);
        registry.refundTask(taskId);
        vm.assertEq(token.balanceOf(initiator), 1000 * UNIT, "all of it");
    }

    function test_CloseTask_WithSubmissions_LetsTheEpochRun() public {
        uint256 taskId = _staffedTask();
        _commit(taskId, trainer);
        (,,, uint40 commitBy) = commitments.epochOf(taskId, 0);
        _close(taskId);
        (,,, uint40 actual) = commitments.epochOf(taskId, 0);
        vm.assertEq(actual, commitBy, "its window");
        _commit(taskId, secondTrainer);
        _commit(taskId, thirdTrainer);
        attestations.sealEpoch(taskId);
        _assertOpen(taskId, 1, false);
        _judge(taskId, 0, hex"646400");
        registry.refundTask(taskId);
        vm.assertEq(token.balanceOf(initiator), 9694 * UNIT / 10, "all but 30 units and the fee of two submissions");
        payouts.claim(_refs(_ref(taskId, 0, thirdTrainer, 2)));
        vm.expectEmit(address(registry));
        emit ITaskRegistry.TaskRefunded(taskId, initiator, 10 * UNIT);
        vm.prank(outsider);
        registry.refundTask(taskId);
        vm.assertEq(token.balanceOf(initiator), 9794 * UNIT / 10, "what the claim released");
    }

    /// The bytes of a submission are with others before it is committed: whenever the task is closed, it is committed
    /// and paid.
    function testFuzz_CloseTask_BeforeTheFirstSubmission_RobsNobody(uint16 closed, uint16 committed) public {
        uint256 taskId = _staffedTask();
        _wait(closed);
        _close(taskId);
        registry.refundTask(taskId);
        _wait(committed % 100);
        _assertIsPaid(taskId, trainer);
    }

    /// Who was too slow for two epochs can be delisted by anybody; not so that its initiator keeps a submission of the
    /// last one.
    function test_CloseTask_AfterDelistingWhoIsSlow_RobsNobody() public {
        uint256 taskId = _staffedTask();
        _bond(secondTrainer, Role.Trainer, 100 * UNIT);
        for (uint256 i; i < 3; ++i) {
            _commit(taskId, secondTrainer);
            _wait(100);
            commitments.closeEpoch(taskId);
            vm.roll(vm.getBlockNumber() + 2);
            attestations.sealEpoch(taskId);
        }
        vm.startPrank(initiator);
        commitments.delist(taskId, trainer);
        registry.closeTask(taskId);
        vm.stopPrank();
        bytes32 termsHash = _termsHash(taskId);
        vm.prank(trainer);
        commitments.enlist(taskId, termsHash);
        _assertIsPaid(taskId, trainer);
    }

    function test_CloseTask_OfOneThatIsDry_OpensNothing() public {
        uint256 taskId = _staff(_openTask(_params(), 103 * UNIT));
        _commitAllAndSeal(taskId);
        _close(taskId);
        _assertOpen(taskId, 1, false);
        registry.refundTask(taskId);
        commitments.openEpoch(taskId);
        _assertOpen(taskId, 1, false);
    }

    function test_RefundTask_StillRunning_Reverts() public {
        uint256 taskId = _openTask();
        vm.expectRevert(abi.encodeWithSelector(ITaskRegistry.NothingToRefund.selector, taskId));
        registry.refundTask(taskId);
    }

    function test_RefundTask_Again_Reverts() public {
        uint256 taskId = _openTask();
        _close(taskId);
        registry.refundTask(taskId);
        vm.expectRevert(abi.encodeWithSelector(ITaskRegistry.NothingToRefund.selector, taskId));
        registry.refundTask(taskId);
        vm.assertEq(token.balanceOf(address(registry)), 103 * UNIT, "what is reserved stays");
    }

    // maxEpochs

    function test_MaxEpochs_ClosesTheTaskWithItsLastSeal() public {
        TaskParams memory params = _params();
        params.maxEpochs = 2;
        uint256 taskId = _staff(_openTask(params, 1000 * UNIT));
        _bond(trainer, Role.Trainer, 40 * UNIT);
        _bond(secondTrainer, Role.Trainer, 40 * UNIT);
        _bond(thirdTrainer, Role.Trainer, 40 * UNIT);
        _commitAllAndSeal(taskId);
        _assertOpen(taskId, 1, true);
        _assertIsClosed(taskId, false);
        _judge(taskId, 0, hex"646464");
        _commit(taskId, trainer);
        _commit(taskId, secondTrainer);
        _commit(taskId, thirdTrainer);
        vm.expectEmit(address(registry));
        emit ITaskRegistry.TaskClosed(taskId);
        attestations.sealEpoch(taskId);
        _assertOpen(taskId, 2, false);
        _assertIsClosed(taskId, true);
        commitments.openEpoch(taskId);
        _assertOpen(taskId, 2, false);
        _judge(taskId, 1, hex"646464");
        registry.refundTask(taskId);
        vm.assertEq(token.balanceOf(initiator), 9382 * UNIT / 10, "all but two epochs with three submissions each");
        vm.assertEq(payouts.claim(_refs(_ref(taskId, 1, trainer, 0))), 10 * UNIT, "still paid");
    }

    function test_MaxEpochs_AfterTheLast_NobodyJoins() public {
        TaskParams memory params = _params();
        params.maxEpochs = 1;
        uint256 taskId = _staff(_openTask(params, 1000 * UNIT));
        _commitAllAndSeal(taskId);
        _bond(outsider, Role.Trainer, 60 * UNIT);
        bytes memory closed = abi.encodeWithSelector(ICommitments.TaskIsClosed.selector, taskId);
        bytes32 termsHash = _termsHash(taskId);
        vm.prank(outsider);
        vm.expectRevert(closed);
        commitments.enlist(taskId, termsHash);
        vm.expectRevert(abi.encodeWithSelector(ITaskRegistry.TaskIsClosed.selector, taskId));
        registry.fundTask(taskId, 0);
    }

    // what only the other contracts may call

    function test_Money_ByAnybodyElse_Reverts() public {
        uint256 taskId = _openTask();
        _assertMayNot(outsider, abi.encodeCall(registry.reserveEpoch, (taskId, 1)));
        _assertMayNot(outsider, abi.encodeCall(registry.free, (taskId, 1)));
        _assertMayNot(outsider, abi.encodeCall(registry.pay, (taskId, outsider, 1, 1)));
        _assertMayNot(address(attestations), abi.encodeCall(registry.reserveEpoch, (taskId, 1)));
        _assertMayNot(address(payouts), abi.encodeCall(registry.free, (taskId, 1)));
        _assertMayNot(address(appeals), abi.encodeCall(registry.free, (taskId, 1)));
        _assertMayNot(address(plants), abi.encodeCall(registry.free, (taskId, 1)));
        _assertMayNot(address(commitments), abi.encodeCall(registry.pay, (taskId, outsider, 1, 1)));
        _assertMayNot(initiator, abi.encodeCall(registry.pay, (taskId, initiator, 1, 1)));
    }

    /// Not even those who may can pay or free more than is reserved, or pay more than they release.
    function test_Money_MoreThanIsReserved_Reverts() public {
        uint256 taskId = _openTask();
        vm.startPrank(address(payouts));
        vm.expectRevert();
        registry.pay(taskId, outsider, 1, 103 * UNIT + 1);
        vm.expectRevert();
        registry.pay(taskId, outsider, 2, 1);
        vm.stopPrank();
        vm.prank(address(attestations));
        vm.expectRevert();
        registry.free(taskId, 103 * UNIT + 1);
        _assertMoney(taskId, 897 * UNIT, 103 * UNIT, false);
    }

    function _assertMayNot(address caller, bytes memory data) private {
        vm.prank(caller);
        (bool success, bytes memory why) = address(registry).call(data);
        vm.assertFalse(success, "refused");
        bytes memory refused = abi.encodeWithSelector(ITaskRegistry.NotAuthorised.selector, caller);
        vm.assertEq(keccak256(why), keccak256(refused), "for the reason that counts");
    }

    function _assertBad(TaskParams memory params, string memory what) private {
        vm.expectRevert(abi.encodeWithSelector(ITaskRegistry.BadParams.selector, what));
        registry.openTask(params, 0, "", POLICY, 1000 * UNIT);
    }

    function _assertMoney(uint256 taskId, uint256 budget, uint256 reserved, bool isClosed) private view {
        (uint256 budget_, uint256 reserved_, bool isClosed_) = registry.moneyOf(taskId);
        vm.assertEq(budget_, budget, "budget");
        vm.assertEq(reserved_, reserved, "reserved");
        vm.assertTrue(isClosed_ == isClosed, "closed");
    }

    function _assertIsClosed(uint256 taskId, bool expected) private view {
        (,, bool isClosed) = registry.moneyOf(taskId);
        vm.assertTrue(isClosed == expected, "closed");
    }

    function _assertOpen(uint256 taskId, uint64 epoch, bool expected) private view {
        (uint64 openEpoch, bool isOpen,,) = commitments.openEpochOf(taskId);
        vm.assertEq(openEpoch, epoch, "epoch");
        vm.assertTrue(isOpen == expected, "open");
    }

    /// Its only submission of the open epoch is committed, judged and paid.
    function _assertIsPaid(uint256 taskId, address operator) private {
        uint64 epoch = _openEpoch(taskId);
        _commit(taskId, operator);
        _wait(100);
        commitments.closeEpoch(taskId);
        vm.roll(vm.getBlockNumber() + 2);
        attestations.sealEpoch(taskId);
        _judge(taskId, epoch, hex"64");
        _assertPhase(taskId, epoch, EpochPhase.Final);
        payouts.claim(_refs(_ref(taskId, epoch, operator, 0)));
        vm.assertEq(token.balanceOf(operator), 10 * UNIT, "paid");
    }

    function _close(uint256 taskId) private {
        vm.prank(initiator);
        registry.closeTask(taskId);
    }

    function _open(address who, TaskParams memory params, bytes32 specHash, bytes32 policyRoot)
        private
        returns (uint256)
    {
        _fund(who, address(registry), 1000 * UNIT);
        vm.prank(who);
        return registry.openTask(params, specHash, "", policyRoot, 1000 * UNIT);
    }

    function _cheatingPays(SubmissionKind kind, uint256 slash, uint256 needed) private pure returns (bytes memory) {
        return abi.encodeWithSelector(ITaskRegistry.CheatingPays.selector, kind, slash, needed);
    }
}
