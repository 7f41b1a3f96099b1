"""Checkpoints and verifier keys: the bytes, and every way to write them wrongly."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.audit.checkpoint import (
    Checkpoint,
    Signature,
    VerifierKey,
    body,
    check_name,
    open_checkpoint,
    parse,
    parse_vkey,
    sign,
)
from daemon.security.signing import SigningKey

KEY = SigningKey(bytes(range(32)))
ORIGIN = "audit.firm.example/duenotice/2024"
HEAD = Checkpoint(ORIGIN, 4096, bytes(range(32)))
VKEY = VerifierKey(ORIGIN, KEY.public)
NOTE = sign(HEAD, KEY.public, KEY.sign)
SUMDB = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"
"""The public key of Go's checksum database, whose base64 holds plus signs."""
WITNESS = str(Signature("witness.example/w", b"\1\2\3\4", b"\4" + bytes(71)))


def test_a_signed_head_opens_with_its_key() -> None:
    assert open_checkpoint(NOTE, [VKEY]) == HEAD
    assert parse(NOTE).body == body(HEAD)
    assert NOTE.decode().splitlines()[:3] == [ORIGIN, "4096", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="]


def test_the_bytes_are_fixed() -> None:
    assert NOTE.decode().splitlines()[4] == GOLDEN_LINE
    assert str(VKEY) == GOLDEN_VKEY


def test_a_key_whose_base64_holds_a_plus_is_read_whole() -> None:
    key = parse_vkey(SUMDB)
    assert (key.name, key.id.hex(), str(key)) == ("sum.golang.org", "033de0ae", SUMDB)


@given(st.binary(min_size=32, max_size=32))
def test_keys_read_back(public: bytes) -> None:
    assert parse_vkey(str(VerifierKey(ORIGIN, public))) == VerifierKey(ORIGIN, public)


@pytest.mark.parametrize(
    "text",
    ["", "x", "x+y", SUMDB[:-1], SUMDB + "=", SUMDB.replace("033de0ae", "033de0af"), SUMDB.replace("golang", "golanh"),
     SUMDB.replace("033de0ae", "033DE0AE"), "a b+00000000+AAAA", SUMDB.replace("+Ac4", "+Bc4"),
     "sum+00000000+" + base64.b64encode(b"\1" + bytes(31)).decode()],
)  # fmt: skip
def test_a_malformed_key_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_vkey(text)


@given(st.integers(0, 2**62), st.binary(min_size=32, max_size=32))
def test_any_head_reads_back(size: int, root: bytes) -> None:
    head = Checkpoint(ORIGIN, size, root)
    assert open_checkpoint(sign(head, KEY.public, KEY.sign), [VKEY]) == head


def test_every_flipped_bit_of_a_checkpoint_is_refused() -> None:
    for position in range(len(NOTE) * 8):
        changed = bytearray(NOTE)
        changed[position // 8] ^= 1 << position % 8
        with pytest.raises(ValueError):
            open_checkpoint(bytes(changed), [VKEY])


def test_every_shortened_checkpoint_is_refused() -> None:
    for length in range(len(NOTE)):
        with pytest.raises(ValueError):
            open_checkpoint(NOTE[:length], [VKEY])


def resigned(text: str) -> bytes:
    """A note with this text, rightly signed: only the form is wrong."""
    return text.encode() + f"\n{Signature(ORIGIN, VKEY.id, KEY.sign(text.encode()))}\n".encode()


ROOT = base64.b64encode(HEAD.root).decode()


@pytest.mark.parametrize(
    "text",
    [
        f"{ORIGIN}\r\n4096\r\n{ROOT}\r\n",
        f"{ORIGIN}\n04096\n{ROOT}\n",
        f"{ORIGIN}\n+4096\n{ROOT}\n",
        f"{ORIGIN}\n4_096\n{ROOT}\n",
        f"{ORIGIN}\n４096\n{ROOT}\n",
        f"{ORIGIN}\n-1\n{ROOT}\n",
        f"{ORIGIN}\n\n{ROOT}\n",
        f"{ORIGIN}\n99999999999999999999\n{ROOT}\n",
        f"{ORIGIN}\n4096\n{ROOT[:-2]}9=\n",
        f"{ORIGIN}\n4096\n{ROOT[:-1]}\n",
        f"{ORIGIN}\n4096\n{ROOT}=\n",
        f"{ORIGIN}\n4096\n {ROOT}\n",
        f"{ORIGIN}\n4096\nAAAA\n",
        f"{ORIGIN}\n4096\n{ROOT}\nextension\n",
        f"{ORIGIN}\n4096\n",
        f"two words\n4096\n{ROOT}\n",
        f"{ORIGIN}+x\n4096\n{ROOT}\n",
        f"{ORIGIN}\t\n4096\n{ROOT}\n",
        f"\n4096\n{ROOT}\n",
    ],
)
def test_another_form_is_refused_even_when_rightly_signed(text: str) -> None:
    with pytest.raises(ValueError):
        open_checkpoint(resigned(text), [VKEY])


def with_lines(*lines: str) -> bytes:
    return body(HEAD) + b"\n" + "".join(f"{line}\n" for line in lines).encode()


OURS = NOTE.decode().splitlines()[4]


def test_lines_of_other_keys_are_passed_over() -> None:
    assert open_checkpoint(with_lines(WITNESS, OURS, WITNESS), [VKEY]) == HEAD


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [WITNESS],
        [OURS, "not a signature"],
        [OURS, ""],
        [OURS.replace("—", "-")],
        [OURS.replace("— ", "—")],
        [OURS + " "],
        [OURS + "="],
        [OURS.removesuffix("=")],
        [OURS[:-4] + "xQ=="],
        [OURS, "— witness.example/w AAECAw=="],
        [OURS] + [WITNESS] * 100,
        [OURS, str(Signature(ORIGIN, VKEY.id, bytes(64)))],
        [OURS, str(Signature(ORIGIN, VKEY.id, b"short"))],
    ],
)
def test_lines_out_of_form_or_not_verifying_are_refused(lines: list[str]) -> None:
    with pytest.raises(ValueError):
        open_checkpoint(with_lines(*lines), [VKEY])


