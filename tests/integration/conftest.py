"""The stage of the tests that need whole workers."""

from tests.integration.stage import relay, stage

__all__ = ["relay", "stage"]
