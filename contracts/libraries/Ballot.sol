// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Commit and reveal: nobody can copy a vote, or change it once others are known.
/// @notice Attestations of verifiers and votes of jurors are both cast here. What a voter has done is a state of its
///         own, never read off a value that somebody may choose.
library Ballot {
    enum State {
        None,
        Committed,
        Revealed,
        Penalised // for having done neither in time
    }

    enum Stage {
        Commit,
        Reveal,
        Over
    }

    /// One slot. 248 bits of a hash are enough against collisions.
    struct Vote {
        bytes31 hash; // of the commitment; once revealed, of the content
        State state;
    }

    struct Box {
        uint40 commitBy; // brought forward when all have committed
        uint40 revealBy; // brought forward when all who committed have revealed
        uint16 voters;
        uint16 committed;
        uint16 revealed;
        mapping(address voter => Vote) votes;
    }

    error EmptyCommitment();
    error AlreadyCommitted(address voter);
    error AlreadyRevealed(address voter);
    error NotCommitted(address voter);
    error CommitmentMismatch(bytes31 commitment, bytes31 revealed);
    error WasPresent(address voter);
    error AlreadyPenalised(address voter);

    function open(Box storage box, uint16 voters, uint256 commitWindow, uint256 revealWindow) internal {
        box.voters = voters;
        box.commitBy = uint40(block.timestamp + commitWindow); // windows have 32 bits
        box.revealBy = uint40(block.timestamp + commitWindow + revealWindow);
    }

    /// The caller has checked that `voter` may vote, and that the stage is Commit.
    function commit(Box storage box, address voter, bytes32 commitment) internal {
        require(commitment != bytes32(0), EmptyCommitment());
        require(box.votes[voter].state == State.None, AlreadyCommitted(voter));
        box.votes[voter] = Vote(bytes31(commitment), State.Committed);
        uint16 committed = box.committed + 1;
        box.committed = committed;
        if (committed == box.voters) {
            uint40 window = box.revealBy - box.commitBy;
            box.commitBy = uint40(block.timestamp);
            box.revealBy = uint40(block.timestamp) + window;
        }
    }

    /// The caller has checked that the stage is Reveal.
    /// @param subject what is voted on, so that a commitment holds for nothing else
    /// @param content hash of what is revealed
    function reveal(Box storage box, bytes32 subject, address voter, bytes32 content, bytes32 salt) internal {
        Vote memory vote = box.votes[voter];
        require(vote.state != State.Revealed, AlreadyRevealed(voter));
        require(vote.state == State.Committed, NotCommitted(voter));
        bytes31 revealed = bytes31(keccak256(abi.encode(subject, voter, content, salt)));
        require(vote.hash == revealed, CommitmentMismatch(vote.hash, revealed));
        box.votes[voter] = Vote(bytes31(content), State.Revealed);
        uint16 count = box.revealed + 1;
        box.revealed = count;
        if (count == box.committed) box.revealBy = uint40(block.timestamp);
    }

    /// Marks a voter as one that did not reveal in time. The caller has checked that it might have voted, and that the
    /// stage is Over.
    function penalise(Box storage box, address voter) internal {
        State state = box.votes[voter].state;
        require(state != State.Revealed, WasPresent(voter));
        require(state != State.Penalised, AlreadyPenalised(voter));
        box.votes[voter].state = State.Penalised;
    }

    /// The content that a voter revealed; 0: it did not.
    function revealedBy(Box storage box, address voter) internal view returns (bytes31) {
        Vote memory vote = box.votes[voter];
        return vote.state == State.Revealed ? vote.hash : bytes31(0);
    }

    function stageOf(Box storage box) internal view returns (Stage) {
        if (block.timestamp < box.commitBy && box.committed < box.voters) return Stage.Commit;
        if (block.timestamp < box.revealBy && box.revealed < box.committed) return Stage.Reveal;
        return Stage.Over;
    }
}
