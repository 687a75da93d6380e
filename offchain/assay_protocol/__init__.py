"""Assay, as a library and as the command `assay`."""
