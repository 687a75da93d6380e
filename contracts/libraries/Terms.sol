// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Create2} from "@openzeppelin/contracts/utils/Create2.sol";

import {TaskParams} from "../interfaces/ITaskRegistry.sol";

/// The part of the terms that submissions and their money need: reading it costs a fourth of reading all.
struct SubmissionTerms {
    uint128[4] unitPrices; // by SubmissionKind
    uint128 trainerBond;
    uint128 fraudSlash;
    uint128 verifierFee;
    uint32 maxEpochUnits;
    uint16 maxSubmissionUnits;
    uint16 maxSubmissionsEach;
    uint16 maxEpochs;
    uint32 commitWindow;
    uint32 attestWindow;
}

/// @title What is agreed once for a task and never changes, kept as the code of an account of its own.
/// @notice 327 bytes of code cost half of what eleven storage slots do, to write and to read.
/// @dev The code starts with STOP, so that nobody can run it. Fields follow without padding, in the order of the
///      struct; then initiator, policy root and terms hash.
library Terms {
    /// PUSH2 327, DUP1, PUSH1 10, RETURNDATASIZE, CODECOPY, RETURNDATASIZE, RETURN: returns the 327 bytes that follow.
    bytes10 private constant _RETURN_REST = 0x61014780600a3d393df3;
    uint256 private constant _AMOUNTS = 73; // where the amounts start
    uint256 private constant _RATES = 169;
    uint256 private constant _WINDOWS = 191;
    uint256 private constant _CLASS = 211;
    uint256 private constant _ORIGIN = 243;

    /// @param salt unique within the calling contract
    function store(TaskParams calldata params, address initiator, bytes32 policyRoot, bytes32 termsHash, bytes32 salt)
        internal
        returns (address)
    {
        bytes memory code = bytes.concat(
            _RETURN_REST,
            bytes1(0),
            _kinds(params),
            _amounts(params),
            _rates(params),
            _windows(params),
            abi.encodePacked(params.panelClass, initiator, policyRoot, termsHash)
        );
        return Create2.deploy(0, salt, code);
    }

    /// Each narrowing takes a field's own bits.
    function paramsAt(address terms) internal view returns (TaskParams memory params) {
        bytes memory code = terms.code;
        for (uint256 kind; kind < 4; ++kind) {
            params.kinds[kind].unitPrice = uint128(_read(code, 1 + 18 * kind, 16));
            params.kinds[kind].detectionBps = uint16(_read(code, 17 + 18 * kind, 2));
        }
        params.trainerBond = uint128(_read(code, _AMOUNTS, 16));
        params.verifierBond = uint128(_read(code, _AMOUNTS + 16, 16));
        params.fraudSlash = uint128(_read(code, _AMOUNTS + 32, 16));
        params.challengeBond = uint128(_read(code, _AMOUNTS + 48, 16));
        params.jurorFee = uint128(_read(code, _AMOUNTS + 64, 16));
        params.verifierFee = uint128(_read(code, _AMOUNTS + 80, 16));
        params.maxEpochUnits = uint32(_read(code, _RATES, 4));
        params.maxSubmissionUnits = uint16(_read(code, _RATES + 4, 2));
        params.maxSubmissionsEach = uint16(_read(code, _RATES + 6, 2));
        params.quorumBps = uint16(_read(code, _RATES + 8, 2));
        params.samplingBps = uint16(_read(code, _RATES + 10, 2));
        params.absenceSlashBps = uint16(_read(code, _RATES + 12, 2));
        params.verdictSlashBps = uint16(_read(code, _RATES + 14, 2));
        params.maxStaleness = uint16(_read(code, _RATES + 16, 2));
        params.maxEpochs = uint16(_read(code, _RATES + 18, 2));
        params.protocolVersion = uint16(_read(code, _RATES + 20, 2));
        params.commitWindow = uint32(_read(code, _WINDOWS, 4));
        params.attestWindow = uint32(_read(code, _WINDOWS + 4, 4));
        params.revealWindow = uint32(_read(code, _WINDOWS + 8, 4));
        params.challengeWindow = uint32(_read(code, _WINDOWS + 12, 4));
        params.appealWindow = uint32(_read(code, _WINDOWS + 16, 4));
        params.panelClass = bytes32(_read(code, _CLASS, 32));
    }

    function submissionTermsAt(address terms) internal view returns (SubmissionTerms memory part) {
        bytes memory code = terms.code;
        part.unitPrices = _prices(code);
        part.trainerBond = uint128(_read(code, _AMOUNTS, 16));
        part.fraudSlash = uint128(_read(code, _AMOUNTS + 32, 16));
        part.verifierFee = uint128(_read(code, _AMOUNTS + 80, 16));
        // Several fields of one word.
        uint256 rates = _read(code, _RATES, 32);
        part.maxEpochUnits = uint32(rates >> 224);
        part.maxSubmissionUnits = uint16(rates >> 208);
        part.maxSubmissionsEach = uint16(rates >> 192);
        part.maxEpochs = uint16(rates >> 96);
        uint256 windows = _read(code, _WINDOWS, 32);
        part.commitWindow = uint32(windows >> 224);
        part.attestWindow = uint32(windows >> 192);
    }

    function pricesAt(address terms) internal view returns (uint128[4] memory) {
        return _prices(terms.code);
    }

    function originAt(address terms) internal view returns (address initiator, bytes32 policyRoot, bytes32 termsHash) {
        bytes memory code = terms.code;
        initiator = address(uint160(_read(code, _ORIGIN, 20)));
        policyRoot = bytes32(_read(code, _ORIGIN + 20, 32));
        termsHash = bytes32(_read(code, _ORIGIN + 52, 32));
    }

    function _prices(bytes memory code) private pure returns (uint128[4] memory prices) {
        for (uint256 kind; kind < 4; ++kind) {
            prices[kind] = uint128(_read(code, 1 + 18 * kind, 16));
        }
    }

    function _read(bytes memory code, uint256 at, uint256 size) private pure returns (uint256 value) {
        // All places are constants within the 327 bytes.
        // solhint-disable no-inline-assembly
        // slither-disable-next-line assembly
        assembly ("memory-safe") {
            value := shr(sub(256, mul(8, size)), mload(add(add(code, 32), at)))
        }
    }

    function _kinds(TaskParams calldata params) private pure returns (bytes memory packed) {
        for (uint256 kind; kind < 4; ++kind) {
            packed = abi.encodePacked(packed, params.kinds[kind].unitPrice, params.kinds[kind].detectionBps);
        }
    }

    function _amounts(TaskParams calldata params) private pure returns (bytes memory) {
        return abi.encodePacked(
            params.trainerBond,
            params.verifierBond,
            params.fraudSlash,
            params.challengeBond,
            params.jurorFee,
            params.verifierFee
        );
    }

    function _rates(TaskParams calldata params) private pure returns (bytes memory) {
        return bytes.concat(
            abi.encodePacked(
                params.maxEpochUnits,
                params.maxSubmissionUnits,
                params.maxSubmissionsEach,
                params.quorumBps,
                params.samplingBps
            ),
            abi.encodePacked(
                params.absenceSlashBps,
                params.verdictSlashBps,
                params.maxStaleness,
                params.maxEpochs,
                params.protocolVersion
            )
        );
    }

    function _windows(TaskParams calldata params) private pure returns (bytes memory) {
        return abi.encodePacked(
            params.commitWindow, params.attestWindow, params.revealWindow, params.challengeWindow, params.appealWindow
        );
    }
}
