"""SHARDCAST: content-addressed bundles on relays that are trusted for availability only, never for content."""
