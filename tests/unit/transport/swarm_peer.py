"""A peer of a swarm as a process: reads commands from stdin, answers each with a line of JSON."""

import json
import sys
from pathlib import Path
from typing import Any

from eth_account import Account

from assay_core.bundle.directory import open_bundle, read_manifest
from assay_core.bundle.manifest import BundleKind, BundleLimits
from assay_core.protocol.errors import ProtocolError
from assay_core.protocol.types import Root
from assay_core.transport.swarm.engine import SwarmClient, SwarmPlace

CHAIN_ID = 31_337


def main(settings: dict[str, Any]) -> None:
    account = Account.from_key(bytes([settings["key"]]) * 32)
    state = Path(settings["state"])
    place = SwarmPlace("127.0.0.1", 0, state, upload_bytes_per_s=settings.get("upload_bytes_per_s", 0))
    with SwarmClient(
        settings["trackers"], state / "cache", place, account, chain_id=CHAIN_ID, timeout_s=20, announce_s=0.5
    ) as client:
        print(json.dumps({"port": client.port}), flush=True)
        for line in sys.stdin:
            command, argument = line.split()
            try:
                answer: Any = None
                if command == "publish":
                    client.publish(Path(argument), read_manifest(Path(argument)), account)
                elif command == "fetch":
                    root, limits = Root(bytes.fromhex(argument)), BundleLimits(2**30)
                    open_bundle(client.fetch(root, BundleKind.SUBMISSION, limits), limits, root)
                elif command == "uploaded":
                    answer = client.uploaded_bytes
                print(json.dumps({"answer": answer}), flush=True)
            except ProtocolError as error:
                print(json.dumps({"error": f"{type(error).__name__}: {error}"}), flush=True)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
