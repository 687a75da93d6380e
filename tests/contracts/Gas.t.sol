// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {SubmissionRef} from "../../contracts/interfaces/IPayouts.sol";
import {Role} from "../../contracts/interfaces/IStaking.sol";
import {TaskParams, SubmissionKind} from "../../contracts/interfaces/ITaskRegistry.sol";
import {Network} from "./Network.sol";

/// What of the cheatcodes only measuring needs.
interface Meter {
    function setBlockhash(uint256 blockNumber, bytes32 blockHash) external;
    function snapshotValue(string calldata group, string calldata name, uint256 value) external;
}

/// What a transaction costs its sender, intrinsic gas and calldata included. `tools/gas.py` makes tables of it.
abstract contract Metered is Network {
    function _lastGas() internal view returns (uint256) {
        return vm.lastCallGas().gasTotalUsed;
    }

    function _record(string memory name) internal {
        vm.snapshotValue(name, _lastGas());
    }

    function _assertGas(string memory name, uint256 bound) internal {
        _assertGas(name, _lastGas(), bound);
    }

    function _assertGas(string memory name, uint256 used, uint256 bound) internal {
        vm.snapshotValue(name, used);
        Meter(address(vm)).snapshotValue("GasBounds", name, bound);
        vm.assertLe(used, bound, name);
    }

    /// As a verifier commits: beside its commitment, what it needs to reveal if it loses everything else.
    function _commitSealed(uint256 taskId, uint64 epoch, address operator, address key, bytes memory report) internal {
        bytes32 commitment = _commitment(taskId, epoch, operator, report);
        bytes memory sealedReport = _noise(report.length + 64);
        vm.prank(key);
        attestations.commitAttestation(taskId, epoch, commitment, sealedReport);
    }

    /// Bytes that are almost never zero, as ciphertexts are.
    function _noise(uint256 length) internal pure returns (bytes memory noise) {
        noise = new bytes(length);
        for (uint256 i; i < length; ++i) {
            noise[i] = bytes1(uint8(uint256(keccak256(abi.encode(i)))));
        }
    }

    /// Scores that differ from each other, and from those of another `salt`, almost everywhere.
    function _scores(uint256 submissions, uint256 salt) internal pure returns (bytes memory report) {
        report = new bytes(submissions);
        for (uint256 i; i < submissions; ++i) {
            report[i] = bytes1(1 + uint8(uint256(keccak256(abi.encode(i, salt))) % 100));
        }
    }

    /// A task of many submissions: trainers with `each` of them, and verifiers whose quorum outweighs what is at stake.
    function _openLarge(uint256 submissions, uint16 each, uint256 judges, uint128 budget)
        internal
        returns (uint256 taskId)
    {
        TaskParams memory params = _params();
        (params.maxEpochUnits, params.maxSubmissionsEach, params.commitWindow) = (uint32(submissions * 10), each, 450);
        taskId = _openTask(params, budget);
        uint128 weight = uint128(submissions * 100 * UNIT / judges + 100 * UNIT);
        for (uint256 i; i < judges; ++i) {
            _enlistVerifier(taskId, _judgeAt(i), weight);
        }
        for (uint256 i; i < submissions / each; ++i) {
            _bond(_trainer(i), Role.Trainer, uint128(each) * 600 * UNIT);
            bytes32 termsHash = _termsHash(taskId);
            vm.prank(_trainer(i));
            commitments.enlist(taskId, termsHash);
        }
    }

    function _judgeAt(uint256 i) internal view returns (address) {
        return i < 3 ? vm.addr(verifierKeys[i]) : address(uint160(uint256(keccak256(abi.encode("verifier", i)))));
    }

    function _trainer(uint256 i) internal pure returns (address) {
        return address(uint160(uint256(keccak256(abi.encode("trainer", i)))));
    }
}

