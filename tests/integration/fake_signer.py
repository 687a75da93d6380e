"""An external signer on loopback that really signs, in each of the dialects that are spoken.

with FakeNode(rule=signer(account)) as node:
    remote = RemoteAccount.connect(node.url)
"""

import json
from collections.abc import Callable, Sequence
from typing import Any

from eth_account.messages import encode_defunct, encode_typed_data
from eth_account.signers.local import LocalAccount

from tests.integration.fake_node import Answer, Ask, FakeNode, Rule, error, result

UNKNOWN = error(-32601, "the method does not exist/is not available")
QUANTITIES = frozenset({"nonce", "gas", "gasPrice", "maxFeePerGas", "maxPriorityFeePerGas", "value", "chainId"})


def signer(*accounts: LocalAccount, dialect: str = "node") -> Rule:
    """`node`: v4 alone, as nodes do. `web3signer`: typed data as a string. `clef`: names and answers of its own."""
    by_address = {account.address.lower(): account for account in accounts}

    def say(method: str, params: list[Any], _ask: Ask) -> Answer:
        if method == LIST[dialect]:
            return result(list(by_address))
        handler = HANDLERS[dialect].get(method)
        if handler is None:
            return UNKNOWN
        sign, where = handler
        account = by_address.get(str(params[where]["from"] if sign is transaction else params[where]).lower())
        return error(-32000, "no key for this account") if account is None else result(sign(account, params))

    return say


def transaction(account: LocalAccount, params: Sequence[Any]) -> str:
    fields = {name: int(value, 16) if name in QUANTITIES else value for name, value in params[0].items()}
    del fields["from"]
    return account.sign_transaction(fields).raw_transaction.to_0x_hex()


def text(account: LocalAccount, params: Sequence[Any]) -> str:
    return account.sign_message(encode_defunct(hexstr=params[-1])).signature.to_0x_hex()


def typed_data(account: LocalAccount, params: Sequence[Any]) -> str:
    return account.sign_message(encode_typed_data(full_message=params[1])).signature.to_0x_hex()


def typed_string(account: LocalAccount, params: Sequence[Any]) -> str:
    return typed_data(account, [params[0], json.loads(params[1])])


Handler = tuple[Callable[[LocalAccount, Sequence[Any]], Any], int]
LIST = {"node": "eth_accounts", "web3signer": "eth_accounts", "clef": "account_list"}
HANDLERS: dict[str, dict[str, Handler]] = {
    "node": {
        "eth_signTransaction": (transaction, 0),
        "eth_sign": (text, 0),
        "eth_signTypedData_v4": (typed_data, 0),
    },
    "web3signer": {
        "eth_signTransaction": (transaction, 0),
        "eth_sign": (text, 0),
        "eth_signTypedData": (typed_string, 0),
    },
    "clef": {
        "account_signTransaction": (transaction, 0),
        "account_signData": (text, 1),
        "account_signTypedData": (typed_data, 0),
    },
}


def answering(node: FakeNode, honest: Rule, method: str, answer: Callable[[Answer], Answer]) -> None:
    """Let a signer answer one method otherwise; `answer` gets what an honest one says."""

    def say(asked: str, params: list[Any], ask: Ask) -> Answer:
        honestly = honest(asked, params, ask)
        return answer(honestly) if asked == method else honestly

    node.rule = say
