// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {WorkRef} from "../../contracts/interfaces/IPayouts.sol";
import {Role} from "../../contracts/interfaces/IStaking.sol";
import {TaskParams, Work} from "../../contracts/interfaces/ITaskRegistry.sol";
import {Network} from "./Network.sol";

/// What a transaction costs its sender, intrinsic gas and calldata included, in the steady state: its counters and
/// balances are not zero before, and somebody else has been there. Every call of this contract is a transaction.
/// forge-config: default.isolate = true
contract GasTest is Network {
    function test_Gas_Bond() public {
        _bond(secondTrainer, Role.Trainer, 60 * UNIT);
        _fund(trainer, address(staking), 200 * UNIT);
        vm.prank(trainer);
        staking.bond(Role.Trainer, 100 * UNIT);
        _assertGas("bond", 110_000);
    }

    function test_Gas_OpenTask() public {
        _openTask();
        _fund(initiator, address(registry), 1000 * UNIT + 1);
        TaskParams memory params = _params();
        vm.prank(initiator);
        registry.openTask(params, keccak256("spec"), "https://example.org/tasks/sort-digits.toml", POLICY, 1000 * UNIT);
        _assertGas("openTask", 250_000);
    }

    function test_Gas_CommitWork() public {
        uint256 taskId = _staffedTask();
        address worker = _nameWorker(secondTrainer, 77);
        _commit(taskId, trainer);
        vm.prank(worker);
        registry.commitWork(taskId, 0, ROOT, 10, 12);
        _assertGas("commitWork", 70_000);
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
        vm.snapshotValue("attest: commit", committing);
        vm.snapshotValue("attest: first reveal of a report", firstReveal);
        _assertGas("attest: reveal", committing + _lastGas(), 120_000);
    }

    function test_Gas_SettleHundredWorks() public {
        TaskParams memory params = _params();
        params.maxEpochUnits = 1000;
        params.commitWindow = 450;
        uint256 taskId = _staff(_openTask(params, 5000 * UNIT));
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
        bytes memory report = new bytes(100);
        for (uint256 i; i < 100; ++i) {
            report[i] = i % 7 == 0 ? bytes1(0xff) : bytes1(uint8(i));
        }
        _attest(taskId, 0, report);
        _settle(taskId, 0, report);
        _assertGas("settle: 100 works", 200_000);
    }

    function test_Gas_SettleHundredWorksOfThreeReports() public {
        TaskParams memory params = _params();
        params.maxEpochUnits = 1000;
        params.commitWindow = 450;
        uint256 taskId = _staff(_openTask(params, 5000 * UNIT));
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
        bytes[3] memory reports = [new bytes(100), new bytes(100), new bytes(100)];
        for (uint256 i; i < 300; ++i) {
            reports[i % 3][i / 3] = bytes1(uint8(uint256(keccak256(abi.encode(i))) % 101));
        }
        _attest(taskId, 0, reports[0], reports[1], reports[2]);
        attestations.settle(taskId, 0, _sorted(reports[0], reports[1], reports[2]));
        vm.snapshotValue("settle: 100 works, three reports that differ everywhere", _lastGas());
    }

    function test_Gas_Claim() public {
        uint256 taskId = _staff(_openTask(_params(), 2000 * UNIT));
        _fund(trainer, address(staking), 1);
        for (uint64 epoch; epoch < 12; ++epoch) {
            _commitAllAndSeal(taskId);
            _judge(taskId, epoch, hex"645032");
        }
        payouts.claim(_refs(_ref(taskId, 0, trainer, 0)));
        vm.snapshotValue("claim: a trainer's first", _lastGas());

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

    function test_Gas_SlashFraud() public {
        uint256 taskId = _sealedTask();
        _judge(taskId, 0, hex"64ff64");
        _commitAllAndSeal(taskId);
        _judge(taskId, 1, hex"ff6464");
        require(token.transfer(outsider, 1));
        vm.prank(outsider);
        payouts.slashFraud(_ref(taskId, 0, secondTrainer, 1));
        vm.snapshotValue("slashFraud: a trainer's first mark", _lastGas());

        payouts.claim(_refs(_ref(taskId, 0, trainer, 0)));
        vm.prank(outsider);
        payouts.slashFraud(_ref(taskId, 1, trainer, 0));
        _assertGas("slashFraud", 120_000);
    }

    function _lastGas() private view returns (uint256) {
        return vm.lastCallGas().gasTotalUsed;
    }

    function _assertGas(string memory name, uint256 bound) private {
        _assertGas(name, _lastGas(), bound);
    }

    function _assertGas(string memory name, uint256 used, uint256 bound) private {
        vm.snapshotValue(name, used);
        vm.assertLe(used, bound, name);
    }
}
