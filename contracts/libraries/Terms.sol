// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Create2} from "@openzeppelin/contracts/utils/Create2.sol";

import {TaskParams} from "../interfaces/ITaskRegistry.sol";

/// @title What is agreed once for a task and never changes, kept as the code of an account of its own.
/// @notice 256 bytes of code cost half of what eight storage slots do, to write and to read.
/// @dev The first word ends in five windows and begins with zeros: the code starts with STOP, so that nobody can run it.
library Terms {
    /// PUSH2 256, DUP1, PUSH1 10, RETURNDATASIZE, CODECOPY, RETURNDATASIZE, RETURN: returns the 256 bytes that follow.
    bytes10 private constant _RETURN_REST = 0x61010080600a3d393df3;

    /// @param salt unique within the calling contract
    function store(TaskParams calldata params, address initiator, bytes32 policyRoot, bytes32 salt)
        internal
        returns (address)
    {
        bytes memory code =
            bytes.concat(_RETURN_REST, _rates(params), _amounts(params), abi.encode(initiator, policyRoot));
        return Create2.deploy(0, salt, code);
    }

    function paramsAt(address terms) internal view returns (TaskParams memory params) {
        (uint256 windows, bytes32 rates, bytes32 prices, bytes32 bonds, bytes32 slashes, bytes32 verdicts) =
            abi.decode(terms.code, (uint256, bytes32, bytes32, bytes32, bytes32, bytes32));
        // Each narrowing takes the field's own bits out of the word that `_rates` or `_amounts` made.
        params.appealWindow = uint32(windows);
        params.challengeWindow = uint32(windows >> 32);
        params.revealWindow = uint32(windows >> 64);
        params.attestWindow = uint32(windows >> 96);
        params.commitWindow = uint32(windows >> 128);
        params.verifierFee = uint128(bytes16(rates));
        params.maxEpochUnits = uint32(bytes4(rates << 128));
        params.maxWorkUnits = uint16(bytes2(rates << 160));
        params.quorumBps = uint16(bytes2(rates << 176));
        params.samplingBps = uint16(bytes2(rates << 192));
        params.maxStaleness = uint16(bytes2(rates << 208));
        params.maxEpochs = uint16(bytes2(rates << 224));
        params.unitPrice = uint128(bytes16(prices));
        params.absenceSlash = uint128(uint256(prices));
        params.trainerBond = uint128(bytes16(bonds));
        params.verifierBond = uint128(uint256(bonds));
        params.fraudSlash = uint128(bytes16(slashes));
        params.challengeBond = uint128(uint256(slashes));
        params.verdictSlash = uint128(uint256(verdicts));
    }

    function pricesAt(address terms) internal view returns (uint128 unitPrice, uint128 fraudSlash) {
        (,, bytes32 prices,, bytes32 slashes) = abi.decode(terms.code, (uint256, bytes32, bytes32, bytes32, bytes32));
        return (uint128(bytes16(prices)), uint128(bytes16(slashes)));
    }

    function originAt(address terms) internal view returns (address initiator, bytes32 policyRoot) {
        (,,,,,, initiator, policyRoot) =
            abi.decode(terms.code, (uint256, bytes32, bytes32, bytes32, bytes32, bytes32, address, bytes32));
    }

    function _rates(TaskParams calldata params) private pure returns (bytes memory) {
        return bytes.concat(
            abi.encodePacked(
                bytes12(0),
                params.commitWindow,
                params.attestWindow,
                params.revealWindow,
                params.challengeWindow,
                params.appealWindow
            ),
            abi.encodePacked(
                params.verifierFee,
                params.maxEpochUnits,
                params.maxWorkUnits,
                params.quorumBps,
                params.samplingBps,
                params.maxStaleness,
                params.maxEpochs,
                bytes2(0)
            )
        );
    }

    function _amounts(TaskParams calldata params) private pure returns (bytes memory) {
        return abi.encodePacked(
            params.unitPrice,
            params.absenceSlash,
            params.trainerBond,
            params.verifierBond,
            params.fraudSlash,
            params.challengeBond,
            bytes16(0),
            params.verdictSlash
        );
    }
}
