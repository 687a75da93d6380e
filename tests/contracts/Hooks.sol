// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AssayToken} from "../../contracts/AssayToken.sol";

/// An ERC-20 that tells both sides, as ERC-777 does: before it takes, and after it gives.
contract TokenWithHooks is AssayToken {
    constructor() AssayToken(msg.sender, 1e33) {}

    function _update(address from, address to, uint256 amount) internal override {
        _tell(from);
        super._update(from, to, amount);
        _tell(to);
    }

    function _tell(address who) private {
        if (who.code.length == 0) return;
        (bool success,) = who.call(abi.encodeCall(Intruder.told, ()));
        success; // anyone who has no such function does not care
    }
}

/// Calls again what it is being paid (or pays) for.
contract Intruder {
    address private _target;
    bytes private _data;
    uint256 public attempts;
    bool public hasSucceeded;
    bytes public failure;

    function act(address target, bytes calldata data) external returns (bool success) {
        (success,) = target.call(data);
    }

    function plan(address target, bytes calldata data) external {
        (_target, _data) = (target, data);
    }

    /// Two calls instead of one.
    function both(address target, bytes calldata first, bytes calldata second) external {
        (bool success,) = target.call(first);
        require(success, "first");
        (success,) = target.call(second);
        require(success, "second");
    }

    function told() external {
        if (_target == address(0)) return;
        address target = _target;
        _target = address(0); // once
        ++attempts;
        (hasSucceeded, failure) = target.call(_data);
    }
}
