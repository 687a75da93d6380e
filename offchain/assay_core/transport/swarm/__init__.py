"""Other ways to move bundles than relays, behind the same `Engine`: an S3 bucket, a BitTorrent swarm."""