def test_a_hundred_signatures_are_enough_and_a_note_is_bounded() -> None:
    assert open_checkpoint(with_lines(OURS, *[WITNESS] * 99), [VKEY]) == HEAD
    with pytest.raises(ValueError, match="at most 65536"):
        parse(NOTE + b"x" * 65_536)


def test_only_a_key_of_the_origin_counts() -> None:
    other = SigningKey(bytes(32))
    with pytest.raises(ValueError, match="not signed by a key given"):
        open_checkpoint(NOTE, [VerifierKey(ORIGIN, other.public)])
    with pytest.raises(ValueError, match="not signed by a key given"):
        open_checkpoint(NOTE, [VerifierKey("elsewhere.example/log", KEY.public)])
    with pytest.raises(ValueError, match="no key at all"):
        open_checkpoint(NOTE, [])
    assert open_checkpoint(NOTE, [VerifierKey(ORIGIN, other.public), VKEY]) == HEAD


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\nb", "a\u3000b", "a\x85b", "x" * 256])
def test_a_name_without_blank_and_plus(name: str) -> None:
    with pytest.raises(ValueError, match="expected 1 to 255"):
        check_name(name)


GOLDEN_LINE = (
    "— audit.firm.example/duenotice/2024 mdpWpZS65JvrCU+8UXythyh+iJhl"
    "s9owgvZgT+4F08A2djb7vOpgZOaA14qR4SWr5buUyi8DclCpOUxmcBhhb+1D9QI="
)
GOLDEN_VKEY = "audit.firm.example/duenotice/2024+99da56a5+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4"
