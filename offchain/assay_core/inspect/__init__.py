"""What became of tasks and submissions, out of the chain and of what verifiers publish."""
