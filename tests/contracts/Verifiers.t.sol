// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {EpochPhase, IAttestations} from "../../contracts/interfaces/IAttestations.sol";
import {IStaking, Role} from "../../contracts/interfaces/IStaking.sol";
import {TaskParams, SubmissionKind} from "../../contracts/interfaces/ITaskRegistry.sol";
import {IVerifiers} from "../../contracts/interfaces/IVerifiers.sol";
import {Tokens} from "../../contracts/libraries/Tokens.sol";
import {Network} from "./Network.sol";

contract VerifiersTest is Network {
    bytes private constant GOOD = hex"646464";

    // enlist

    function test_Enlist_LocksItsWeight() public {
        uint256 taskId = _openTask();
        _bond(verifier, Role.Verifier, 250 * UNIT);
        bytes32 termsHash = _termsHash(taskId);
        vm.expectEmit(address(verifiers));
        emit IVerifiers.VerifierEnlisted(taskId, verifier, 150 * UNIT, 0);
        vm.prank(verifier);
        verifiers.enlist(taskId, termsHash, 150 * UNIT, address(0));
        _assertLocked(verifier, 150 * UNIT);
        _assertCollateral(taskId, verifier, 150 * UNIT, 0);
        _assertElectorate(taskId, 150 * UNIT, 1);
        vm.assertEq(verifiers.weightAt(taskId, 0, verifier), 150 * UNIT, "weight");
        vm.assertTrue(verifiers.isEnlisted(taskId, verifier), "enlisted");
        vm.assertEq(verifiers.weightAt(taskId + 1, 0, verifier), 0, "not of another task");
    }

    function test_Enlist_ByTheWorkerKey_EnlistsItsOperator() public {
        uint256 taskId = _openTask();
        _bond(verifier, Role.Verifier, 100 * UNIT);
        address worker = _nameWorker(verifier, 50);
        bytes32 termsHash = _termsHash(taskId);
        vm.prank(worker);
        verifiers.enlist(taskId, termsHash, 100 * UNIT, address(0));
        vm.assertTrue(verifiers.isEnlisted(taskId, verifier), "operator");
        vm.assertFalse(verifiers.isEnlisted(taskId, worker), "not the key");
        vm.prank(worker);
        verifiers.delist(taskId);
        vm.assertFalse(verifiers.isEnlisted(taskId, verifier), "left");
    }

    /// Anyone who opens another task under the number that a verifier has seen (first, or after a reorganisation) has
    /// nothing.
    function test_Enlist_ForOtherTermsThanItHasSeen_Reverts() public {
        uint256 seen = _openTask();
        bytes32 meant = _termsHash(seen);
        TaskParams memory hostile = _params();
        (hostile.verdictSlashBps, hostile.absenceSlashBps) = (10_000, 10_000);
        uint256 taskId = _openTask(hostile, 1000 * UNIT);
        bytes32 actual = _termsHash(taskId);
        _bond(verifier, Role.Verifier, 1000 * UNIT);
        vm.prank(verifier);
        vm.expectRevert(abi.encodeWithSelector(IVerifiers.WrongTerms.selector, taskId, meant, actual));
        verifiers.enlist(taskId, meant, 1000 * UNIT, address(0));
        _assertLocked(verifier, 0);
    }

    function test_Enlist_WithTooLittleWeight_Reverts() public {
        uint256 taskId = _openTask();
        _bond(verifier, Role.Verifier, 1000 * UNIT);
        _assertEnlistReverts(
            taskId,
            verifier,
            100 * UNIT - 1,
            address(0),
            abi.encodeWithSelector(IVerifiers.WeightTooSmall.selector, 100 * UNIT - 1, 100 * UNIT)
        );
    }

    function test_Enlist_WithMoreWeightThanBond_Reverts() public {
        uint256 taskId = _openTask();
        _bond(verifier, Role.Verifier, 200 * UNIT);
        _assertEnlistReverts(
            taskId,
            verifier,
            200 * UNIT + 1,
            address(0),
            abi.encodeWithSelector(IStaking.InsufficientBond.selector, verifier, 200 * UNIT, 200 * UNIT + 1)
        );
    }

    /// Stake that was borrowed for one block counts for nothing.
    function test_Enlist_WithBondOfTheSameBlock_Reverts() public {
        uint256 taskId = _staffedTask();
        _fund(outsider, address(staking), 10_000 * UNIT);
        vm.prank(outsider);
        staking.bond(Role.Verifier, 10_000 * UNIT);
        _assertEnlistReverts(
            taskId,
            outsider,
            100 * UNIT,
            address(0),
            abi.encodeWithSelector(IStaking.InsufficientBond.selector, outsider, 0, 100 * UNIT)
        );
        vm.prank(outsider);
        staking.requestUnbond(Role.Verifier, 10_000 * UNIT); // and is not had back for the period
        vm.prank(outsider);
        vm.expectRevert(abi.encodeWithSelector(IStaking.StillUnbonding.selector, outsider, _now() + UNBONDING));
        staking.withdraw(Role.Verifier);
        _assertElectorate(taskId, 300 * UNIT, 3);
    }

    function test_Enlist_Twice_Reverts() public {
        uint256 taskId = _openTask();
        _enlistVerifier(taskId, verifier, 100 * UNIT);
        _bond(verifier, Role.Verifier, 100 * UNIT);
        _assertEnlistReverts(
            taskId,
            verifier,
            100 * UNIT,
            address(0),
            abi.encodeWithSelector(IVerifiers.AlreadyEnlisted.selector, taskId, verifier)
        );
    }

    function test_Enlist_ForASecondTask_NeedsASecondBond() public {
        (uint256 first, uint256 second) = (_openTask(), _openTask());
        _enlistVerifier(first, verifier, 100 * UNIT);
        _assertEnlistReverts(
            second,
            verifier,
            100 * UNIT,
            address(0),
            abi.encodeWithSelector(IStaking.InsufficientBond.selector, verifier, 0, 100 * UNIT)
        );
        _enlistVerifier(second, verifier, 120 * UNIT);
        _assertLocked(verifier, 220 * UNIT);
    }

    function test_Enlist_BeforeTheEpochHasSubmissions_JudgesIt() public {
        uint256 taskId = _staffedTask();
        _enlistVerifier(taskId, outsider, 500 * UNIT);
        _commitAllAndSeal(taskId);
        _assertTally(taskId, 0, 800 * UNIT, 4);
        _commitReport(taskId, 0, outsider, GOOD);
    }

    /// Somebody as heavy as all others comes once trainers have committed, to make their epoch void by silence, or, yet
    /// heavier, to judge it.
    function test_Enlist_WhileTheOpenEpochHasSubmissions_JudgesTheNext() public {
        uint256 taskId = _staffedTask();
        _commit(taskId, trainer);
        _enlistVerifier(taskId, outsider, 700 * UNIT);
        vm.prank(outsider);
        verifiers.delist(taskId);
        _commit(taskId, secondTrainer);
        _commit(taskId, thirdTrainer);
        attestations.sealEpoch(taskId);
        _assertTally(taskId, 0, 300 * UNIT, 3);
        _judge(taskId, 0, GOOD);
        vm.assertEq(payouts.claim(_refs(_ref(taskId, 0, trainer, 0))), 10 * UNIT, "paid as it could expect");
    }

    function test_Enlist_AfterTheEpochHasClosed_JudgesTheNext() public {
        uint256 taskId = _staffedTask();
        _commit(taskId, trainer);
        _commit(taskId, secondTrainer);
        _commit(taskId, thirdTrainer);
        _enlistVerifier(taskId, outsider, 500 * UNIT);
        _assertElectorate(taskId, 300 * UNIT, 3);
        attestations.sealEpoch(taskId);
        _assertTally(taskId, 0, 300 * UNIT, 3);
        _assertElectorate(taskId, 800 * UNIT, 4);
        vm.prank(outsider);
        vm.expectRevert(abi.encodeWithSelector(IAttestations.NotEnlistedAtSeal.selector, taskId, 0, outsider));
        attestations.commitAttestation(taskId, 0, keccak256("x"), "");
    }

    /// Else anyone who has the weight that is missing would choose, knowing the seed, whether the epoch is judged.
    function test_Enlist_AfterTheEpochHasClosed_DoesNotMakeUpForTooSmallAnElectorate() public {
        uint256 taskId = _closedBeforeOneVerifier();
        _enlistVerifier(taskId, outsider, 500 * UNIT);
        // 30 to earn, 3 for verifiers, three times 50 to slash: 66.66 do not outweigh that
        attestations.sealEpoch(taskId);
        _assertPhase(taskId, 0, EpochPhase.Void);
    }

    function test_EnlistAndDelist_BeforeAnySubmission_LeavesNothing() public {
        uint256 taskId = _staffedTask();
        _enlistVerifier(taskId, outsider, 1000 * UNIT);
        vm.expectEmit(address(verifiers));
        emit IVerifiers.VerifierDelisted(taskId, outsider, 0);
        vm.prank(outsider);
        verifiers.delist(taskId);
        _commitAllAndSeal(taskId);
        _assertTally(taskId, 0, 300 * UNIT, 3);
    }

    function test_EnlistAndDelist_AfterTheClose_LeavesNothing() public {
        uint256 taskId = _closedTask();
        _enlistVerifier(taskId, outsider, 1000 * UNIT);
        vm.expectEmit(address(verifiers));
        emit IVerifiers.VerifierDelisted(taskId, outsider, 1);
        vm.prank(outsider);
        verifiers.delist(taskId);
        attestations.sealEpoch(taskId);
        _assertTally(taskId, 0, 300 * UNIT, 3);
        _assertElectorate(taskId, 300 * UNIT, 3);
    }

    // delist

    function test_Delist_NotEnlisted_Reverts() public {
        uint256 taskId = _openTask();
        vm.expectRevert(abi.encodeWithSelector(IVerifiers.NotEnlisted.selector, taskId, address(this)));
        verifiers.delist(taskId);
        _enlistVerifier(taskId, verifier, 100 * UNIT);
        vm.prank(verifier);
        verifiers.delist(taskId);
        vm.prank(verifier);
        vm.expectRevert(abi.encodeWithSelector(IVerifiers.NotEnlisted.selector, taskId, verifier));
        verifiers.delist(taskId);
    }

    /// Nobody vetoes a seal by leaving: not one, and not all at once.
    function test_Delist_WhileTheOpenEpochHasSubmissions_StillJudgesIt() public {
        uint256 taskId = _staffedTask();
        _commit(taskId, trainer);
        vm.expectEmit(address(verifiers));
        emit IVerifiers.VerifierDelisted(taskId, verifier, 1);
        _leave(taskId, verifier);
        _leave(taskId, secondVerifier);
        _commit(taskId, secondTrainer);
        _commit(taskId, thirdTrainer);
        _leave(taskId, thirdVerifier); // closed already
        attestations.sealEpoch(taskId);
        _assertTally(taskId, 0, 300 * UNIT, 3);
        _assertElectorate(taskId, 0, 0);
        _judge(taskId, 0, GOOD);
        vm.assertEq(payouts.claim(_refs(_ref(taskId, 0, trainer, 0))), 10 * UNIT, "paid");
    }

    /// And answers for it: not to come costs as much as it costs those who stay.
    function test_Delist_StillAnswersForTheOpenEpoch() public {
        uint256 taskId = _staffedTask();
        _commit(taskId, trainer);
        _leave(taskId, verifier);
        _commit(taskId, secondTrainer);
        _commit(taskId, thirdTrainer);
        attestations.sealEpoch(taskId);
        _attestWithoutTheFirst(taskId, 0);
        attestations.slashAbsence(taskId, 0, verifier);
        _assertCollateral(taskId, verifier, 95 * UNIT, uint40(_leftAt + UNBONDING));
    }

    function test_Delist_StillOwesTheSealedEpoch() public {
        uint256 taskId = _sealedTask();
        _leave(taskId, verifier);
        vm.prank(verifier);
        vm.expectRevert(abi.encodeWithSelector(IStaking.InsufficientBond.selector, verifier, 0, 1));
        staking.requestUnbond(Role.Verifier, 1);
        _attest(taskId, 0, GOOD);
        _assertPhase(taskId, 0, EpochPhase.Attested);
        _assertElectorate(taskId, 200 * UNIT, 2);
    }

    function test_Delist_BeforeAnySubmission_LeavesAtOnce() public {
        uint256 taskId = _staffedTask();
        _leave(taskId, verifier);
        _assertElectorate(taskId, 200 * UNIT, 2);
        vm.assertEq(verifiers.weightAt(taskId, 0, verifier), 0, "weight");
    }

    // releaseBond

    function test_ReleaseBond_OnceNothingIsLeftToAnswerFor() public {
        uint256 taskId = _openTask();
        _enlistVerifier(taskId, verifier, 150 * UNIT);
        vm.expectRevert(_nothingToRelease(taskId, verifier));
        verifiers.releaseBond(taskId, verifier);
        _leave(taskId, verifier);
        uint40 from = uint40(_now() + UNBONDING);
        _assertCollateral(taskId, verifier, 150 * UNIT, from);
        _wait(UNBONDING - 1);
        vm.expectRevert(abi.encodeWithSelector(IVerifiers.StillAnswerable.selector, taskId, verifier, from));
        verifiers.releaseBond(taskId, verifier);
        _wait(1);
        vm.expectEmit(address(verifiers));
        emit IVerifiers.VerifierBondReleased(taskId, verifier, 150 * UNIT);
        vm.prank(outsider);
        verifiers.releaseBond(taskId, verifier);
        _assertLocked(verifier, 0);
        vm.expectRevert(_nothingToRelease(taskId, verifier));
        verifiers.releaseBond(taskId, verifier);
    }

    function test_ReleaseBond_OfAnOutsider_Reverts() public {
        uint256 taskId = _openTask();
        vm.expectRevert(_nothingToRelease(taskId, outsider));
        verifiers.releaseBond(taskId, outsider);
    }

    function test_Enlist_WhileItsFormerBondAnswers_Reverts() public {
        uint256 taskId = _openTask();
        _enlistVerifier(taskId, verifier, 150 * UNIT);
        _leave(taskId, verifier);
        uint40 from = uint40(_now() + UNBONDING);
        _bond(verifier, Role.Verifier, 500 * UNIT);
        _assertEnlistReverts(
            taskId,
            verifier,
            100 * UNIT,
            address(0),
            abi.encodeWithSelector(IVerifiers.StillAnswerable.selector, taskId, verifier, from)
        );
        _wait(UNBONDING);
        _enlist(taskId, verifier, 200 * UNIT, address(0));
        _assertLocked(verifier, 200 * UNIT);
        _assertElectorate(taskId, 200 * UNIT, 1);
    }

    // displacement

    function test_Enlist_WithoutAPlace_Reverts() public {
        uint256 taskId = _crowdedTask();
        _bond(outsider, Role.Verifier, 1000 * UNIT);
        _assertEnlistReverts(
            taskId,
            outsider,
            1000 * UNIT,
            address(0),
            abi.encodeWithSelector(IVerifiers.ElectorateFull.selector, taskId, 64)
        );
    }

    function test_Enlist_DisplacingWhereThereIsAPlace_Reverts() public {
        uint256 taskId = _staffedTask();
        _bond(outsider, Role.Verifier, 1000 * UNIT);
        _assertEnlistReverts(
            taskId,
            outsider,
            1000 * UNIT,
            verifier,
            abi.encodeWithSelector(IVerifiers.ElectorateFull.selector, taskId, 64)
        );
    }

    function test_Enlist_DisplacingNobody_Reverts() public {
        uint256 taskId = _crowdedTask();
        _bond(outsider, Role.Verifier, 1000 * UNIT);
        bytes memory unknown = abi.encodeWithSelector(IVerifiers.NotEnlisted.selector, taskId, initiator);
        _assertEnlistReverts(taskId, outsider, 1000 * UNIT, initiator, unknown);
        unknown = abi.encodeWithSelector(IVerifiers.NotEnlisted.selector, taskId, outsider);
        _assertEnlistReverts(taskId, outsider, 1000 * UNIT, outsider, unknown);
    }

    function test_Enlist_DisplacingOneAsHeavy_Reverts() public {
        uint256 taskId = _crowdedTask();
        _bond(outsider, Role.Verifier, 1000 * UNIT);
        bytes memory lighter = abi.encodeWithSelector(IVerifiers.NotHeavier.selector, 100 * UNIT, 100 * UNIT);
        _assertEnlistReverts(taskId, outsider, 100 * UNIT, _member(0), lighter);
    }

    function test_Enlist_Displacing_TakesItsPlace() public {
        uint256 taskId = _crowdedTask();
        _bond(outsider, Role.Verifier, 1000 * UNIT);
        vm.expectEmit(address(verifiers));
        emit IVerifiers.VerifierDelisted(taskId, _member(5), 0);
        _enlist(taskId, outsider, 100 * UNIT + 1, _member(5));
        _assertElectorate(taskId, 6400 * UNIT + 1, 64);
        vm.assertFalse(verifiers.isEnlisted(taskId, _member(5)), "left");
        _assertCollateral(taskId, _member(5), 100 * UNIT, uint40(_now() + UNBONDING));
    }

    /// Who is displaced while the open epoch has submissions judges that, as who leaves; anyone who comes instead
    /// judges the next.
    function test_Enlist_DisplacingWhileTheOpenEpochHasSubmissions_CountsFromTheNext() public {
        uint256 taskId = _crowdedTask();
        _commit(taskId, trainer);
        _bond(outsider, Role.Verifier, 1000 * UNIT);
        bytes32 termsHash = _termsHash(taskId);
        vm.expectEmit(address(verifiers));
        emit IVerifiers.VerifierDelisted(taskId, _member(5), 1);
        vm.expectEmit(address(verifiers));
        emit IVerifiers.VerifierEnlisted(taskId, outsider, 1000 * UNIT, 1);
        vm.prank(outsider);
        verifiers.enlist(taskId, termsHash, 1000 * UNIT, _member(5));
        _assertElectorate(taskId, 6400 * UNIT, 64);
        _closeAndSeal(taskId);
        _assertTally(taskId, 0, 6400 * UNIT, 64);
        _assertElectorate(taskId, 7300 * UNIT, 64);
        vm.assertEq(verifiers.weightAt(taskId, 0, _member(5)), 100 * UNIT, "displaced");
        vm.assertEq(verifiers.weightAt(taskId, 0, outsider), 0, "comes later");
    }

    /// Settling what an epoch's verifiers report has to fit a transaction: they are never more than there are places,
    /// however many leave, and still judge it, while others come.
    function test_Electorate_WhereAllLeaveAndOthersCome_HasNoMoreThanItsPlaces() public {
        uint256 taskId = _crowdedTask();
        _commit(taskId, trainer);
        for (uint256 i; i < 64; ++i) {
            _leave(taskId, _member(i));
        }
        for (uint256 i = 64; i < 128; ++i) {
            _enlistVerifier(taskId, _member(i), 200 * UNIT);
        }
        _assertElectorate(taskId, 6400 * UNIT, 64);
        _bond(outsider, Role.Verifier, 1000 * UNIT);
        bytes memory full = abi.encodeWithSelector(IVerifiers.ElectorateFull.selector, taskId, 64);
        _assertEnlistReverts(taskId, outsider, 1000 * UNIT, address(0), full);
        _closeAndSeal(taskId);
        _assertTally(taskId, 0, 6400 * UNIT, 64);
        _assertElectorate(taskId, 12_800 * UNIT, 64);
    }

    // slash

    function test_Slash_TakesAShareOfTheWeightInThatEpoch() public {
        uint256 taskId = _openTask();
        _enlistVerifier(taskId, verifier, 200 * UNIT);
        vm.expectEmit(address(verifiers));
        emit IVerifiers.VerifierSlashed(taskId, verifier, 50 * UNIT, 150 * UNIT, 0);
        _slash(taskId, 0, verifier, 2500);
        _assertCollateral(taskId, verifier, 150 * UNIT, 0);
        _assertElectorate(taskId, 150 * UNIT, 1);
        _assertLocked(verifier, 150 * UNIT);
        vm.assertEq(token.balanceOf(Tokens.BURNT), 50 * UNIT, "burnt");
    }

    function test_Slash_RoundsUp() public {
        uint256 taskId = _openTask();
        _enlistVerifier(taskId, verifier, 100 * UNIT + 1);
        (uint128 taken,) = _slash(taskId, 0, verifier, 1);
        vm.assertEq(taken, UNIT / 100 + 1, "rounded up");
    }

    function testFuzz_Slash_PaysAPartUpToTheCap(uint16 bps, uint16 partBps, uint128 cap) public {
        uint256 taskId = _openTask();
        _enlistVerifier(taskId, verifier, 200 * UNIT);
        (bps, partBps, cap) = (bps % 10_001, partBps % 10_001, uint128(_bound(cap, 0, 300 * UNIT)));
        vm.prank(address(appeals));
        (uint128 taken, uint128 paid) = verifiers.slash(taskId, 0, verifier, bps, outsider, partBps, cap);
        vm.assertEq(taken, 200 * UNIT * uint256(bps) / 10_000, "share");
        uint256 part = uint256(taken) * partBps / 10_000;
        vm.assertEq(paid, part < cap ? part : cap, "part");
        vm.assertEq(token.balanceOf(outsider), paid, "paid");
        vm.assertEq(token.balanceOf(Tokens.BURNT), taken - paid, "burnt");
        vm.assertEq(_bonded(verifier, Role.Verifier), 200 * UNIT - taken, "taken");
    }

    /// As often as it is slashed: for each share of what it had, until nothing is left, and never of another bond.
    function test_Slash_MoreThanIsLeft_TakesWhatIsLeft() public {
        (uint256 taskId, uint256 other) = (_openTask(), _openTask());
        _enlistVerifier(taskId, verifier, 200 * UNIT);
        _enlistVerifier(other, verifier, 100 * UNIT);
        _bond(verifier, Role.Verifier, 50 * UNIT);
        _commitOne(taskId);
        _closeAndSeal(taskId);
        (uint128 taken,) = _slash(taskId, 0, verifier, 6000);
        vm.assertEq(taken, 120 * UNIT, "of the weight in that epoch");
        (taken,) = _slash(taskId, 0, verifier, 6000);
        vm.assertEq(taken, 80 * UNIT, "what is left");
        (taken,) = _slash(taskId, 0, verifier, 6000);
        vm.assertEq(taken, 0, "nothing is left");
        _assertCollateral(other, verifier, 100 * UNIT, 0);
        vm.assertEq(_bonded(verifier, Role.Verifier), 150 * UNIT, "another task's, and what is free");
    }

    function test_Slash_OfOneThatDoesNotJudgeTheEpoch_TakesNothing() public {
        uint256 taskId = _sealedTask();
        _enlistVerifier(taskId, outsider, 100 * UNIT);
        (uint128 taken, uint128 paid) = _slash(taskId, 0, outsider, 10_000);
        vm.assertEq(taken, 0, "taken");
        vm.assertEq(paid, 0, "paid");
        _assertCollateral(taskId, outsider, 100 * UNIT, 0);
    }

    function test_Slash_BelowTheLeastWeight_EndsTheEnlistment() public {
        uint256 taskId = _openTask();
        _enlistVerifier(taskId, verifier, 110 * UNIT);
        _slash(taskId, 0, verifier, 500);
        vm.assertTrue(verifiers.isEnlisted(taskId, verifier), "enough is left");
        vm.expectEmit(address(verifiers));
        emit IVerifiers.VerifierSlashed(taskId, verifier, 52.25 ether, 52.25 ether, 0);
        vm.expectEmit(address(verifiers));
        emit IVerifiers.VerifierDelisted(taskId, verifier, 0);
        _slash(taskId, 0, verifier, 5000);
        vm.assertFalse(verifiers.isEnlisted(taskId, verifier), "too little is left");
        _assertElectorate(taskId, 0, 0);
        _assertCollateral(taskId, verifier, 52.25 ether, uint40(_now() + UNBONDING));
    }

    /// Anyone who may slash chooses when: an open epoch that has submissions keeps the judges it had when they came, or
    /// a slash that was kept back until then would make it too light, and void.
    function test_Slash_WhileTheOpenEpochHasSubmissions_ChangesTheNext() public {
        uint256 taskId = _sealedTask();
        _attestWithoutTheFirst(taskId, 0);
        _settle(taskId, 0, GOOD);
        _finalise(taskId, 0);
        _claimAll(taskId);
        _commit(taskId, trainer);
        attestations.slashAbsence(taskId, 0, verifier);
        vm.assertFalse(verifiers.isEnlisted(taskId, verifier), "too little is left");
        vm.assertEq(verifiers.weightAt(taskId, 1, verifier), 100 * UNIT, "of the open epoch");
        vm.assertEq(verifiers.weightAt(taskId, 2, verifier), 0, "of the next");
        _commit(taskId, secondTrainer);
        _commit(taskId, thirdTrainer);
        attestations.sealEpoch(taskId); // 200 alone would be too few
        _assertTally(taskId, 1, 300 * UNIT, 3);
        _assertElectorate(taskId, 200 * UNIT, 2);
    }

    /// Its bond was released, long after all was over. Enlisted again, it answers for what it judges from then on.
    function test_Slash_OfOneWhoseBondWasReleased_SparesWhatItPutUpSince() public {
        uint256 taskId = _staffedTask();
        address helper = vm.addr(501);
        address big = vm.addr(600);
        _enlistVerifier(taskId, big, 2000 * UNIT);
        _enlistVerifier(taskId, helper, 10_000 * UNIT);
        _commitAllAndSeal(taskId);
        vm.prank(big);
        verifiers.delist(taskId);
        _commitReport(taskId, 0, helper, GOOD);
        _wait(100);
        _reveal(taskId, 0, helper, GOOD);
        _wait(UNBONDING);
        verifiers.releaseBond(taskId, big);
        bytes32 termsHash = _termsHash(taskId);
        vm.prank(big);
        verifiers.enlist(taskId, termsHash, 100 * UNIT, address(0));
        attestations.slashAbsence(taskId, 0, big);
        vm.assertEq(_bonded(big, Role.Verifier), 2000 * UNIT, "whole");
        vm.assertTrue(verifiers.isEnlisted(taskId, big), "still a verifier");
    }

    /// Weights of what is closed do not change: neither who is slashed nor who slashes decides about its seal.
    function test_Slash_AfterTheEpochHasClosed_ChangesTheNext() public {
        uint256 taskId = _closedTask();
        vm.expectEmit(address(verifiers));
        emit IVerifiers.VerifierSlashed(taskId, verifier, 50 * UNIT, 50 * UNIT, 1);
        _slash(taskId, 0, verifier, 5000);
        _assertElectorate(taskId, 300 * UNIT, 3);
        attestations.sealEpoch(taskId);
        _assertTally(taskId, 0, 300 * UNIT, 3);
        _assertElectorate(taskId, 200 * UNIT, 2);
    }

    function test_Slash_OfOneThatHasLeft_TellsFromWhenItHasNoWeight() public {
        uint256 taskId = _staffedTask();
        _commit(taskId, trainer);
        _leave(taskId, verifier);
        vm.expectEmit(address(verifiers));
        emit IVerifiers.VerifierSlashed(taskId, verifier, 50 * UNIT, 0, 1);
        _slash(taskId, 0, verifier, 5000);
        vm.assertEq(verifiers.weightAt(taskId, 0, verifier), 100 * UNIT, "judges the open epoch");
        _assertCollateral(taskId, verifier, 50 * UNIT, uint40(_leftAt + UNBONDING));
    }

    function test_Slash_ByAnybodyElse_Reverts() public {
        uint256 taskId = _staffedTask();
        address[6] memory callers =
            [outsider, initiator, address(payouts), address(policies), address(panels), address(registry)];
        for (uint256 i; i < callers.length; ++i) {
            vm.prank(callers[i]);
            vm.expectRevert(abi.encodeWithSelector(IVerifiers.NotAuthorised.selector, callers[i]));
            verifiers.slash(taskId, 0, verifier, 10_000, outsider, 10_000, type(uint128).max);
        }
    }

    function test_Seal_ByAnybodyElse_Reverts() public {
        uint256 taskId = _staffedTask();
        vm.prank(address(commitments));
        vm.expectRevert(abi.encodeWithSelector(IVerifiers.NotAuthorised.selector, address(commitments)));
        verifiers.seal(taskId);
    }

    // helpers

    uint256 private _leftAt;

    function _leave(uint256 taskId, address who) private {
        _leftAt = _now();
        vm.prank(who);
        verifiers.delist(taskId);
    }

    function _enlist(uint256 taskId, address who, uint128 weight, address displaced) private {
        bytes32 termsHash = _termsHash(taskId);
        vm.prank(who);
        verifiers.enlist(taskId, termsHash, weight, displaced);
    }

    function _assertEnlistReverts(uint256 taskId, address who, uint128 weight, address displaced, bytes memory why)
        private
    {
        bytes32 termsHash = _termsHash(taskId);
        vm.prank(who);
        vm.expectRevert(why);
        verifiers.enlist(taskId, termsHash, weight, displaced);
    }

    function _slash(uint256 taskId, uint64 epoch, address who, uint16 bps) private returns (uint128, uint128) {
        vm.prank(address(attestations));
        return verifiers.slash(taskId, epoch, who, bps, address(0), 0, 0);
    }

    function _closedTask() private returns (uint256 taskId) {
        taskId = _staffedTask();
        _commit(taskId, trainer);
        _commit(taskId, secondTrainer);
        _commit(taskId, thirdTrainer);
    }

    function _closedBeforeOneVerifier() private returns (uint256 taskId) {
        taskId = _openTask();
        _enlistTrainer(taskId, trainer);
        _enlistTrainer(taskId, secondTrainer);
        _enlistTrainer(taskId, thirdTrainer);
        _enlistVerifier(taskId, verifier, 100 * UNIT);
        _commit(taskId, trainer);
        _commit(taskId, secondTrainer);
        _commit(taskId, thirdTrainer);
    }

    function _member(uint256 i) private pure returns (address) {
        return vm.addr(2000 + i);
    }

    /// 64 equal verifiers and two trainers.
    function _crowdedTask() private returns (uint256 taskId) {
        taskId = _openTask();
        _enlistTrainer(taskId, trainer);
        _enlistTrainer(taskId, secondTrainer);
        for (uint256 i; i < 64; ++i) {
            _enlistVerifier(taskId, _member(i), 100 * UNIT);
        }
    }

    function _commitOne(uint256 taskId) private {
        _enlistTrainer(taskId, trainer);
        _enlistTrainer(taskId, secondTrainer);
        _commit(taskId, trainer);
    }

    function _closeAndSeal(uint256 taskId) private {
        (,,, uint40 commitBy) = commitments.epochOf(taskId, _openEpoch(taskId));
        if (_now() < commitBy) _wait(commitBy - _now());
        commitments.closeEpoch(taskId);
        vm.roll(vm.getBlockNumber() + 2);
        attestations.sealEpoch(taskId);
    }

    function _attestWithoutTheFirst(uint256 taskId, uint64 epoch) private {
        _commitReport(taskId, epoch, secondVerifier, GOOD);
        _commitReport(taskId, epoch, thirdVerifier, GOOD);
        _wait(100);
        _reveal(taskId, epoch, secondVerifier, GOOD);
        _reveal(taskId, epoch, thirdVerifier, GOOD);
    }

    function _claimAll(uint256 taskId) private {
        payouts.claim(_refs(_ref(taskId, 0, trainer, 0)));
        payouts.claim(_refs(_ref(taskId, 0, secondTrainer, 1)));
        payouts.claim(_refs(_ref(taskId, 0, thirdTrainer, 2)));
    }

    function _assertElectorate(uint256 taskId, uint256 weight, uint256 count) private view {
        (uint128 weight_, uint16 count_) = verifiers.electorateOf(taskId);
        vm.assertEq(weight_, weight, "weight of all");
        vm.assertEq(count_, count, "how many");
    }

    function _assertTally(uint256 taskId, uint64 epoch, uint256 weight, uint256 count) private view {
        (,, uint16 count_,,,, uint128 weight_) = attestations.tallyOf(taskId, epoch);
        vm.assertEq(weight_, weight, "weight at the seal");
        vm.assertEq(count_, count, "how many at the seal");
    }

    function _assertCollateral(uint256 taskId, address who, uint256 amount, uint40 until) private view {
        (uint128 amount_, uint40 until_) = verifiers.collateralOf(taskId, who);
        vm.assertEq(amount_, amount, "collateral");
        vm.assertEq(until_, until, "until");
    }

    function _assertLocked(address who, uint256 amount) private view {
        (, uint128 locked,,) = staking.bondOf(who, Role.Verifier);
        vm.assertEq(locked, amount, "locked");
    }

    function _nothingToRelease(uint256 taskId, address who) private pure returns (bytes memory) {
        return abi.encodeWithSelector(IVerifiers.NothingToRelease.selector, taskId, who);
    }
}

