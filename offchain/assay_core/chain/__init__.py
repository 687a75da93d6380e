"""The chain as Assay sees it: typed contracts and events, a sender, a follower, keys, deployments."""
