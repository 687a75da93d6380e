"""Who signs: an account whose key this process holds, or an external signer that is asked over JSON-RPC.

web3signer (eth1), Clef, nodes and whatever stands before a hardware wallet speak nearly the same: they list accounts,
sign a transaction, a text, or typed data that they can show to a person. Nothing they send is believed, see signed.py.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, cast

from eth_account.datastructures import SignedMessage, SignedTransaction
from eth_account.messages import SignableMessage, encode_typed_data
from eth_typing import ChecksumAddress
from eth_utils.address import is_address, to_checksum_address

from assay_core.chain.signed import checked_message, checked_transaction
from assay_core.chain.signer_rpc import SignerError, SignerLimits, SignerRpc
from assay_core.protocol.errors import Stop, Unavailable

MOST_ACCOUNTS, MOST_NAMED = 10_000, 10
EXACT_INTEGERS = 2**53  # JSON's readers may round larger ones: those are written as strings
# EIP-712: a domain's fields, in the order in which its type names them.
DOMAIN = {
    "name": "string",
    "version": "string",
    "chainId": "uint256",
    "verifyingContract": "address",
    "salt": "bytes32",
}
Form = tuple[str, list[Any]]
"""One way to ask: a method and its parameters."""


class Signer(Protocol):
    """What the protocol asks of an account: eth-account's `LocalAccount` is one, and so is `RemoteAccount`."""

    @property
    def address(self) -> ChecksumAddress: ...
    def sign_transaction(self, transaction_dict: dict[str, Any]) -> SignedTransaction: ...
    def sign_typed_data(
        self, domain_data: dict[str, Any], message_types: dict[str, Any], message_data: dict[str, Any]
    ) -> SignedMessage: ...


class RemoteAccount:
    """One account of an external signer; this process never has its key.

    All that sign raise Unavailable: the signer is away, or cannot for now. Stop: it refuses for good, or has signed
    something else.
    """

    def __init__(self, rpc: SignerRpc, address: ChecksumAddress) -> None:
        self.address = address
        self._rpc = rpc
        self._named = f"the signer at {rpc.shown}"
        self._forms: dict[str, int] = {}  # what is asked in which form, once one was understood

    def __repr__(self) -> str:
        return f"RemoteAccount({self.address} of {self._named})"

    @classmethod
    def connect(cls, url: str, address: str | None = None, limits: SignerLimits | None = None) -> "RemoteAccount":
        """The signer's account of that address; without one, its only account.

        Raises Stop: no URL, no such account, or several and none is named. Unavailable: the signer is away.
        """
        rpc = SignerRpc(url, limits)
        return cls(rpc, _chosen(accounts_of(rpc), address, rpc.shown))

    def sign_transaction(self, transaction_dict: Mapping[str, Any]) -> SignedTransaction:
        """`transaction_dict` names every field that is to be signed, as eth-account takes them."""
        fields = {name: value for name, value in transaction_dict.items() if name != "type"}
        asked = {"from": self.address, **{name: _quantity(value) for name, value in fields.items()}}
        forms: list[Form] = [("eth_signTransaction", [asked]), ("account_signTransaction", [asked])]
        return checked_transaction(fields, self._ask("a transaction", forms), self.address, self._named)

    def sign_message(self, signable_message: SignableMessage) -> SignedMessage:
        """A text of EIP-191. Raises Stop also for anything else."""
        if signable_message.version != b"E":
            raise Stop(f"{self._named} is asked for typed data by sign_typed_data, so that it sees what it signs")
        text = "0x" + signable_message.body.hex()
        forms: list[Form] = [
            ("eth_sign", [self.address, text]),
            ("account_signData", ["text/plain", self.address, text]),
        ]
        return checked_message(signable_message, self._ask("a message", forms), self.address, self._named)

    def sign_typed_data(
        self, domain_data: dict[str, Any], message_types: dict[str, Any], message_data: dict[str, Any]
    ) -> SignedMessage:
        """EIP-712; the signer gets all of it, not only a hash. `message_types` name one type."""
        message = encode_typed_data(domain_data, message_types, message_data)
        [primary] = message_types
        domain = [{"name": name, "type": kind} for name, kind in DOMAIN.items() if name in domain_data]
        typed = {
            "types": {"EIP712Domain": domain, **message_types},
            "primaryType": primary,
            "domain": _jsonable(domain_data),
            "message": _jsonable(message_data),
        }
        forms: list[Form] = [
            ("eth_signTypedData", [self.address, json.dumps(typed)]),  # web3signer; an older one takes a string alone
            ("eth_signTypedData_v4", [self.address, typed]),
            ("eth_signTypedData", [self.address, typed]),
            ("account_signTypedData", [self.address, typed]),
        ]
        return checked_message(message, self._ask(f"typed data ({primary})", forms), self.address, self._named)

    def _ask(self, what: str, forms: Sequence[Form]) -> Any:
        """The answer to the first form that the signer knows."""
        complaints: list[SignerError] = []
        for number in range(self._forms.get(what, 0), len(forms)):
            try:
                answer = self._rpc.ask(*forms[number])
            except SignerError as error:
                if not (error.is_unknown_method or error.is_invalid):
                    raise self._refusal(what, error) from None
                complaints.append(error)
                continue
            self._forms[what] = number
            return answer
        told = next((each for each in complaints if not each.is_unknown_method), complaints[0])
        raise Stop(f"{self._named} cannot sign {what} for {self.address} ({told}): use one that can")

    def _refusal(self, what: str, error: SignerError) -> Stop | Unavailable:
        """Signers name no reasons that could be relied on: who still lists the account may sign later."""
        told = f"{self._named} does not sign {what} for {self.address} ({error})"
        if error.is_denial:
            return Stop(f"{told}: allow it there, or use another key")
        if self.address not in accounts_of(self._rpc):
            return Stop(f"{told}, and has no such account any more: give it back its key, or use another one")
        return Unavailable(f"{told}; try again")