/// Six verifiers of one task do whatever they like, beside a list of what they are.
contract ElectorateTest is Network {
    address[6] private _all;
    uint256 private _taskId;
    uint64 private _sealed; // how many epochs
    mapping(uint64 epoch => mapping(address => uint128)) private _weightIn;

    function setUp() public override {
        super.setUp();
        TaskParams memory params = _params();
        params.kinds[0].unitPrice = 1;
        (params.trainerBond, params.fraudSlash, params.verifierFee, params.verifierBond) = (48, 48, 0, 1000);
        (params.challengeBond, params.jurorFee) = (1, 0);
        params.maxSubmissionsEach = 100;
        _taskId = _openTask(params, 1e6);
        for (uint256 i; i < 6; ++i) {
            _all[i] = vm.addr(300 + i);
            _bond(_all[i], Role.Verifier, UNIT);
        }
        _enlistTrainer(_taskId, trainer);
        _enlistTrainer(_taskId, secondTrainer);
    }

    /// The totals are the sums over its members, in the open epoch and, once it is sealed, in the next; nobody ever
    /// counts for more than answers for it while enlisted; and what is sealed stays as it was.
    function testFuzz_Electorate_EqualsTheSumOfItsMembers(uint16[48] memory actions) public {
        for (uint256 i; i < actions.length; ++i) {
            _act(actions[i]);
            _assertSums();
            _assertMembers();
        }
        _trySeal();
        _assertSums();
        for (uint64 epoch; epoch < _sealed; ++epoch) {
            for (uint256 i; i < 6; ++i) {
                vm.assertEq(verifiers.weightAt(_taskId, epoch, _all[i]), _weightIn[epoch][_all[i]], "was sealed");
            }
        }
    }

    function _act(uint256 action) private {
        address who = _all[action % 6];
        uint256 what = action / 6 % 9;
        uint64 epoch = _openEpoch(_taskId);
        if (what < 2) {
            _tryEnlist(who, uint128(1000 + action / 54));
        } else if (what == 2) {
            vm.prank(who);
            try verifiers.delist(_taskId) {} catch {}
        } else if (what == 3) {
            vm.prank(address(attestations));
            verifiers.slash(_taskId, uint64(action / 54 % (epoch + 1)), who, uint16(action % 5000), who, 5000, 100);
        } else if (what == 4) {
            vm.prank(address(plants));
            verifiers.slash(_taskId, epoch, who, 10_000, address(0), 0, 0);
        } else if (what == 5) {
            (,,, uint16 submissions) = commitments.openEpochOf(_taskId);
            vm.prank(trainer);
            try commitments.commitSubmission(_taskId, epoch, SubmissionKind.Full, _rootOf(submissions), 10, 0, false) {}
                catch {}
        } else if (what == 6) {
            _wait(100);
            try commitments.closeEpoch(_taskId) {} catch {}
        } else if (what == 7) {
            _trySeal();
        } else {
            _wait(UNBONDING);
            try verifiers.releaseBond(_taskId, who) {} catch {}
        }
    }

    function _tryEnlist(address who, uint128 weight) private {
        bytes32 termsHash = _termsHash(_taskId);
        vm.prank(who);
        try verifiers.enlist(_taskId, termsHash, weight, address(0)) {} catch {}
    }

    function _trySeal() private {
        vm.roll(vm.getBlockNumber() + 2);
        if (!commitments.isSealable(_taskId)) return;
        (uint128 weight, uint16 count) = verifiers.electorateOf(_taskId);
        uint64 epoch = _openEpoch(_taskId);
        try attestations.sealEpoch(_taskId) {}
        catch {
            return; // too few, or the chain has forgotten the seed's block
        }
        (,, uint16 count_,,,, uint128 weight_) = attestations.tallyOf(_taskId, epoch);
        vm.assertEq(weight_, weight, "as it was to be");
        if (weight > 0) vm.assertTrue(count_ == count || count_ == 0, "as many as were to be");
        for (uint256 i; i < 6; ++i) {
            _weightIn[epoch][_all[i]] = verifiers.weightAt(_taskId, epoch, _all[i]);
        }
        _sealed = epoch + 1;
    }

    function _assertSums() private view {
        (uint256 weight, uint256 count) = _sumAt(_openEpoch(_taskId));
        (uint128 weight_, uint16 count_) = verifiers.electorateOf(_taskId);
        vm.assertEq(weight_, weight, "weight of all");
        vm.assertEq(count_, count, "how many");
    }

    function _assertMembers() private view {
        for (uint256 i; i < 6; ++i) {
            (uint128 collateral,) = verifiers.collateralOf(_taskId, _all[i]);
            (, uint128 locked,,) = staking.bondOf(_all[i], Role.Verifier);
            vm.assertEq(locked, collateral, "what answers is locked");
            uint128 weight = verifiers.weightAt(_taskId, type(uint40).max, _all[i]);
            if (verifiers.isEnlisted(_taskId, _all[i])) {
                vm.assertEq(weight, collateral, "who is enlisted answers with its weight");
                vm.assertGe(weight, 1000, "no less than is asked");
            } else {
                vm.assertEq(weight, 0, "who has left has none in the end");
            }
        }
    }

    function _sumAt(uint64 epoch) private view returns (uint256 weight, uint256 count) {
        for (uint256 i; i < 6; ++i) {
            uint128 each = verifiers.weightAt(_taskId, epoch, _all[i]);
            weight += each;
            if (each > 0) ++count;
        }
    }
}
