// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";

/// @title Taking in tokens, and only as many as were promised; and burning them.
library Tokens {
    using SafeERC20 for IERC20;

    /// Where burnt tokens go: nobody has its key, and not every token can be burnt otherwise.
    address internal constant BURNT = 0x000000000000000000000000000000000000dEaD;

    /// The token charges a fee on transfers, or otherwise delivers another amount than asked for.
    error UnsupportedToken(uint256 asked, uint256 received);

    /// Pulls `amount` from `from` into the calling contract.
    function pull(IERC20 token, address from, uint256 amount) internal {
        uint256 before = token.balanceOf(address(this));
        // `from` is the sender of the transaction's call.
        // slither-disable-next-line arbitrary-send-erc20
        token.safeTransferFrom(from, address(this), amount);
        uint256 received = token.balanceOf(address(this)) - before;
        // The same, not at least: a token that delivers more while it is called lets somebody in between.
        // slither-disable-next-line incorrect-equality
        require(received == amount, UnsupportedToken(amount, received));
    }

    function burn(IERC20 token, uint256 amount) internal {
        if (amount > 0) token.safeTransfer(BURNT, amount);
    }
}
