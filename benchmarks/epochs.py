"""Thousands of epochs on a local chain, and where every wei went: `make long-run`, or `-m benchmarks.epochs 500`.

Succeeds only if the books balance to the wei at every checkpoint and in the end (tests/differential/long_run.py).
"""

import sys

from tests.differential.long_run import Result, run

EPOCHS = 10_000


def table(result: Result) -> str:
    """Counts, then money in wei."""
    counts = {
        "epochs": result.epochs,
        "of which void": result.void,
        "submissions": result.submissions,
        "frauds slashed": result.frauds,
        "plants opened": result.plants,
        "challenges": result.challenges,
        "transactions": result.transactions,
        "of which refused": result.refused,
        "minted": result.minted,
        "escrowed for the task": result.escrowed,
        "bonded": result.bonded,
        "put down by challengers": result.pledged,
        "put down by planters": result.deposited,
        "paid to trainers and verifiers": result.paid,
        "refunded to the initiator": result.refunded,
        "bonds withdrawn": result.withdrawn,
        "slashed: to reporters and planters": result.rewards,
        "slashed: to finders, by way of Appeals": result.found,
        "slashed: burnt": result.burnt_bonds,
        "paid to challengers and jurors": result.appeals_paid,
        "given back to planters": result.deposits_returned,
        "burnt, all": result.burnt,
        "left in the contracts": result.left,
        "with people": result.with_people,
    }
    rows = [f"{name:<50}{value:>38,}" for name, value in counts.items()]
    sums = (
        "minted = with people + left + burnt",
        "escrowed = paid + refunded + left",
        "bonded = withdrawn + slashed",
        "put down + to finders = paid to challengers and jurors + given back + burnt otherwise",
    )
    return "\n".join([*rows, *(f"to the wei: {each}" for each in sums)])


def main() -> None:
    epochs = int(sys.argv[1]) if len(sys.argv) > 1 else EPOCHS
    result = run(epochs, told=lambda done: print(f"after {done:,} epochs: held = owed", file=sys.stderr, flush=True))
    print(table(result))
    print(f"{result.seconds:.0f} s, {result.transactions / result.seconds:.0f} transactions/s")


if __name__ == "__main__":
    main()
