"""TOPLOC: a proof of 2 + 2k bytes per chunk of tokens commits to its k largest activations in the final hidden states.

A proof is the polynomial over GF(65497) through the points (flattened position mod modulus, bfloat16 bit pattern), with
the modulus in front; all numbers are big-endian uint16. A verifier evaluates it at the positions of *its* k largest
activations: the same model gives nearly the same values there, another model gives noise.

Byte-compatible with the reference package toploc 0.1.6. Unlike it, the check reduces positions by the proof's modulus
on every path, and a null, short or surplus proof is malformed instead of passing.
Source: Ong et al. 2025, arXiv:2501.16007.
"""

from assay_core.toploc.chunks import Hidden, proof_count
from assay_core.toploc.distance import Distance, distances_between
from assay_core.toploc.encoding import encode_proof
from assay_core.toploc.largest import Bf16Bits
from assay_core.toploc.proofs import build_all, build_proofs, check_all, check_proofs

__all__ = [
    "Bf16Bits",
    "Distance",
    "Hidden",
    "build_all",
    "build_proofs",
    "check_all",
    "check_proofs",
    "distances_between",
    "encode_proof",
    "proof_count",
]
