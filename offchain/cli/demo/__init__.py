"""`assay demo`: a whole local network in separate processes, judged by what the chain says at its end."""

from offchain.cli.demo.command import demo

__all__ = ["demo"]
