"""Averaging without a star: peers mix their updates with those of their neighbours, each at its own pace."""
