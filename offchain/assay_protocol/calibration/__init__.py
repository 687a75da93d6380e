"""How far honest submissions lie apart, how far the best cheats lie off, and the thresholds between them.

The arithmetic only: what makes and checks submissions is passed in
(`offchain/assay_protocol/calibration/submissions.py`).
"""
