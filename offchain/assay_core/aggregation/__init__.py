"""The outer step: compressed pseudo-gradients in, the next policy out, to the same bit on every machine."""
