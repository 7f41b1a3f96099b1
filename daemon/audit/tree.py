"""The Merkle tree of RFC 6962 section 2.1 and its files in the C2SP tlog-tiles layout. Pure: bytes in, bytes out.

- Leaf hash SHA-256(0x00 ‖ record), node hash SHA-256(0x01 ‖ left ‖ right), empty tree SHA-256("").
- A tile is up to 256 hashes of 32 bytes; tile n of level L holds the roots of the 256^L-leaf subtrees number
  256n … 256n+255. Its path is `tile/L/N`, N in groups of three digits, all but the last led by `x`: 1234067 is
  `x001/x234/067`; an incomplete tile of W hashes is `N.p/W`.
- An entry bundle is `tile/entries/N[.p/W]`: up to 256 records, each behind its length in 2 bytes, big-endian.

Proofs at the corners, where implementations differ: a proof between equal sizes is empty and needs equal roots; from
size 0 it is empty and needs the empty tree's root; a proof into an empty tree does not exist.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from typing import TypeAlias

WIDTH = 256
HASH_BYTES = 32
MAX_ENTRY_BYTES = 65_535
EMPTY_ROOT = sha256(b"").digest()

Read: TypeAlias = Callable[[str], bytes]
"""Gives the bytes of a log file by its path; raises FileNotFoundError."""


def leaf_hash(record: bytes) -> bytes:
    return sha256(b"\x00" + record).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


def split(size: int) -> int:
    """The largest power of two below `size` (> 1): where RFC 6962 divides a tree."""
    return 1 << (size - 1).bit_length() - 1


def fold(hashes: Sequence[bytes]) -> bytes:
    """The root over hashes of one level. Pairing neighbours and lifting a lone last one is RFC 6962's tree."""
    if not hashes:
        return EMPTY_ROOT
    row = list(hashes)
    while len(row) > 1:
        lone = row[-1:] if len(row) & 1 else []
        row = [sha256(b"\x01" + row[i] + row[i + 1]).digest() for i in range(0, len(row) - 1, 2)] + lone
    return row[0]


class Growing:
    """A tree that grows leaf by leaf, remembering only the right-hand edge: per level the hashes of its last tile.

    `on_tile(level, number, hashes)` is called for every tile as it fills; `rest()` gives those not full.
    """

    def __init__(self, on_tile: Callable[[int, int, list[bytes]], None] | None = None) -> None:
        self._edge: list[list[bytes]] = [[]]
        self._full: list[int] = [0]
        self._on_tile = on_tile
        self.size = 0

    @classmethod
    def at(cls, read: Read, size: int, on_tile: Callable[[int, int, list[bytes]], None] | None = None) -> Growing:
        """The tree of `size` leaves as the tiles say it. Raises FileNotFoundError, or ValueError for a bad length."""
        tree = cls(on_tile)
        tree.size = size
        tree._edge, tree._full = [], []
        for level in range(levels(size)):
            number, width = divmod(size >> 8 * level, WIDTH)
            tree._edge.append(read_tile(read, level, number, width) if width else [])
            tree._full.append(number)
        return tree

    def append(self, hash: bytes) -> None:
        """Add a leaf by its hash."""
        self.size += 1
        level = 0
        while True:
            row = self._edge[level]
            row.append(hash)
            if len(row) < WIDTH:
                return
            if self._on_tile is not None:
                self._on_tile(level, self._full[level], row)
            hash = fold(row)
            self._edge[level] = []
            self._full[level] += 1
            level += 1
            if level == len(self._edge):
                self._edge.append([])
                self._full.append(0)

    def rest(self) -> Iterator[tuple[int, int, list[bytes]]]:
        """(level, number, hashes) of each tile that is begun and not full."""
        for level, row in enumerate(self._edge):
            if row:
                yield level, self._full[level], row

    def root(self) -> bytes:
        """The root of what has been appended."""
        right: bytes | None = None
        for row in self._edge:
            if row:
                right = _edge_root(row, right)
        return EMPTY_ROOT if right is None else right


