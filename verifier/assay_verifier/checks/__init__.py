"""The checks of design §4, one per file, cheapest first."""
