// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";

/// @title The money of local and test networks.
/// @notice A fixed supply, handed to one holder at deployment. Elsewhere any standard ERC-20 takes its place.
contract AssayToken is ERC20, ERC20Permit {
    constructor(address holder, uint256 supply) ERC20("Assay", "ASSAY") ERC20Permit("Assay") {
        _mint(holder, supply);
    }
}