/// One operation each, in the steady state: its counters and balances are not zero before, and somebody else has been
/// there. Every call of this contract is a transaction.
/// forge-config: default.isolate = true
contract GasTest is Metered {
    // Bonds.

    function test_Gas_OneMoreBond() public {
        _bond(secondTrainer, Role.Trainer, 60 * UNIT);
        _bond(trainer, Role.Trainer, 60 * UNIT);
        _fund(trainer, address(staking), 200 * UNIT);
        vm.prank(trainer);
        staking.bond(Role.Trainer, 100 * UNIT);
        _assertGas("bond: one more", 65_000);
    }

    /// The peer's figure is of a first bond.
    function test_Gas_Bond() public {
        _bond(secondTrainer, Role.Trainer, 60 * UNIT);
        _fund(trainer, address(staking), 200 * UNIT);
        vm.prank(trainer);
        staking.bond(Role.Trainer, 100 * UNIT);
        _assertGas("bond", 112_000);
    }

    function test_Gas_Unbond() public {
        _bond(trainer, Role.Trainer, 60 * UNIT);
        vm.prank(trainer);
        staking.requestUnbond(Role.Trainer, 30 * UNIT);
        _record("requestUnbond");
        require(token.transfer(trainer, 1));
        _wait(UNBONDING);
        vm.prank(trainer);
        staking.withdraw(Role.Trainer);
        _record("withdraw");
    }

    function test_Gas_WorkerKey() public {
        address worker = _nameWorker(trainer, 77);
        _record("setWorkerKey");
        vm.prank(worker);
        staking.renounceWorkerKey();
        _record("renounceWorkerKey");
    }

    // Tasks.

    function test_Gas_OpenTask() public {
        TaskParams memory params = _params();
        _fund(initiator, address(registry), 2000 * UNIT + 1);
        vm.prank(initiator);
        registry.openTask(params, keccak256("spec"), "https://example.org/tasks/sort-digits.toml", POLICY, 1000 * UNIT);
        _record("openTask: the first of a deployment");
        vm.prank(initiator);
        registry.openTask(params, keccak256("spec"), "https://example.org/tasks/sort-digits.toml", POLICY, 1000 * UNIT);
        _assertGas("openTask", 306_000);
    }

    function test_Gas_FundCloseRefund() public {
        uint256 taskId = _openTask();
        _fund(initiator, address(registry), 1001 * UNIT);
        vm.prank(initiator);
        registry.fundTask(taskId, 1000 * UNIT);
        _record("fundTask");
        vm.prank(initiator);
        registry.closeTask(taskId);
        _record("closeTask");
        registry.refundTask(taskId);
        _record("refundTask");
        _wait(100);
        commitments.abandonEpoch(taskId);
        _record("abandonEpoch");
    }

    function test_Gas_EnlistTrainer() public {
        uint256 taskId = _openTask();
        _enlistTrainer(taskId, secondTrainer);
        _enlistTrainer(taskId, trainer);
        _record("enlist: a trainer");
        vm.prank(trainer);
        commitments.delist(taskId, trainer);
        _record("delist: a trainer");
    }

    function test_Gas_EnlistVerifier() public {
        uint256 taskId = _openTask();
        _enlistVerifier(taskId, secondVerifier, 100 * UNIT);
        _enlistVerifier(taskId, verifier, 100 * UNIT);
        _record("enlist: a verifier");
        vm.prank(verifier);
        verifiers.delist(taskId);
        _record("delist: a verifier");
        _wait(UNBONDING);
        verifiers.releaseBond(taskId, verifier);
        _record("releaseBond");
    }

    // An epoch.

    function test_Gas_CommitSubmission() public {
        uint256 taskId = _staffedTask();
        address worker = _nameWorker(secondTrainer, 77);
        _commit(taskId, trainer);
        vm.prank(worker);
        commitments.commitSubmission(taskId, 0, SubmissionKind.Full, ROOT, 10, 12, false);
        _assertGas("commitSubmission", 97_000);
        TaskParams memory params = _params();
        params.maxSubmissionsEach = 2;
        taskId = _staff(_openTask(params, 1000 * UNIT));
        _bond(secondTrainer, Role.Trainer, 60 * UNIT);
        _commit(taskId, trainer);
        _commit(taskId, secondTrainer);
        vm.prank(worker);
        commitments.commitSubmission(taskId, 0, SubmissionKind.Full, _rootOf(2), 10, 12, false);
        _record("commitSubmission: one more of the same trainer");
        _wait(100);
        commitments.closeEpoch(taskId);
        _record("closeEpoch");
    }

    function test_Gas_SealEpoch() public {
        uint256 taskId = _staffedTask();
        _enrich();
        _commitAllAndSeal(taskId);
        _commitAllAndSeal(taskId);
        _record("sealEpoch");
        _commit(taskId, trainer);
        _commit(taskId, secondTrainer);
        _commit(taskId, thirdTrainer);
        bytes memory header = _header();
        Meter(address(vm)).setBlockhash(vm.getBlockNumber() - 1, keccak256(header));
        attestations.sealEpochWith(taskId, header);
        _record("sealEpochWith");
    }

    function test_Gas_Attest() public {
        uint256 taskId = _sealedTask();
        _measureAttesting("3 submissions", taskId, hex"64ff32");
    }

    function test_Gas_AttestHundredSubmissions() public {
        _measureAttesting("100 submissions", _sealedTaskOf(100, 1, 3), _scores(100, 0));
    }

    function test_Gas_Settle() public {
        uint256 taskId = _sealedTask();
        _attest(taskId, 0, hex"64ff64");
        _settle(taskId, 0, hex"64ff64");
        _record("settle: 3 submissions");
        _finalise(taskId, 0);
        _record("finalise");
    }

    function test_Gas_SettleHundredSubmissions() public {
        uint256 taskId = _sealedTaskOf(100, 1, 3);
        bytes memory report = _scores(100, 0);
        _attest(taskId, 0, report);
        _settle(taskId, 0, report);
        _assertGas("settle: 100 submissions", 250_000);
    }

    function test_Gas_SettleHundredSubmissionsOfThreeReports() public {
        uint256 taskId = _sealedTaskOf(100, 1, 3);
        _settleDiffering(taskId, 100, 3, 100);
        _record("settle: 100 submissions, three reports that differ everywhere");
    }

    /// The worst that can have to be settled still fits transactions: in pieces.
    function test_Gas_SettleThousandSubmissionsOfThirtyReports() public {
        uint256 taskId = _sealedTaskOf(1000, 100, 30);
        _settleDiffering(taskId, 1000, 30, 50);
        _record("settle: 50 of 1,000 submissions, thirty reports that differ everywhere");
        vm.assertLe(_lastGas(), 16_777_216, "no transaction takes more");
    }

    function test_Gas_PublishPolicy() public {
        uint256 taskId = _staffedTask();
        _enrich();
        _commitAllAndSeal(taskId);
        _judge(taskId, 0, hex"646464");
        policies.publishPolicy(taskId, 0, POLICY, "https://example.org", _signatures(taskId, 0, POLICY, 3));
        _commitAllAndSeal(taskId);
        _judge(taskId, 1, hex"646464");
        policies.publishPolicy(taskId, 1, ROOT, "https://example.org", _signatures(taskId, 1, ROOT, 3));
        _record("publishPolicy: 3 signatures");
        _commitAllAndSeal(taskId);
        _judge(taskId, 2, hex"646464");
        _wait(100);
        policies.skipPolicy(taskId, 2);
        _record("skipPolicy: too late");
        _commitAllAndSeal(taskId);
        _judge(taskId, 3, hex"000000");
        policies.skipPolicy(taskId, 3);
        _record("skipPolicy: not due");
    }

    function test_Gas_VoidEpoch() public {
        uint256 taskId = _sealedTask();
        _commitReport(taskId, 0, verifier, hex"646464");
        _wait(100);
        _reveal(taskId, 0, verifier, hex"646464");
        attestations.voidEpoch(taskId, 0);
        _record("voidEpoch");
    }

    function test_Gas_SlashAbsence() public {
        uint256 taskId = _sealedTask();
        _commitReport(taskId, 0, verifier, hex"646464");
        _commitReport(taskId, 0, secondVerifier, hex"646464");
        _wait(100);
        _reveal(taskId, 0, verifier, hex"646464");
        _reveal(taskId, 0, secondVerifier, hex"646464");
        attestations.slashAbsence(taskId, 0, thirdVerifier);
        _record("slashAbsence");
    }

    // Payouts.

    function test_Gas_Claim() public {
        uint256 taskId = _playTwelveEpochs();
        payouts.claim(_refs(_ref(taskId, 0, trainer, 0)));
        payouts.claim(_refs(_ref(taskId, 1, trainer, 0)));
        uint256 one = _lastGas();
        _assertGas("claim: one submission", 100_000);

        SubmissionRef[] memory refs = new SubmissionRef[](10);
        for (uint64 i; i < 10; ++i) {
            refs[i] = _ref(taskId, 2 + i, trainer, 0);
        }
        payouts.claim(refs);
        _assertGas("claim: each further submission", (_lastGas() - one) / 9, 16_000);
    }

    function test_Gas_ClaimFees() public {
        uint256 taskId = _playTwelveEpochs();
        _claimFees(taskId, 0, 1);
        _claimFees(taskId, 1, 1);
        uint256 one = _lastGas();
        _record("claimFees: one epoch");
        _claimFees(taskId, 2, 10);
        vm.snapshotValue("claimFees: each further epoch", (_lastGas() - one) / 9);
    }

    function test_Gas_SlashFraud() public {
        uint256 taskId = _staffedTask();
        _enrich();
        _commitAllAndSeal(taskId);
        _judge(taskId, 0, hex"64ff64");
        _commitAllAndSeal(taskId);
        _judge(taskId, 1, hex"ff6464");
        require(token.transfer(outsider, 1));
        vm.prank(outsider);
        payouts.slashFraud(_ref(taskId, 0, secondTrainer, 1));
        payouts.claim(_refs(_ref(taskId, 0, trainer, 0)));
        vm.prank(outsider);
        payouts.slashFraud(_ref(taskId, 1, trainer, 0));
        _assertGas("slashFraud", 150_000);
    }

    // Challenges.

    function test_Gas_Challenge() public {
        _seatJurors(20);
        _record("takeSeats: one");
        uint256 taskId = _sealedTask();
        _attest(taskId, 0, hex"ffff64");
        _settle(taskId, 0, hex"ffff64");
        _commitChallenge(taskId, 0, 0, 100, outsider);
        _commitChallenge(taskId, 0, 1, 100, outsider);
        _record("commitChallenge");
        _wait(100);
        appeals.revealChallenge(taskId, 0, 0, 0, 100, SALT);
        appeals.revealChallenge(taskId, 0, 1, 1, 100, SALT);
        _record("revealChallenge");
        _draw(taskId, 0, trainer, 0);
        _appeal(taskId, 0, 0, 20, 100, false);

        appeals.summonPanel(taskId, 0, 1);
        _record("summonPanel");
        vm.roll(vm.getBlockNumber() + 2);
        appeals.drawPanel(taskId, 0, _submission(secondTrainer, 1), "");
        _record("drawPanel: 15 of 20 seats");
        _voteOn(taskId, 1, 100);
        appeals.decide(taskId, 0, 1);
        _record("decide: overturned");
        _slashAndClaim(taskId);
    }

    function test_Gas_ChallengesThatFail() public {
        _seatJurors(20);
        uint256 taskId = _sealedTask();
        _attest(taskId, 0, hex"646464");
        _settle(taskId, 0, hex"646464");
        for (uint16 index; index < 3; ++index) {
            _commitChallenge(taskId, 0, index, 255, outsider);
        }
        _wait(100);
        appeals.revealChallenge(taskId, 0, 0, 0, 255, SALT);
        appeals.revealChallenge(taskId, 0, 1, 1, 255, SALT);
        _wait(100);
        appeals.expireChallenge(taskId, 0, 2);
        _record("expireChallenge");
        appeals.summonPanel(taskId, 0, 0);
        appeals.summonPanel(taskId, 0, 1);
        vm.roll(vm.getBlockNumber() + 2);
        appeals.drawPanel(taskId, 0, _submission(trainer, 0), "");
        appeals.drawPanel(taskId, 0, _submission(secondTrainer, 1), "");
        _appeal(taskId, 0, 0, 20, 100, false);
        _record("decide: upheld");
        _wait(200); // nobody votes on the other
        appeals.decide(taskId, 0, 1);
        _record("decide: undecided");
        for (uint256 i; i < 20; ++i) {
            if (appeals.seatsOf(taskId, 0, 1, _juror(i)) > 0) appeals.dismissJuror(taskId, 0, 1, _juror(i));
        }
        _record("dismissJuror");
    }

    function test_Gas_Seats() public {
        _seatJurors(20);
        _bond(outsider, Role.Verifier, 10 * SEAT_BOND);
        vm.prank(outsider);
        panels.takeSeats(CLASS, 10);
        _record("takeSeats: ten");
        uint32[] memory seats = new uint32[](1);
        seats[0] = 20;
        vm.prank(outsider);
        panels.leaveSeats(CLASS, seats);
        _record("leaveSeats: one");
    }

    // Plants.

    function test_Gas_Plants() public {
        TaskParams memory params = _params();
        params.samplingBps = 10_000;
        uint256 taskId = _staff(_openTask(params, 1000 * UNIT));
        _plant(taskId, trainer, 1);
        _plant(taskId, secondTrainer, 2);
        _record("commitPlant");
        _commitAllAndSeal(taskId);
        bytes memory lazy = hex"646464";
        _attest(taskId, 0, lazy, hex"ffff64", hex"ffff64");
        _settle(taskId, 0, _sorted(lazy, hex"ffff64"));
        vm.prank(trainer);
        plants.openPlant(taskId, 0, _submission(trainer, 0), bytes32(uint256(1)));
        vm.prank(secondTrainer);
        plants.openPlant(taskId, 0, _submission(secondTrainer, 1), bytes32(uint256(2)));
        _record("openPlant");
        _finalise(taskId, 0);
        plants.slashPaidPlant(taskId, 0, 0, verifier, lazy);
        plants.slashPaidPlant(taskId, 0, 1, verifier, lazy);
        _record("slashPaidPlant");
        vm.prank(initiator);
        registry.closeTask(taskId);
        _wait(100);
        commitments.abandonEpoch(taskId);
        _plant(taskId, trainer, 3);
        _wait(2 * UNBONDING);
        plants.forfeitPlant(taskId, _plantOf(taskId, trainer, 3));
        _record("forfeitPlant");
    }

    // Steps.

    function _measureAttesting(string memory label, uint256 taskId, bytes memory report) private {
        address worker = _nameWorker(secondVerifier, 77);
        _commitSealed(taskId, 0, verifier, verifier, report);
        _commitSealed(taskId, 0, secondVerifier, worker, report);
        uint256 committing = _lastGas();
        _commitSealed(taskId, 0, thirdVerifier, thirdVerifier, report);
        _reveal(taskId, 0, verifier, report);
        uint256 firstReveal = _lastGas();
        _reveal(taskId, 0, worker, report);
        uint256 revealing = _lastGas();
        vm.snapshotValue(string.concat("attest: commit, ", label), committing);
        vm.snapshotValue(string.concat("attest: reveal, ", label), revealing);
        vm.snapshotValue(string.concat("attest: reveal, the first of a report, ", label), firstReveal);
        string memory name = string.concat("attest: commit and reveal, ", label);
        _assertGas(name, committing + revealing, 147_000 + 60 * report.length);
    }

    function _sealedTaskOf(uint256 submissions, uint16 each, uint256 judges) private returns (uint256 taskId) {
        taskId = _openLarge(submissions, each, judges, uint128(submissions * 10 + 3) * UNIT);
        for (uint256 i; i < submissions; ++i) {
            _commit(taskId, _trainer(i / each));
        }
        attestations.sealEpoch(taskId);
    }

    function _settleDiffering(uint256 taskId, uint256 submissions, uint256 count, uint16 piece) private {
        bytes[] memory reports = new bytes[](count);
        for (uint256 i; i < count; ++i) {
            reports[i] = _scores(submissions, i);
            _commitReport(taskId, 0, _judgeAt(i), reports[i]);
        }
        for (uint256 i; i < count; ++i) {
            _reveal(taskId, 0, _judgeAt(i), reports[i]);
        }
        _sort(reports);
        attestations.settle(taskId, 0, reports, piece);
    }

    function _playTwelveEpochs() private returns (uint256 taskId) {
        taskId = _staff(_openTask(_params(), 2000 * UNIT));
        _enrich();
        _fund(trainer, address(staking), 1);
        _fund(verifier, address(staking), 1);
        for (uint64 epoch; epoch < 12; ++epoch) {
            _commitAllAndSeal(taskId);
            _judge(taskId, epoch, hex"645032");
            policies.publishPolicy(taskId, epoch, POLICY, "", _signatures(taskId, epoch, POLICY, 3));
        }
    }

    /// Trainers that need not claim before they commit again.
    function _enrich() private {
        address[3] memory trainers = [trainer, secondTrainer, thirdTrainer];
        for (uint256 i; i < 3; ++i) {
            _bond(trainers[i], Role.Trainer, 600 * UNIT);
        }
    }

    function _claimFees(uint256 taskId, uint64 first, uint256 count) private {
        uint64[] memory epochs = new uint64[](count);
        for (uint64 i; i < count; ++i) {
            epochs[i] = first + i;
        }
        payouts.claimFees(taskId, epochs, verifier);
    }

    /// All of the panel vote alike; the last commit and reveal are recorded.
    function _voteOn(uint256 taskId, uint16 index, uint8 score) private {
        for (uint256 i; i < 20; ++i) {
            if (appeals.seatsOf(taskId, 0, index, _juror(i)) > 0) {
                _commitVote(taskId, 0, index, _juror(i), score, false);
            }
        }
        _record("commitVote");
        for (uint256 i; i < 20; ++i) {
            if (appeals.seatsOf(taskId, 0, index, _juror(i)) > 0) {
                _revealVote(taskId, 0, index, _juror(i), score, false);
            }
        }
        _record("revealVote");
    }

    function _slashAndClaim(uint256 taskId) private {
        appeals.slashVerdict(taskId, 0, 1, verifier, hex"ffff64");
        appeals.slashVerdict(taskId, 0, 1, secondVerifier, hex"ffff64");
        _record("slashVerdict");
        appeals.claimChallenge(taskId, 0, 1);
        _record("claimChallenge");
        for (uint256 i; i < 20; ++i) {
            if (appeals.seatsOf(taskId, 0, 1, _juror(i)) == 0) continue;
            require(token.transfer(_juror(i), 1));
            appeals.claimVote(taskId, 0, 1, _juror(i));
            _record("claimVote");
            return;
        }
    }

    function _plant(uint256 taskId, address author, uint256 salt) private {
        _fund(outsider, address(plants), 100 * UNIT);
        bytes32 commitment = _plantOf(taskId, author, salt);
        vm.prank(outsider);
        plants.commitPlant(taskId, commitment);
    }

    function _plantOf(uint256 taskId, address author, uint256 salt) private pure returns (bytes32) {
        return keccak256(abi.encode(taskId, author, _rootOf(uint16(salt - 1)), bytes32(salt)));
    }

    /// As Ethereum's headers are: 20 fields, the fourteenth is prevrandao.
    function _header() private pure returns (bytes memory) {
        bytes memory hash = abi.encodePacked(bytes1(0xa0), keccak256("field"));
        bytes memory number = hex"8401234567";
        bytes memory numbers = bytes.concat(number, number, number, number);
        bytes memory hashes = bytes.concat(hash, hash);
        bytes memory fields = bytes.concat(hashes, hex"94", bytes20(keccak256("proposer")));
        fields = bytes.concat(fields, hashes, hash, hex"b90100");
        fields = bytes.concat(fields, _noise(256), hex"80", numbers);
        fields = bytes.concat(fields, hex"8b", bytes11("extra data."), hash);
        fields = bytes.concat(fields, hex"880000000000000000", number, hash);
        fields = bytes.concat(fields, number, number, hashes);
        return bytes.concat(hex"f9", bytes2(uint16(fields.length)), fields);
    }
}

