"""The stand-in carrier: a strict CT/CU platform with handsets, faults and a ledger of its own, in its own process.

It imports no part of cards, rules, channels or store, so that it can disagree with them.
"""
