"""Averaging without a star: peers mix their updates with those of their neighbours, each at its own pace.

No daemon does it. What it would cost is simulated at scale, and confirmed over real links; see `__main__.py`.
"""
