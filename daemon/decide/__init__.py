"""Rows to facts to decisions, for a whole feed or for some keys. Reads sources and the store's gate rows; writes nothing.

`reading` reads a feed (or asks for keys) and makes facts; `joining` joins reference kinds and collects; `lines` gives every
fact its subject number, its gates and its decisions; `inputs` is what of a fact is sealed, so that it can be rendered,
asked again in part, and replayed.
"""
