// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Randomness from one block that is fixed before anybody can know it.
/// @notice The `prevrandao` of that block, proved by its header: its proposer cannot choose it, and the one before only
///         by giving up a whole block. Where nobody can show the header (a chain with another form), the block's hash
///         serves after a wait; its proposer could try many of those, and so it is the second choice.
library Randomness {
    /// The chain remembers the hashes of so many blocks.
    uint256 internal constant MEMORY = 256;

    error SeedBlockTooRecent(uint256 seedBlock);
    /// The chain has forgotten the block's hash: another block has to be named.
    error SeedBlockForgotten(uint256 seedBlock);
    /// Without a header only from that block on.
    error HeaderAwaited(uint256 from);
    error WrongHeader(bytes32 headerHash, bytes32 blockHash);

    /// @param header RLP of the header of `seedBlock`, or empty
    /// @param headerWait blocks for which a header is waited for
    function at(uint256 seedBlock, bytes calldata header, uint256 headerWait) internal view returns (bytes32) {
        require(block.number > seedBlock, SeedBlockTooRecent(seedBlock));
        bytes32 blockHash = blockhash(seedBlock);
        require(blockHash != bytes32(0), SeedBlockForgotten(seedBlock));
        if (header.length == 0) {
            uint256 from = seedBlock + 1 + headerWait;
            require(block.number >= from, HeaderAwaited(from));
            return blockHash;
        }
        bytes32 headerHash = keccak256(header);
        require(headerHash == blockHash, WrongHeader(headerHash, blockHash));
        return prevrandaoOf(header);
    }

    function isForgotten(uint256 seedBlock) internal view returns (bool) {
        return block.number > seedBlock + MEMORY;
    }

    /// The field `prevrandao` (once mixHash) of an RLP header: the fourteenth. Its hash is checked, so it is one.
    function prevrandaoOf(bytes calldata header) internal pure returns (bytes32) {
        uint256 position = _headOf(header, 0);
        for (uint256 field; field < 13; ++field) {
            position = _skip(header, position);
        }
        return bytes32(header[position + 1:position + 33]);
    }

    /// Where the content of the item at `position` begins.
    function _headOf(bytes calldata rlp, uint256 position) private pure returns (uint256) {
        uint256 first = uint8(rlp[position]);
        if (first < 0x80) return position;
        if (first < 0xb8) return position + 1;
        if (first < 0xc0) return position + 1 + (first - 0xb7);
        if (first < 0xf8) return position + 1;
        return position + 1 + (first - 0xf7);
    }

    /// Where the item after the string at `position` begins.
    function _skip(bytes calldata rlp, uint256 position) private pure returns (uint256) {
        uint256 first = uint8(rlp[position]);
        if (first < 0x80) return position + 1;
        if (first < 0xb8) return position + 1 + (first - 0x80);
        uint256 size = first - 0xb7; // bytes of the length
        uint256 length = uint256(bytes32(rlp[position + 1:position + 1 + size])) >> (256 - 8 * size);
        return position + 1 + size + length;
    }
}
