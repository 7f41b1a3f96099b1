"""The page in every export that says how to verify it with openssl and sha256sum alone, and no code of ours."""

PROCEDURE = r"""# How to verify this log without our software

This folder holds a log: `tile/entries/` the records, `tile/0/` and up their Merkle tree (RFC 6962, laid out as C2SP
tlog-tiles), `checkpoint` its signed head (C2SP signed note, Ed25519), `schemas/` what a record may say, `rules/` the
rule sets that records name under `set`, `SHA256SUMS` the hashes of schemas, rule sets and this page.

You need bash, openssl 1.1.1 or newer, sha256sum, and the log's verifier key, `name+id+base64`. **Take the key from
elsewhere**: a contract, a published page, an earlier report. A key that comes with the log proves nothing.
In this folder run the lines below, with the key in `KEY`. Each step stops with an error when something is wrong.

## 1. The head is signed

```bash
set -eu; : "${KEY:?put the verifier key here, from elsewhere}"; T=$(mktemp -d)
fail() { echo "BROKEN: $*" >&2; exit 1; }
name=${KEY%%+*}; rest=${KEY#*+}; key=${rest#*+}
head -n 3 checkpoint > $T/body; size=$(sed -n 2p checkpoint)
[ "$(head -n 1 checkpoint)" = "$name" ] || fail "the log is not $name"
[ "$(wc -l < checkpoint)" -ge 5 ] && [ -z "$(sed -n 4p checkpoint)" ] || fail "the checkpoint has another form"
printf %s "$key" | openssl base64 -d -A | tail -c 32 > $T/public
{ printf '%s\n\1' "$name"; cat $T/public; } | sha256sum | cut -c 1-8 > $T/id; found=
while read -r dash who text; do
  printf %s "$text" | openssl base64 -d -A > $T/line
  if [ "$dash $who" = "— $name" ] && [ "$(head -c 4 $T/line | od -An -v -tx1 | tr -d ' \n')" = "$(cat $T/id)" ]; then
    [ "$(openssl base64 -A < $T/line)" = "$text" ] || fail "the signature line is not plain base64"
    found=yes; mv $T/line $T/signature; fi
done < <(tail -n +5 checkpoint)
[ "$found" ] || fail "not signed by this key"
{ printf '\060\052\060\005\006\003\053\145\160\003\041\000'; cat $T/public; } > $T/key
tail -c +5 $T/signature > $T/plain
openssl pkeyutl -verify -pubin -keyform DER -inkey $T/key -rawin -in $T/body -sigfile $T/plain || fail "signature"
```

## 2. Every record is hashed

```bash
file() { local n=$2 p; p=$(printf %03d $((n % 1000)))
  while [ $n -ge 1000 ]; do n=$((n / 1000)); p=x$(printf %03d $((n % 1000)))/$p; done
  if [ $3 -lt 256 ]; then p=$p.p/$3; fi; echo tile/$1/$p; }
: > $T/row; n=0
while [ $n -lt $size ]; do
  count=$((size - n)); if [ $count -gt 256 ]; then count=256; fi
  f=$(file entries $((n / 256)) $count); at=1; i=0; [ -f $f ] || fail "$f is missing"
  while [ $i -lt $count ]; do
    read -r a b <<< "$(tail -c +$at $f | head -c 2 | od -An -tu1)"; long=$((${a:-0} * 256 + ${b:-0}))
    { printf '\0'; tail -c +$((at + 2)) $f | head -c $long; } | sha256sum | cut -c 1-64 >> $T/row
    at=$((at + 2 + long)); i=$((i + 1)); done
  [ $(wc -c < $f) -eq $((at - 1)) ] || fail "$f is longer or shorter than its records"
  n=$((n + count)); done
```

## 3. The tree above them, up to the signed root

```bash
bytes() { printf "$(sed 's/../\\x&/g' <<< "$1")"; }
level=0
while :; do
  whole=$((size >> level)); n=0
  if [ $((level % 8)) -eq 0 ]; then while [ $n -lt $whole ]; do
    count=$((whole - n)); if [ $count -gt 256 ]; then count=256; fi
    f=$(file $((level / 8)) $((n / 256)) $count)
    tail -n +$((n + 1)) $T/row | head -n $count | tr -d '\n' > $T/want
    od -An -v -tx1 $f | tr -d ' \n' | cmp -s - $T/want || fail "$f"
    n=$((n + count)); done; fi
  if [ $(wc -l < $T/row) -le 1 ]; then break; fi
  while read -r a; do
    if read -r b; then { printf '\1'; bytes $a$b; } | sha256sum | cut -c 1-64; else echo $a; fi
  done < $T/row > $T/next; mv $T/next $T/row; level=$((level + 1)); done
if [ $size -eq 0 ]; then sha256sum < /dev/null | cut -c 1-64 > $T/row; fi
[ "$(sed -n 3p checkpoint)" = "$(bytes $(cat $T/row) | openssl base64 -A)" ] || fail "the root is not the signed one"
```

## 4. Schemas and rule sets

```bash
sha256sum --quiet -c SHA256SUMS || fail "schemas or rule sets"
for f in rules/*; do [ ! -f "$f" ] || [ "$(sha256sum < "$f" | cut -c 1-64)" = "${f#rules/}" ] || fail "$f"; done
echo "VERIFIED: $name, $size records"; rm -r $T
```

A log that verifies is consistent: no record in it was changed. Whether it is complete, that is, whether nobody who
holds the signing key has signed a shorter one, shows only a head kept elsewhere (a report, a witness): its size and
root must be those of the first records here. Personal values are not in the log; `com` holds commitments to them:
HMAC-SHA256, under a key that the firm discloses per client, of record id, path and value, each behind its length in
four bytes.
"""
