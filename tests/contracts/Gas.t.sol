// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {WorkRef} from "../../contracts/interfaces/IPayouts.sol";
import {Role} from "../../contracts/interfaces/IStaking.sol";
import {TaskParams} from "../../contracts/interfaces/ITaskRegistry.sol";
import {Network} from "./Network.sol";

/// What of the cheatcodes only measuring needs.
interface Meter {
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
}

/// One operation each, in the steady state: its counters and balances are not zero before, and somebody else has been
/// there. Every call of this contract is a transaction.
/// forge-config: default.isolate = true
contract GasTest is Metered {
    // Bonds.

    function test_Gas_Bond() public {
        _bond(secondTrainer, Role.Trainer, 60 * UNIT);
        _fund(trainer, address(staking), 200 * UNIT);
        vm.prank(trainer);
        staking.bond(Role.Trainer, 100 * UNIT);
        _assertGas("bond", 110_000);
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

    function test_Gas_SetWorkerKey() public {
        _nameWorker(trainer, 77);
        _record("setWorkerKey");
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
        _assertGas("openTask", 250_000);
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
    }

    function test_Gas_EnlistTrainer() public {
        uint256 taskId = _openTask();
        _enlistTrainer(taskId, secondTrainer);
        _bond(trainer, Role.Trainer, 60 * UNIT);
        vm.prank(trainer);
        registry.enlist(taskId);
        _record("enlist: a trainer");
        vm.prank(trainer);
        registry.delist(taskId, trainer);
        _record("delist: a trainer");
        _wait(UNBONDING);
        registry.releaseBond(taskId, trainer);
        _record("releaseBond: a trainer");
    }

    function test_Gas_EnlistVerifier() public {
        uint256 taskId = _openTask();
        _enlistVerifier(taskId, secondVerifier, 100 * UNIT);
        _bond(verifier, Role.Verifier, 100 * UNIT);
        vm.prank(verifier);
        attestations.enlist(taskId);
        _record("enlist: a verifier");
        _nextBlock();
        vm.prank(verifier);
        attestations.delist(taskId);
        _record("delist: a verifier");
        _wait(UNBONDING);
        attestations.releaseBond(taskId, verifier);
        _record("releaseBond: a verifier");
    }

    // An epoch.

    function test_Gas_CommitWork() public {
        uint256 taskId = _staffedTask();
        address worker = _nameWorker(secondTrainer, 77);
        _commit(taskId, trainer);
        vm.prank(worker);
        registry.commitWork(taskId, 0, ROOT, 10, 12);
        _assertGas("commitWork", 70_000);
    }

    function test_Gas_SealEpoch() public {
        uint256 taskId = _sealedTask();
        _commitAllAndSeal(taskId);
        _record("sealEpoch");
    }

    function test_Gas_Attest() public {
        uint256 taskId = _sealedTask();
        address worker = _nameWorker(secondVerifier, 77);
        bytes memory report = hex"64ff32";
        _commitReport(taskId, 0, verifier, report);
        bytes32 commitment = _commitment(taskId, 0, secondVerifier, report);
        vm.prank(worker);
        attestations.commitAttestation(taskId, 0, commitment);
        uint256 committing = _lastGas();
        _commitReport(taskId, 0, thirdVerifier, report);
        _reveal(taskId, 0, verifier, report);
        uint256 firstReveal = _lastGas();
        vm.prank(worker);
        attestations.revealAttestation(taskId, 0, keccak256(report), SALT, EVIDENCE);
        uint256 revealing = _lastGas();
        vm.snapshotValue("attest: commit", committing);
        vm.snapshotValue("attest: reveal", revealing);
        vm.snapshotValue("attest: reveal, the first of a report", firstReveal);
        _assertGas("attest: commit and reveal", committing + revealing, 150_000);
    }

    function test_Gas_Settle() public {
        uint256 taskId = _sealedTask();
        _attest(taskId, 0, hex"64ff64");
        _settle(taskId, 0, hex"64ff64");
        _record("settle: 3 works");
        _finalise(taskId, 0);
        _record("finalise");
    }

    function test_Gas_SettleHundredWorks() public {
        uint256 taskId = _sealedTaskOfHundred();
        bytes memory report = new bytes(100);
        for (uint256 i; i < 100; ++i) {
            report[i] = i % 7 == 0 ? bytes1(0xff) : bytes1(uint8(i));
        }
        _attest(taskId, 0, report);
        _settle(taskId, 0, report);
        _assertGas("settle: 100 works", 200_000);
    }

    function test_Gas_SettleHundredWorksOfThreeReports() public {
        uint256 taskId = _sealedTaskOfHundred();
        bytes[3] memory reports = _threeReports();
        _attest(taskId, 0, reports[0], reports[1], reports[2]);
        attestations.settle(taskId, 0, _sorted(reports[0], reports[1], reports[2]));
        _record("settle: 100 works, three reports that differ everywhere");
    }

    function test_Gas_PublishPolicy() public {
        uint256 taskId = _sealedTask();
        _judge(taskId, 0, hex"646464");
        attestations.publishPolicy(taskId, 0, POLICY, "https://example.org", _signatures(taskId, 0, POLICY, 3));
        _commitAllAndSeal(taskId);
        _judge(taskId, 1, hex"646464");
        attestations.publishPolicy(taskId, 1, ROOT, "https://example.org", _signatures(taskId, 1, ROOT, 3));
        _record("publishPolicy: 3 signatures");
    }

    function test_Gas_VoidEpoch() public {
        uint256 taskId = _sealedTask();
        _commitReport(taskId, 0, verifier, hex"646464");
        _wait(200);
        attestations.voidEpoch(taskId, 0);
        _record("voidEpoch");
        attestations.slashAbsence(taskId, 0, secondVerifier);
        _record("slashAbsence");
    }

    // Payouts.

    function test_Gas_Claim() public {
        uint256 taskId = _playTwelveEpochs();
        payouts.claim(_refs(_ref(taskId, 0, trainer, 0)));
        _record("claim: one work, a trainer's first");

        payouts.claim(_refs(_ref(taskId, 1, trainer, 0)));
        uint256 one = _lastGas();
        _assertGas("claim: one work", 85_000);

        WorkRef[] memory refs = new WorkRef[](10);
        for (uint64 i; i < 10; ++i) {
            refs[i] = _ref(taskId, 2 + i, trainer, 0);
        }
        payouts.claim(refs);
        _assertGas("claim: each further work", (_lastGas() - one) / 9, 12_000);
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
        uint256 taskId = _sealedTask();
        _judge(taskId, 0, hex"64ff64");
        _commitAllAndSeal(taskId);
        _judge(taskId, 1, hex"ff6464");
        require(token.transfer(outsider, 1));
        vm.prank(outsider);
        payouts.slashFraud(_ref(taskId, 0, secondTrainer, 1));
        _record("slashFraud: a trainer's first mark");

        payouts.claim(_refs(_ref(taskId, 0, trainer, 0)));
        vm.prank(outsider);
        payouts.slashFraud(_ref(taskId, 1, trainer, 0));
        _assertGas("slashFraud", 120_000);
    }

    // Challenges.

    function test_Gas_Challenge() public {
        uint256 taskId = _sealedTask();
        _attest(taskId, 0, hex"ffff64");
        _settle(taskId, 0, hex"ffff64");
        _challenge(taskId, 0, 0, 100);
        _challenge(taskId, 0, 1, 100);
        _record("challenge");

        _appeal(taskId, 0, 0, 100, 100, 100);
        address worker = _nameWorker(secondVerifier, 77);
        _commitVote(taskId, 0, 1, verifier, 100);
        _commitVote(taskId, 0, 1, worker, secondVerifier, 100);
        uint256 committing = _lastGas();
        _commitVote(taskId, 0, 1, thirdVerifier, 100);
        _revealVote(taskId, 0, 1, verifier, 100);
        uint256 firstReveal = _lastGas();
        _revealVote(taskId, 0, 1, worker, 100);
        uint256 revealing = _lastGas();
        _revealVote(taskId, 0, 1, thirdVerifier, 100);
        vm.snapshotValue("appeal: commit", committing);
        vm.snapshotValue("appeal: reveal", revealing);
        vm.snapshotValue("appeal: reveal, the first of a score", firstReveal);
        vm.snapshotValue("appeal: commit and reveal", committing + revealing);

        challenges.decide(taskId, 0, 0, _list(hex"ffff64"));
        challenges.decide(taskId, 0, 1, _list(hex"ffff64"));
        _record("decide: overturned, one report of 3 works");
        challenges.slashVerdict(taskId, 0, 1, verifier, hex"ffff64");
        challenges.slashVerdict(taskId, 0, 1, secondVerifier, hex"ffff64");
        _record("slashVerdict");
        challenges.claim(taskId, 0, 1, outsider);
        _record("claim: what a challenge owes its challenger");
    }

    function test_Gas_ChallengesThatFail() public {
        uint256 taskId = _sealedTask();
        _attest(taskId, 0, hex"646464");
        _settle(taskId, 0, hex"646464");
        _challenge(taskId, 0, 0, 255);
        _challenge(taskId, 0, 1, 255);
        _appeal(taskId, 0, 0, 100, 100, 100);
        bytes[] memory none = new bytes[](0);
        challenges.decide(taskId, 0, 0, none);
        _record("decide: upheld");
        require(token.transfer(verifier, 1));
        challenges.claim(taskId, 0, 0, verifier);
        _record("claim: a verifier's share of a lost challenge");

        _wait(200); // nobody votes on the other
        challenges.decide(taskId, 0, 1, none);
        _record("decide: undecided");
        challenges.slashAbsence(taskId, 0, 1, thirdVerifier);
        _record("slashAbsence: of an appeal");
    }

    function test_Gas_DecideHundredWorksOfThreeReports() public {
        uint256 taskId = _sealedTaskOfHundred();
        bytes[3] memory reports = _threeReports();
        _attest(taskId, 0, reports[0], reports[1], reports[2]);
        bytes[] memory sorted = _sorted(reports[0], reports[1], reports[2]);
        attestations.settle(taskId, 0, sorted);
        _challenge(taskId, 0, 99, 255);
        _appeal(taskId, 0, 99, 255, 255, 255);
        challenges.decide(taskId, 0, 99, sorted);
        _record("decide: overturned, three reports of 100 works");
    }

    // Steps.

    function _sealedTaskOfHundred() private returns (uint256 taskId) {
        TaskParams memory params = _params();
        params.maxEpochUnits = 1000;
        params.commitWindow = 450;
        taskId = _staff(_openTask(params, 5000 * UNIT));
        for (uint256 i; i < 97; ++i) {
            _enlistTrainer(taskId, vm.addr(1000 + i));
        }
        _commit(taskId, trainer);
        _commit(taskId, secondTrainer);
        _commit(taskId, thirdTrainer);
        for (uint256 i; i < 97; ++i) {
            _commit(taskId, vm.addr(1000 + i));
        }
        attestations.sealEpoch(taskId);
    }

    function _threeReports() private pure returns (bytes[3] memory reports) {
        reports = [new bytes(100), new bytes(100), new bytes(100)];
        for (uint256 i; i < 300; ++i) {
            reports[i % 3][i / 3] = bytes1(uint8(uint256(keccak256(abi.encode(i))) % 101));
        }
    }

    function _playTwelveEpochs() private returns (uint256 taskId) {
        taskId = _staff(_openTask(_params(), 2000 * UNIT));
        _fund(trainer, address(staking), 1);
        _fund(verifier, address(staking), 1);
        for (uint64 epoch; epoch < 12; ++epoch) {
            _commitAllAndSeal(taskId);
            _judge(taskId, epoch, hex"645032");
        }
    }

    function _claimFees(uint256 taskId, uint64 first, uint256 count) private {
        uint64[] memory epochs = new uint64[](count);
        for (uint64 i; i < count; ++i) {
            epochs[i] = first + i;
        }
        vm.prank(verifier);
        payouts.claimFees(taskId, epochs);
    }

    function _commitVote(uint256 taskId, uint64 epoch, uint16 index, address key, address operator, uint8 score)
        private
    {
        vm.prank(key);
        challenges.commitAppeal(taskId, epoch, index, _vote(taskId, epoch, index, operator, score));
    }
}

/// What whole epochs cost all who take part: every work committed, three verifiers, everything claimed, ten epochs at a
/// time, as trainers and verifiers do who have no hurry. An epoch and its claims came before, so that nothing is first.
/// forge-config: default.isolate = true
contract GasPerEpochTest is Metered {
    uint64 private constant EPOCHS = 10;

    struct Spent {
        uint256 committing;
        uint256 attesting;
        uint256 settling; // with sealing and finalising
        uint256 claiming;
        uint256 claimingFees;
    }

    function test_Gas_EpochOfOneWork() public {
        _measure("1", 1);
    }

    function test_Gas_EpochOfTenWorks() public {
        _measure("10", 10);
    }

    function test_Gas_EpochOfHundredWorks() public {
        _measure("100", 100);
    }

    function test_Gas_EpochOfThousandWorks() public {
        _measure("1000", 1000);
    }

    function _measure(string memory label, uint16 works) private {
        uint256 taskId = _prepare(works);
        bytes memory report = new bytes(works);
        for (uint256 i; i < works; ++i) {
            report[i] = bytes1(uint8(1 + i % 100));
        }
        Spent memory spent;
        _play(taskId, 0, works, report, spent);
        _claim(taskId, 0, 1, works, spent);
        spent = Spent(0, 0, 0, 0, 0);
        for (uint64 epoch = 1; epoch <= EPOCHS; ++epoch) {
            _play(taskId, epoch, works, report, spent);
        }
        _claim(taskId, 1, EPOCHS, works, spent);
        vm.snapshotValue(string.concat(label, ": commit"), spent.committing / EPOCHS);
        vm.snapshotValue(string.concat(label, ": attest"), spent.attesting / EPOCHS);
        vm.snapshotValue(string.concat(label, ": seal, settle, finalise"), spent.settling / EPOCHS);
        vm.snapshotValue(string.concat(label, ": claim"), spent.claiming / EPOCHS);
        vm.snapshotValue(string.concat(label, ": claim fees"), spent.claimingFees / EPOCHS);
    }

    function _prepare(uint16 works) private returns (uint256 taskId) {
        TaskParams memory params = _params();
        params.maxEpochUnits = uint32(works) * 10;
        params.commitWindow = 400; // no window passes without a work, and has to start anew
        taskId = _openTask(params, (EPOCHS + 2) * (works * 10 + 3) * UNIT);
        for (uint256 i; i < works; ++i) {
            _enlistTrainer(taskId, _trainer(i));
        }
        for (uint256 i; i < 3; ++i) {
            _enlistVerifier(taskId, vm.addr(verifierKeys[i]), 100 * UNIT);
        }
    }

    function _play(uint256 taskId, uint64 epoch, uint16 works, bytes memory report, Spent memory spent) private {
        for (uint256 i; i < works; ++i) {
            vm.prank(_trainer(i));
            registry.commitWork(taskId, epoch, ROOT, 10, 0);
            spent.committing += _lastGas();
        }
        vm.roll(vm.getBlockNumber() + 1);
        attestations.sealEpoch(taskId);
        spent.settling += _lastGas();
        for (uint256 i; i < 3; ++i) {
            _commitReport(taskId, epoch, vm.addr(verifierKeys[i]), report);
            spent.attesting += _lastGas();
        }
        for (uint256 i; i < 3; ++i) {
            _reveal(taskId, epoch, vm.addr(verifierKeys[i]), report);
            spent.attesting += _lastGas();
        }
        _settle(taskId, epoch, report);
        spent.settling += _lastGas();
        _finalise(taskId, epoch);
        spent.settling += _lastGas();
    }

    function _claim(uint256 taskId, uint64 first, uint64 count, uint16 works, Spent memory spent) private {
        WorkRef[] memory refs = new WorkRef[](count);
        uint64[] memory epochs = new uint64[](count);
        for (uint64 i; i < count; ++i) {
            epochs[i] = first + i;
        }
        for (uint16 index; index < works; ++index) {
            for (uint64 i; i < count; ++i) {
                refs[i] = _ref(taskId, first + i, _trainer(index), index);
            }
            payouts.claim(refs);
            spent.claiming += _lastGas();
        }
        for (uint256 i; i < 3; ++i) {
            vm.prank(vm.addr(verifierKeys[i]));
            payouts.claimFees(taskId, epochs);
            spent.claimingFees += _lastGas();
        }
    }

    function _trainer(uint256 i) private pure returns (address) {
        return address(uint160(uint256(keccak256(abi.encode("trainer", i)))));
    }
}
