"""One connection to one deployment on one chain."""

import time
from dataclasses import dataclass

from web3 import Web3
from web3.exceptions import BlockNotFound, Web3RPCError

from assay_core.chain.contracts import (
    AppealsContract,
    AttestationsContract,
    Call,
    CommitmentsContract,
    PanelsContract,
    PayoutsContract,
    PlantsContract,
    PoliciesContract,
    StakingContract,
    TaskRegistryContract,
    TokenContract,
    VerifiersContract,
)
from assay_core.chain.creations import CONTRACTS
from assay_core.chain.deployment import Deployment
from assay_core.chain.rpc import asking_node, connect_http, provider_of
from assay_core.protocol.amounts import Money
from assay_core.protocol.errors import Stop, Unavailable
from assay_core.protocol.types import Address
from assay_core.protocol.web import public_url


@dataclass(frozen=True, slots=True)
class Chain:
    """The contracts of a deployment through one node."""

    web3: Web3
    deployment: Deployment
    token: TokenContract
    staking: StakingContract
    registry: TaskRegistryContract
    commitments: CommitmentsContract
    verifiers: VerifiersContract
    attestations: AttestationsContract
    policies: PoliciesContract
    panels: PanelsContract
    appeals: AppealsContract
    payouts: PayoutsContract
    plants: PlantsContract

    @classmethod
    def connect(cls, deployment: Deployment, rpc_url: str | None = None) -> "Chain":
        """Connect and make sure that the node serves the chain on which these contracts are.

        Raises Stop: another chain, or no contracts there. Unavailable: the node is down.
        """
        url = rpc_url or deployment.rpc_url
        chain = cls(
            web3=(web3 := connect_http(url)),
            deployment=deployment,
            token=TokenContract(web3, deployment.token),
            staking=StakingContract(web3, deployment.staking),
            registry=TaskRegistryContract(web3, deployment.registry),
            commitments=CommitmentsContract(web3, deployment.commitments),
            verifiers=VerifiersContract(web3, deployment.verifiers),
            attestations=AttestationsContract(web3, deployment.attestations),
            policies=PoliciesContract(web3, deployment.policies),
            panels=PanelsContract(web3, deployment.panels),
            appeals=AppealsContract(web3, deployment.appeals),
            payouts=PayoutsContract(web3, deployment.payouts),
            plants=PlantsContract(web3, deployment.plants),
        )
        with asking_node(f"connecting to {public_url(url)}"):
            found = web3.eth.chain_id
        if found != deployment.chain_id:
            raise Stop(
                f"{public_url(url)} serves chain {found}, but {deployment.network!r} was deployed on chain "
                f"{deployment.chain_id}: use a node of that chain, or choose another network"
            )
        provider_of(web3).require_chain(found)
        for field, name in CONTRACTS.items():
            chain.require_code(name, deployment.addresses[field])
        return chain

    def require_code(self, name: str, address: Address) -> None:
        """Raises Stop: nothing is deployed at the address."""
        with asking_node(f"code of {name}"):
            code = self.web3.eth.get_code(Web3.to_checksum_address(address))
        if not code:
            raise Stop(
                f"no {name} at {address} on {self.deployment.network!r}: the chain was started again, "
                f"or the deployment is of another one; run `assay deploy --network {self.deployment.network}`"
            )

    def balance_wei(self, account: Address) -> int:
        """What an account can pay fees with."""
        with asking_node("balance"):
            return self.web3.eth.get_balance(Web3.to_checksum_address(account))

    def now(self) -> int:
        """Unix time of the block that is being made: what the contracts' windows are measured by.

        Of a node that makes none, that of its newest block, or of our clock, which is later unless it is wrong.
        """
        with asking_node("time"):
            try:
                told = self.web3.eth.get_block("pending").get("timestamp")
            except (BlockNotFound, Web3RPCError):
                told = None
            if told is not None:
                return int(told)
            return max(int(self.web3.eth.get_block("latest").get("timestamp", 0)), int(time.time()))

    def time_of(self, number: int) -> int:
        """Unix time of a block. Raises Unavailable: the node does not have it now."""
        with asking_node("block"):
            try:
                return int(self.web3.eth.get_block(number).get("timestamp", 0))
            except BlockNotFound as error:
                raise Unavailable(f"the node does not tell block {number}") from error

    def money(self) -> Money:
        """What the deployment's token is called, and its decimals."""
        return Money(self.token.symbol(), self.token.decimals())

    def paying(self, owner: Address, amount_wei: int, call: Call) -> list[Call]:
        """A call by which its contract takes tokens, and first the approval that it needs, if the allowance does not
        suffice.

        Raises Stop: the balance does not suffice.
        """
        balance = self.token.balance_of(owner)
        if balance < amount_wei:
            money = self.money()
            raise Stop(
                f"{owner} holds {money.show(balance)} but {money.at_least(amount_wei)} are needed: send it the missing "
                f"{money.at_least(amount_wei - balance)}"
            )
        if self.token.allowance(owner, call.to) >= amount_wei:
            return [call]
        return [self.token.approve(call.to, amount_wei), call]
