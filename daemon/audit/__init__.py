"""The trail: records, Merkle tree, checkpoints, verification, export. Pure; the byte formats are in the docstrings."""