def _edge_root(row: list[bytes], right: bytes | None) -> bytes:
    """The root over complete subtrees of one level and, right of them, a smaller tree."""
    start = 0
    pieces = []
    for bit in range(len(row).bit_length() - 1, -1, -1):
        if len(row) >> bit & 1:
            pieces.append(fold(row[start : start + (1 << bit)]))
            start += 1 << bit
    for piece in reversed(pieces):
        right = piece if right is None else node_hash(piece, right)
    assert right is not None  # `row` is not empty
    return right


def levels(size: int) -> int:
    """How many levels of tiles a tree of `size` leaves has, at least one."""
    count = 1
    while size >> 8 * count:
        count += 1
    return count


def tiles(size: int) -> Iterator[tuple[int, int, int]]:
    """(level, number, width) of every hash tile of a tree of `size` leaves."""
    for level in range(levels(size)):
        full, width = divmod(size >> 8 * level, WIDTH)
        for number in range(full):
            yield level, number, WIDTH
        if width:
            yield level, full, width


def bundles(size: int) -> Iterator[tuple[int, int]]:
    """(number, width) of every entry bundle of a tree of `size` leaves."""
    full, width = divmod(size, WIDTH)
    for number in range(full):
        yield number, WIDTH
    if width:
        yield full, width


def _number_path(number: int, width: int) -> str:
    parts = [f"{number % 1000:03d}"]
    while number >= 1000:
        number //= 1000
        parts.insert(0, f"x{number % 1000:03d}")
    return "/".join(parts) + (f".p/{width}" if width < WIDTH else "")


def tile_path(level: int, number: int, width: int = WIDTH) -> str:
    """`tile/0/x001/234`, or `tile/0/x001/234.p/17` for 17 hashes."""
    return f"tile/{level}/{_number_path(number, width)}"


def bundle_path(number: int, width: int = WIDTH) -> str:
    """`tile/entries/x001/234[.p/W]`."""
    return f"tile/entries/{_number_path(number, width)}"


def encode_bundle(records: Sequence[bytes]) -> bytes:
    """The bytes of an entry bundle. Raises ValueError for a record over 65,535 bytes: never cut, never wrapped."""
    for record in records:
        if len(record) > MAX_ENTRY_BYTES:
            raise ValueError(f"record of {len(record)} bytes, expected at most {MAX_ENTRY_BYTES}")
    return b"".join(len(record).to_bytes(2, "big") + record for record in records)


def decode_bundle(raw: bytes, limit: int = WIDTH) -> list[bytes]:
    """The records of an entry bundle, to its last byte. Raises ValueError when it is torn or longer than `limit`."""
    records: list[bytes] = []
    at, end = 0, len(raw)
    while at < end:
        if len(records) == limit:
            raise ValueError(f"entry bundle: bytes after record {limit}")
        start = at + 2
        at = start + (raw[at] << 8 | raw[at + 1] if start <= end else 2)
        if at > end:
            raise ValueError(f"entry bundle: record {len(records)} is cut off")
        records.append(raw[start:at])
    return records


def read_tile(read: Read, level: int, number: int, width: int) -> list[bytes]:
    """The hashes of a tile; where the incomplete one is gone, the first of the complete one.

    Raises FileNotFoundError, or ValueError for a wrong length.
    """
    raw, expected = _read_either(read, tile_path(level, number, width), tile_path(level, number), width)
    if len(raw) != expected * HASH_BYTES:
        raise ValueError(f"{tile_path(level, number, width)}: {len(raw)} bytes, expected {expected * HASH_BYTES}")
    return [raw[i : i + HASH_BYTES] for i in range(0, width * HASH_BYTES, HASH_BYTES)]


def read_bundle(read: Read, number: int, width: int) -> list[bytes]:
    """The records of a bundle, as `read_tile` does it. Raises FileNotFoundError or ValueError."""
    raw, expected = _read_either(read, bundle_path(number, width), bundle_path(number), width)
    records = decode_bundle(raw, expected)
    if len(records) != expected:
        raise ValueError(f"{bundle_path(number, width)}: {len(records)} records, expected {expected}")
    return records[:width]


