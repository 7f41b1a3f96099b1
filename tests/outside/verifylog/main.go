// Command verifylog checks logs in the C2SP tlog-tiles layout with golang.org/x/mod/sumdb/{note,tlog} and nothing of
// the project's own: every record is re-hashed, every tile recomputed, the root and the signature checked.
//
// It reads jobs from standard input, one JSON object a line, and answers each with one line, "OK" or "BAD reason":
//
//	{"dir": "…", "vkey": "name+id+key",
//	 "path": "tile/0/000.p/16", "offset": 17, "bit": 3,      flip one bit of one file, in memory only
//	 "files": {"checkpoint": "<base64>", "tile/0/000": null}} replace files, or take them away
//
// The last folder is kept in memory, so that thousands of changed logs are one run.
package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const height = 8

type job struct {
	Dir    string             `json:"dir"`
	Vkey   string             `json:"vkey"`
	Path   string             `json:"path"`
	Offset int                `json:"offset"`
	Bit    uint               `json:"bit"`
	Files  map[string]*string `json:"files"`
}

// files is a log in memory.
type files map[string][]byte

func load(dir string) (files, error) {
	found := files{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		found[filepath.ToSlash(name)] = raw
		return err
	})
	return found, err
}

// path gives a tile's place in the C2SP layout: the library writes the height too, and "data" for "entries".
func path(t tlog.Tile) string {
	rest := strings.TrimPrefix(t.Path(), fmt.Sprintf("tile/%d/", height))
	if strings.HasPrefix(rest, "data/") {
		rest = "entries/" + strings.TrimPrefix(rest, "data/")
	}
	return "tile/" + rest
}

func decode(text string) ([]byte, error) {
	raw, err := base64.StdEncoding.Strict().DecodeString(text)
	if err == nil && base64.StdEncoding.EncodeToString(raw) != text {
		err = errors.New("does not re-encode to the same base64")
	}
	return raw, err
}

// head checks the signature and gives the tree that is signed.
func head(raw []byte, vkey string) (tlog.Tree, error) {
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return tlog.Tree{}, err
	}
	opened, err := note.Open(raw, note.VerifierList(verifier))
	if err != nil {
		return tlog.Tree{}, err
	}
	for _, sig := range append(opened.Sigs, opened.UnverifiedSigs...) {
		if _, err := decode(sig.Base64); err != nil {
			return tlog.Tree{}, fmt.Errorf("signature line of %s: %w", sig.Name, err)
		}
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 || lines[3] != "" || lines[0] != verifier.Name() {
		return tlog.Tree{}, fmt.Errorf("checkpoint text is not three lines led by %s", verifier.Name())
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || size < 0 || strconv.FormatInt(size, 10) != lines[1] {
		return tlog.Tree{}, fmt.Errorf("size %q", lines[1])
	}
	root, err := decode(lines[2])
	if err != nil || len(root) != tlog.HashSize {
		return tlog.Tree{}, fmt.Errorf("root %q", lines[2])
	}
	tree := tlog.Tree{N: size}
	copy(tree.Hash[:], root)
	return tree, nil
}

// hashes re-hashes every record of the entry bundles into the library's stored hashes.
func hashes(log files, size int64) (tlog.HashReader, error) {
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(indexes))
		for i, index := range indexes {
			if index >= int64(len(stored)) {
				return nil, fmt.Errorf("no hash %d", index)
			}
			out[i] = stored[index]
		}
		return out, nil
	})
	for first := int64(0); first < size; first += 1 << height {
		width := size - first
		if width > 1<<height {
			width = 1 << height
		}
		name := path(tlog.Tile{H: height, L: -1, N: first >> height, W: int(width)})
		rest, ok := log[name]
		if !ok {
			return nil, fmt.Errorf("%s is missing", name)
		}
		for i := int64(0); i < width; i++ {
			if len(rest) < 2 || len(rest) < 2+int(rest[0])<<8+int(rest[1]) {
				return nil, fmt.Errorf("%s is cut off in record %d", name, i)
			}
			end := 2 + int(rest[0])<<8 + int(rest[1])
			more, err := tlog.StoredHashes(first+i, rest[2:end], reader)
			if err != nil {
				return nil, err
			}
			stored, rest = append(stored, more...), rest[end:]
		}
		if len(rest) != 0 {
			return nil, fmt.Errorf("%s has %d bytes behind its records", name, len(rest))
		}
	}
	return reader, nil
}

func verify(log files, vkey string) error {
	raw, ok := log["checkpoint"]
	if !ok {
		return errors.New("checkpoint is missing")
	}
	tree, err := head(raw, vkey)
	if err != nil {
		return err
	}
	reader, err := hashes(log, tree.N)
	if err != nil {
		return err
	}
	if tree.N > 0 {
		root, err := tlog.TreeHash(tree.N, reader)
		if err != nil {
			return err
		}
		if root != tree.Hash {
			return fmt.Errorf("root is %v, signed is %v", root, tree.Hash)
		}
	}
	for _, tile := range tlog.NewTiles(height, 0, tree.N) {
		want, err := tlog.ReadTileData(tile, reader)
		if err != nil {
			return err
		}
		have, ok := log[path(tile)]
		if !ok && narrower(tile, tree.N) {
			continue
		}
		if !bytes.Equal(have, want) {
			return fmt.Errorf("%s is missing or wrong", path(tile))
		}
	}
	return nil
}

// narrower says whether a wider tile of the same place exists at that size: the library lists every width.
func narrower(t tlog.Tile, size int64) bool {
	return t.W < 1<<height && t.N<<height+int64(t.W) < size>>uint(height*t.L)
}

// changed gives the log as the job wants it seen; the cached one stays as it is.
func changed(log files, j job) (files, error) {
	out := make(files, len(log))
	for name, raw := range log {
		out[name] = raw
	}
	for name, text := range j.Files {
		if text == nil {
			delete(out, name)
			continue
		}
		raw, err := base64.StdEncoding.DecodeString(*text)
		if err != nil {
			return nil, err
		}
		out[name] = raw
	}
	if j.Path != "" {
		raw := append([]byte(nil), out[j.Path]...)
		if j.Offset < 0 || j.Offset >= len(raw) || j.Bit > 7 {
			return nil, fmt.Errorf("no bit %d of byte %d in %s", j.Bit, j.Offset, j.Path)
		}
		raw[j.Offset] ^= 1 << j.Bit
		out[j.Path] = raw
	}
	return out, nil
}

func run() error {
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 64<<20)
	out := bufio.NewWriter(os.Stdout)
	var dir string
	var log files
	for in.Scan() {
		var j job
		if err := json.Unmarshal(in.Bytes(), &j); err != nil {
			return err
		}
		if j.Dir != dir {
			loaded, err := load(j.Dir)
			if err != nil {
				return err
			}
			dir, log = j.Dir, loaded
		}
		seen, err := changed(log, j)
		if err != nil {
			return err
		}
		if err := verify(seen, j.Vkey); err != nil {
			fmt.Fprintf(out, "BAD %s\n", strings.ReplaceAll(err.Error(), "\n", " "))
		} else {
			fmt.Fprintln(out, "OK")
		}
		if err := out.Flush(); err != nil {
			return err
		}
	}
	return in.Err()
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "verifylog:", err)
		os.Exit(2)
	}
}
