// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import {IAppeals} from "./IAppeals.sol";
import {IAttestations} from "./IAttestations.sol";
import {ICommitments} from "./ICommitments.sol";
import {IPanels} from "./IPanels.sol";
import {IPayouts} from "./IPayouts.sol";
import {IPlants} from "./IPlants.sol";
import {IPolicies} from "./IPolicies.sol";
import {IStaking} from "./IStaking.sol";
import {ITaskRegistry} from "./ITaskRegistry.sol";
import {IVerifiers} from "./IVerifiers.sol";

/// The contracts of one deployment. Each is told of all in its constructor and keeps those that it calls or obeys.
/// No address is checked for zero there: `assay deploy --check` compares a deployment with its source.
struct Deployment {
    IERC20 token;
    IStaking staking;
    ITaskRegistry registry;
    ICommitments commitments;
    IVerifiers verifiers;
    IAttestations attestations;
    IPolicies policies;
    IPanels panels;
    IAppeals appeals;
    IPayouts payouts;
    IPlants plants;
}