/// What whole epochs cost all who take part: every submission committed, three verifiers, everything claimed, ten
/// epochs at a time, as trainers and verifiers do who have no hurry. An epoch and its claims came before, so that
/// nothing is first.
/// forge-config: default.isolate = true
contract GasPerEpochTest is Metered {
    uint64 private constant EPOCHS = 10;

    struct Spent {
        uint256 committing;
        uint256 attesting;
        uint256 settling; // with sealing, the policy and finality
        uint256 claiming;
        uint256 claimingFees;
    }

    function test_Gas_EpochOfOneSubmission() public {
        _measure("1", 1);
    }

    function test_Gas_EpochOfTenSubmissions() public {
        _measure("10", 10);
    }

    function test_Gas_EpochOfHundredSubmissions() public {
        _measure("100", 100);
    }

    function test_Gas_EpochOfThousandSubmissions() public {
        _measure("1000", 1000);
    }

    function _measure(string memory label, uint16 submissions) private {
        uint256 taskId = _prepare(submissions);
        bytes memory report = new bytes(submissions);
        for (uint256 i; i < submissions; ++i) {
            report[i] = bytes1(uint8(1 + i % 100));
        }
        Spent memory spent;
        _play(taskId, 0, submissions, report, spent);
        _claim(taskId, 0, 1, submissions, spent);
        spent = Spent(0, 0, 0, 0, 0);
        for (uint64 epoch = 1; epoch <= EPOCHS; ++epoch) {
            _play(taskId, epoch, submissions, report, spent);
        }
        _claim(taskId, 1, EPOCHS, submissions, spent);
        vm.snapshotValue(string.concat(label, ": commit"), spent.committing / EPOCHS);
        vm.snapshotValue(string.concat(label, ": attest"), spent.attesting / EPOCHS);
        vm.snapshotValue(string.concat(label, ": seal, settle, publish, finalise"), spent.settling / EPOCHS);
        vm.snapshotValue(string.concat(label, ": claim"), spent.claiming / EPOCHS);
        vm.snapshotValue(string.concat(label, ": claim fees"), spent.claimingFees / EPOCHS);
    }

    function _prepare(uint16 submissions) private returns (uint256) {
        return _openLarge(submissions, 1, 3, (EPOCHS + 2) * (uint128(submissions) * 10 + 3) * UNIT);
    }

    function _play(uint256 taskId, uint64 epoch, uint16 submissions, bytes memory report, Spent memory spent) private {
        for (uint256 i; i < submissions; ++i) {
            vm.prank(_trainer(i));
            commitments.commitSubmission(taskId, epoch, SubmissionKind.Full, _rootOf(uint16(i)), 10, 0, false);
            spent.committing += _lastGas();
        }
        vm.roll(vm.getBlockNumber() + 2);
        attestations.sealEpoch(taskId);
        spent.settling += _lastGas();
        for (uint256 i; i < 3; ++i) {
            _commitSealed(taskId, epoch, _judgeAt(i), _judgeAt(i), report);
            spent.attesting += _lastGas();
        }
        for (uint256 i; i < 3; ++i) {
            _reveal(taskId, epoch, _judgeAt(i), report);
            spent.attesting += _lastGas();
        }
        _settle(taskId, epoch, report);
        spent.settling += _lastGas();
        policies.publishPolicy(taskId, epoch, POLICY, "https://example.org", _signatures(taskId, epoch, POLICY, 3));
        spent.settling += _lastGas();
        _finalise(taskId, epoch);
        spent.settling += _lastGas();
    }

    function _claim(uint256 taskId, uint64 first, uint64 count, uint16 submissions, Spent memory spent) private {
        SubmissionRef[] memory refs = new SubmissionRef[](count);
        uint64[] memory epochs = new uint64[](count);
        for (uint64 i; i < count; ++i) {
            epochs[i] = first + i;
        }
        for (uint16 index; index < submissions; ++index) {
            for (uint64 i; i < count; ++i) {
                refs[i] = _ref(taskId, first + i, _trainer(index), index);
            }
            payouts.claim(refs);
            spent.claiming += _lastGas();
        }
        for (uint256 i; i < 3; ++i) {
            payouts.claimFees(taskId, epochs, _judgeAt(i));
            spent.claimingFees += _lastGas();
        }
    }
}