def _read_either(read: Read, partial: str, full: str, width: int) -> tuple[bytes, int]:
    try:
        return read(partial), width
    except FileNotFoundError:
        if width == WIDTH:
            raise
        return read(full), WIDTH


def subtree(read: Read, size: int, start: int, end: int) -> bytes:
    """The hash of RFC 6962's subtree over leaves [start, end) of a tree of `size` leaves, from its tiles."""
    level, low, high = 0, start, end
    while high - low > 1 and low % WIDTH == 0 and high % WIDTH == 0:
        level, low, high = level + 1, low >> 8, high >> 8
    if high - low == 1 or (high - low <= WIDTH and low % (high - low) == 0 and (high - low).bit_count() == 1):
        number, first = divmod(low, WIDTH)
        width = min(WIDTH, (size >> 8 * level) - number * WIDTH)
        return fold(read_tile(read, level, number, width)[first : first + high - low])
    middle = start + split(end - start)
    return node_hash(subtree(read, size, start, middle), subtree(read, size, middle, end))


def root(read: Read, size: int) -> bytes:
    """The root as the tiles say it; proves nothing about the records."""
    return subtree(read, size, 0, size) if size else EMPTY_ROOT


def inclusion_proof(read: Read, index: int, size: int) -> list[bytes]:
    """RFC 6962 section 2.1.1: the audit path of leaf `index` in a tree of `size`. Raises ValueError outside it."""
    if not 0 <= index < size:
        raise ValueError(f"leaf {index}: expected one of the {size} in the tree")
    path, start, end = [], 0, size
    while end - start > 1:
        middle = start + split(end - start)
        if index < middle:
            path.append(subtree(read, size, middle, end))
            end = middle
        else:
            path.append(subtree(read, size, start, middle))
            start = middle
    return path[::-1]


def consistency_proof(read: Read, old: int, new: int) -> list[bytes]:
    """RFC 6962 section 2.1.2 between sizes `old` and `new`. Raises ValueError unless 0 <= old <= new."""
    if not 0 <= old <= new:
        raise ValueError(f"sizes {old} and {new}: expected 0 <= old <= new")
    if old in {0, new}:
        return []
    proof, start, end, whole = [], 0, new, True
    while start + (old - start) != end:
        middle = start + split(end - start)
        if old <= middle:
            proof.append(subtree(read, new, middle, end))
            end = middle
        else:
            proof.append(subtree(read, new, start, middle))
            start, whole = middle, False
    return ([] if whole else [subtree(read, new, start, end)]) + proof[::-1]


def verify_inclusion(index: int, size: int, leaf: bytes, proof: Sequence[bytes], root: bytes) -> bool:
    """RFC 9162 section 2.1.3.2."""
    if not 0 <= index < size or len(leaf) != HASH_BYTES:
        return False
    fn, sn, hash = index, size - 1, leaf
    for part in proof:
        if sn == 0 or len(part) != HASH_BYTES:
            return False
        if fn & 1 or fn == sn:
            hash = node_hash(part, hash)
            while fn and not fn & 1:
                fn, sn = fn >> 1, sn >> 1
        else:
            hash = node_hash(hash, part)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and hash == root


def verify_consistency(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> bool:
    """RFC 9162 section 2.1.4.2, with the corners as the module says."""
    if not 0 <= old <= new or len(old_root) != HASH_BYTES or len(new_root) != HASH_BYTES:
        return False
    if old == 0 and old_root != EMPTY_ROOT:
        return False
    if old in {0, new}:
        return not proof and (old != new or old_root == new_root)
    path = [old_root, *proof] if old.bit_count() == 1 else list(proof)
    if not path or any(len(part) != HASH_BYTES for part in path):
        return False
    fn, sn = old - 1, new - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    first = second = path[0]
    for part in path[1:]:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            first, second = node_hash(part, first), node_hash(part, second)
            while fn and not fn & 1:
                fn, sn = fn >> 1, sn >> 1
        else:
            second = node_hash(second, part)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and first == old_root and second == new_root
