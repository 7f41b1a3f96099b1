"""The Merkle tree: published vectors, files, proofs."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.audit.tree import (
    EMPTY_ROOT,
    WIDTH,
    Growing,
    Read,
    bundle_path,
    bundles,
    consistency_proof,
    decode_bundle,
    encode_bundle,
    fold,
    inclusion_proof,
    leaf_hash,
    node_hash,
    read_bundle,
    read_tile,
    root,
    split,
    subtree,
    tile_path,
    tiles,
    verify_consistency,
    verify_inclusion,
)

LEAVES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
"""The eight leaves and roots of the Certificate Transparency reference implementation (RFC 6962 section 2.1.3)."""
VECTORS = json.loads((Path(__file__).parents[1] / "outside" / "merkle_proofs.json").read_text())
SIZES = [1, 2, 3, 7, 8, 255, 256, 257, 300, 511, 512, 513, 1000, 65_536, 65_700]


def grown(size: int) -> tuple[dict[str, bytes], list[bytes], Growing]:
    """Tile files, leaf hashes and tree of `size` leaves."""
    files: dict[str, bytes] = {}

    def keep(level: int, number: int, row: list[bytes]) -> None:
        files[tile_path(level, number, len(row))] = b"".join(row)

    tree = Growing(keep)
    leaves = [leaf_hash(str(number).encode()) for number in range(size)]
    for leaf in leaves:
        tree.append(leaf)
    for tile in tree.rest():
        keep(*tile)
    return files, leaves, tree


def reader(files: dict[str, bytes]) -> Read:
    def read(path: str) -> bytes:
        if path not in files:
            raise FileNotFoundError(path)
        return files[path]

    return read


@pytest.fixture(scope="module", params=SIZES)
def log(request: pytest.FixtureRequest) -> Iterator[tuple[Read, list[bytes], Growing]]:
    files, leaves, tree = grown(request.param)
    yield reader(files), leaves, tree


def plain_root(leaves: list[bytes]) -> bytes:
    """RFC 6962 section 2.1, as it is written there."""
    if len(leaves) == 1:
        return leaves[0]
    return node_hash(plain_root(leaves[: split(len(leaves))]), plain_root(leaves[split(len(leaves)) :]))


def test_the_published_roots_come_out() -> None:
    hashes = [leaf_hash(bytes.fromhex(leaf)) for leaf in LEAVES]
    assert [fold(hashes[: n + 1]).hex() for n in range(8)] == ROOTS
    assert fold([]) == EMPTY_ROOT == Growing().root()
    assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@given(st.integers(1, 700))
@settings(max_examples=60)
def test_folding_is_the_recursive_definition(size: int) -> None:
    leaves = [number.to_bytes(32, "big") for number in range(size)]
    assert fold(leaves) == plain_root(leaves)


def test_the_files_give_the_root_and_let_the_tree_go_on(log: tuple[Read, list[bytes], Growing]) -> None:
    read, leaves, tree = log
    assert tree.root() == fold(leaves) == root(read, len(leaves))
    again = Growing.at(read, len(leaves))
    assert (again.size, again.root(), list(again.rest())) == (len(leaves), tree.root(), list(tree.rest()))
    again.append(leaf_hash(b"more"))
    assert again.root() == fold([*leaves, leaf_hash(b"more")])


def test_the_files_are_exactly_those_of_the_layout() -> None:
    for size in SIZES:
        assert set(grown(size)[0]) == {tile_path(*tile) for tile in tiles(size)}


def test_proofs_verify_for_their_leaf_and_heads_only(log: tuple[Read, list[bytes], Growing]) -> None:
    read, leaves, tree = log
    size, head = len(leaves), tree.root()
    for index in {0, 1, size // 2, size - 1} & set(range(size)):
        proof = inclusion_proof(read, index, size)
        assert verify_inclusion(index, size, leaves[index], proof, head)
        assert not verify_inclusion(index, size, leaf_hash(b"other"), proof, head)
        assert not verify_inclusion((index + 1) % (size + 1), size, leaves[index], proof, head)
        assert not verify_inclusion(index, size, leaves[index], [*proof, head], head)
        assert not verify_inclusion(index, size, leaves[index], proof, EMPTY_ROOT)
    for old in {0, 1, size // 3, size // 2, size - 1, size}:
        proof, before = consistency_proof(read, old, size), fold(leaves[:old])
        assert verify_consistency(old, size, before, head, proof)
        assert not verify_consistency(old, size, leaf_hash(b"other"), head, proof)
        assert not verify_consistency(old, size, before, head, [*proof, head])
        assert old == 0 or not verify_consistency(old, size, before, leaf_hash(b"other"), proof)


@settings(max_examples=60)
@given(st.integers(1, 600), st.data())
def test_proofs_between_any_sizes_verify(size: int, choice: st.DataObject) -> None:
    files, leaves, tree = grown(size)
    read = reader(files)
    index, old = choice.draw(st.integers(0, size - 1)), choice.draw(st.integers(0, size))
    assert verify_inclusion(index, size, leaves[index], inclusion_proof(read, index, size), tree.root())
    assert verify_consistency(old, size, fold(leaves[:old]), tree.root(), consistency_proof(read, old, size))
    if old:
        assert subtree(read, size, 0, old) == fold(leaves[:old])


def unbase64(text: str | None) -> bytes:
    return base64.b64decode(text or "")


DIFFERENCES = {
    # Roots of other than 32 bytes are no roots here, even where both are equal.
    "consistency/additional/sizes-are-equal-one-and-proof-is-empty.json",
}


@pytest.mark.parametrize("vector", VECTORS["inclusion"], ids=lambda vector: vector["name"])
def test_inclusion_vectors_of_transparency_dev(vector: dict[str, Any]) -> None:
    proof = [unbase64(part) for part in vector["proof"] or []]
    leaf, head = unbase64(vector["leafHash"]), unbase64(vector["root"])
    assert verify_inclusion(vector["leafIdx"], vector["treeSize"], leaf, proof, head) != vector["wantErr"]


@pytest.mark.parametrize("vector", VECTORS["consistency"], ids=lambda vector: vector["name"])
def test_consistency_vectors_of_transparency_dev(vector: dict[str, Any]) -> None:
    proof = [unbase64(part) for part in vector["proof"] or []]
    heads = unbase64(vector["root1"]), unbase64(vector["root2"])
    accepted = verify_consistency(vector["size1"], vector["size2"], *heads, proof)
    assert (accepted != vector["wantErr"]) == (vector["name"] not in DIFFERENCES)


@pytest.mark.parametrize(
    ("number", "width", "path"),
    [
        (0, 256, "000"),
        (0, 16, "000.p/16"),
        (999, 256, "999"),
        (1000, 256, "x001/000"),
        (1234, 17, "x001/234.p/17"),
        (1_234_067, 256, "x001/x234/067"),
        (1_234_067, 1, "x001/x234/067.p/1"),
    ],
)
def test_paths_are_those_of_the_layout(number: int, width: int, path: str) -> None:
    assert tile_path(1, number, width) == f"tile/1/{path}"
    assert bundle_path(number, width) == f"tile/entries/{path}"


@given(st.lists(st.binary(max_size=300), max_size=WIDTH))
def test_bundles_read_back(records: list[bytes]) -> None:
    assert decode_bundle(encode_bundle(records)) == records


@given(st.lists(st.binary(max_size=20), min_size=1, max_size=6), st.data())
def test_a_torn_bundle_is_refused_or_shorter(records: list[bytes], choice: st.DataObject) -> None:
    raw = encode_bundle(records)
    cut = choice.draw(st.integers(0, len(raw) - 1))
    try:
        assert decode_bundle(raw[:cut]) == records[: len(decode_bundle(raw[:cut]))]
        assert len(decode_bundle(raw[:cut])) < len(records)
    except ValueError as reason:
        assert "cut off" in str(reason)


def test_a_record_too_long_for_the_format_is_refused_not_wrapped() -> None:
    assert decode_bundle(encode_bundle([bytes(65_535)])) == [bytes(65_535)]
    with pytest.raises(ValueError, match="65536"):
        encode_bundle([bytes(65_536)])


def test_more_records_than_a_bundle_holds_are_refused() -> None:
    with pytest.raises(ValueError, match="after record 256"):
        decode_bundle(encode_bundle([b"x"] * 257))


def test_where_the_incomplete_file_is_gone_the_complete_one_serves() -> None:
    files, leaves, _ = grown(256)
    files[bundle_path(0)] = encode_bundle([str(number).encode() for number in range(256)])
    read = reader(files)
    assert read_tile(read, 0, 0, 100) == leaves[:100]
    assert read_bundle(read, 0, 3) == [b"0", b"1", b"2"]
    with pytest.raises(FileNotFoundError):
        read_tile(read, 0, 1, 100)


@pytest.mark.parametrize("change", [lambda raw: raw[:-1], lambda raw: raw + b"x", lambda raw: b""])
def test_a_file_of_the_wrong_length_is_refused(change: Any) -> None:
    files = {tile_path(0, 0, 2): change(bytes(64)), bundle_path(0, 2): change(encode_bundle([b"a", b"b"]))}
    with pytest.raises(ValueError):
        read_tile(reader(files), 0, 0, 2)
    with pytest.raises(ValueError):
        read_bundle(reader(files), 0, 2)


def test_bundles_cover_every_record_once() -> None:
    for size in [0, *SIZES]:
        assert sum(width for _, width in bundles(size)) == size
        assert all(right[0] == left[0] + 1 for left, right in pairwise(bundles(size)))


@pytest.mark.parametrize(("index", "size"), [(-1, 5), (5, 5), (0, 0)])
def test_there_is_no_proof_outside_the_tree(index: int, size: int) -> None:
    with pytest.raises(ValueError, match="in the tree"):
        inclusion_proof(reader({}), index, size)
    with pytest.raises(ValueError, match="0 <= old <= new"):
        consistency_proof(reader({}), 6, 5)