def accounts_of(rpc: SignerRpc) -> list[ChecksumAddress]:
    """What a signer can sign with. Raises Unavailable: it is away. Stop: it does not tell, or tells no addresses."""
    complaint: SignerError | None = None
    for method in ("eth_accounts", "account_list"):
        try:
            listed = rpc.ask(method, [])
        except SignerError as error:
            if error.is_unknown_method:
                complaint = complaint or error
                continue
            told = f"the signer at {rpc.shown} does not list its accounts ({error})"
            raise Stop(f"{told}: allow it there") if error.is_denial else Unavailable(f"{told}; try again") from None
        return _addresses(listed, rpc.shown)
    raise Stop(f"the signer at {rpc.shown} does not list its accounts ({complaint}): is it an Ethereum signer?")


def _addresses(listed: object, shown: str) -> list[ChecksumAddress]:
    accounts = cast("list[object]", listed) if isinstance(listed, list) else None
    if accounts is None or len(accounts) > MOST_ACCOUNTS or not all(map(is_address, accounts)):
        raise Stop(f"the signer at {shown} lists no addresses as its accounts: is it an Ethereum signer?")
    return [to_checksum_address(str(account)) for account in accounts]


def _chosen(accounts: Sequence[ChecksumAddress], address: str | None, shown: str) -> ChecksumAddress:
    """Raises Stop: there is none, not this one, or several and none is named."""
    names = ", ".join(accounts[:MOST_NAMED]) + (f" and {more} more" if (more := len(accounts) - MOST_NAMED) > 0 else "")
    if not accounts:
        raise Stop(f"the signer at {shown} has no account: give it a key")
    if address is not None:
        wanted = to_checksum_address(address)
        if wanted not in accounts:
            raise Stop(f"the signer at {shown} has no account {wanted}, but {names}: name one of these")
        return wanted
    if len(accounts) > 1:
        raise Stop(f"the signer at {shown} has several accounts: choose with --keystore ADDRESS among {names}")
    return accounts[0]


def _quantity(value: Any) -> Any:
    return hex(value) if isinstance(value, int) else value


def _jsonable(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _jsonable_value(value) for name, value in values.items()}


def _jsonable_value(value: Any) -> Any:
    if isinstance(value, bytes):
        return "0x" + value.hex()
    return str(value) if isinstance(value, int) and value >= EXACT_INTEGERS else value
