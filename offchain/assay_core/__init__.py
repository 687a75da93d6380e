"""The shared core of Assay: protocol, chain, proofs, weights, policies, environments, command line."""

__version__ = "0.1.0"
