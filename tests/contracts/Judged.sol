// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {EpochPhase, IAttestations} from "../../contracts/interfaces/IAttestations.sol";
import {Network} from "./Network.sol";

/// Steps of judgement that several contracts of tests need.
abstract contract Judged is Network {
    bytes internal constant GOOD = hex"643264";

    /// The seed that an epoch has when its block's hash serves.
    function _expectedSeed(uint256 taskId, uint64 epoch, uint256 seedBlock) internal view returns (bytes32) {
        return keccak256(abi.encode(blockhash(seedBlock), commitments.runningHashOf(taskId), taskId, epoch));
    }

    function _commitRaw(uint256 taskId, address who, bytes32 commitment) internal {
        vm.prank(who);
        attestations.commitAttestation(taskId, 0, commitment, "");
    }

    /// Only the first verifier has revealed; the third has committed.
    /// More than half of the weight has revealed, and no quorum.
    function _voidTask() internal returns (uint256 taskId) {
        taskId = _openTask();
        _enlistTrainer(taskId, trainer);
        _enlistTrainer(taskId, secondTrainer);
        _enlistTrainer(taskId, thirdTrainer);
        _enlistVerifier(taskId, verifier, 201 * UNIT);
        _enlistVerifier(taskId, secondVerifier, 100 * UNIT);
        _enlistVerifier(taskId, thirdVerifier, 100 * UNIT);
        _commitAllAndSeal(taskId);
        _commitReport(taskId, 0, verifier, GOOD);
        _commitReport(taskId, 0, thirdVerifier, GOOD);
        _wait(100);
        _reveal(taskId, 0, verifier, GOOD);
        _wait(100);
        attestations.voidEpoch(taskId, 0);
    }

    function _settledTask() internal returns (uint256 taskId) {
        taskId = _sealedTask();
        _attest(taskId, 0, GOOD);
        _settle(taskId, 0, GOOD);
    }

    function _differences(uint256 taskId, address who) internal view returns (uint16 differences) {
        (,, differences) = attestations.attestationOf(taskId, 0, who);
    }

    function _wrongPhase(uint256 taskId, EpochPhase phase) internal pure returns (bytes memory) {
        return abi.encodeWithSelector(IAttestations.WrongPhase.selector, taskId, 0, phase);
    }
}
