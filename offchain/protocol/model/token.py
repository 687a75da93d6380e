"""The task's money: a standard ERC-20, as OpenZeppelin's."""

from offchain.protocol.model.clock import Refused
from offchain.protocol.types import Address

UNLIMITED = 2**256 - 1


class Token:
    def __init__(self, holder: Address, supply_wei: int) -> None:
        self.balances: dict[Address, int] = {holder: supply_wei}
        self.allowances: dict[tuple[Address, Address], int] = {}

    def balance_of(self, holder: Address) -> int:
        return self.balances.get(holder, 0)

    def approve(self, owner: Address, spender: Address, amount_wei: int) -> None:
        self.allowances[owner, spender] = amount_wei

    def transfer(self, sender: Address, to: Address, amount_wei: int) -> None:
        """Raises Refused: the sender has less."""
        if self.balance_of(sender) < amount_wei:
            raise Refused("ERC20InsufficientBalance")
        self.balances[sender] = self.balance_of(sender) - amount_wei
        self.balances[to] = self.balance_of(to) + amount_wei

    def pull(self, spender: Address, owner: Address, amount_wei: int) -> None:
        """`spender` takes what `owner` allowed it. Raises Refused: it did not, or has less."""
        allowed = self.allowances.get((owner, spender), 0)
        if allowed < amount_wei:
            raise Refused("ERC20InsufficientAllowance")
        self.transfer(owner, spender, amount_wei)
        if allowed != UNLIMITED:
            self.allowances[owner, spender] = allowed - amount_wei
