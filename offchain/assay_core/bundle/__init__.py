"""What travels between parties, and how each of it is written and read."""
