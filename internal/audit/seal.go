package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/toolboxai/orchestrator/internal/fault"
)

// Sum is the hash of an entry. The zero Sum stands for what is before the first one.
type Sum [sha256.Size]byte

// String returns the sum in hexadecimal.
func (s Sum) String() string { return hex.EncodeToString(s[:]) }

// ParseSum reads what String returns.
func ParseSum(text string) (Sum, error) {
	var s Sum
	if len(text) != hex.EncodedLen(len(s)) {
		return s, fmt.Errorf("a hash has %d hexadecimal digits", hex.EncodedLen(len(s)))
	}
	if _, err := hex.Decode(s[:], []byte(text)); err != nil {
		return Sum{}, fmt.Errorf("a hash has %d hexadecimal digits", hex.EncodedLen(len(s)))
	}
	return s, nil
}

// Anchor is a place in a chain: entry N has this hash. Who has noted one down can tell whether all up to there is still as it was.
// The zero Anchor is before the first entry.
type Anchor struct {
	N    uint64
	Hash Sum
}

// String returns the anchor as ParseAnchor reads it: n, a colon, the hash in hexadecimal.
func (a Anchor) String() string { return strconv.FormatUint(a.N, 10) + ":" + a.Hash.String() }

// MarshalText implements encoding.TextMarshaler.
func (a Anchor) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (a *Anchor) UnmarshalText(text []byte) (err error) {
	*a, err = ParseAnchor(string(text))
	return err
}

// ParseAnchor reads what String returns.
func ParseAnchor(text string) (Anchor, error) {
	number, sum, ok := strings.Cut(text, ":")
	if !ok {
		return Anchor{}, fmt.Errorf("an anchor is n:hash, as verify prints it")
	}
	n, err := strconv.ParseUint(number, 10, 63)
	if err != nil {
		return Anchor{}, fmt.Errorf("an anchor begins with the number of an entry")
	}
	hash, err := ParseSum(sum)
	return Anchor{N: n, Hash: hash}, err
}

// Row is an entry as it is kept: the bytes that are hashed, and what they are said to come to.
type Row struct {
	Tenant string
	N      uint64
	Data   []byte // the entry as JSON, without its hashes; never encoded anew
	Prev   Sum
	Hash   Sum
	Shown  *Entry // what the archive's columns, by which entries are found, say beside Data; nil where there are none
	Place  uint64 // in the stream; 0 in the archive
}

// Anchor returns the row's place in the chain.
func (r Row) Anchor() Anchor { return Anchor{N: r.N, Hash: r.Hash} }

// Entry returns what the row's bytes say, with its hashes.
func (r Row) Entry() (Entry, error) {
	var e Entry
	if err := json.Unmarshal(r.Data, &e); err != nil {
		return Entry{}, fault.New(fault.Internal, "entry %d of %s cannot be read: %w", r.N, r.Tenant, err)
	}
	e.Prev, e.Hash = r.Prev.String(), r.Hash.String()
	return e, nil
}

// hash returns SHA-256(prev ‖ data). Prev has a fixed length, so no two pairs run together.
func hash(prev Sum, data []byte) Sum {
	h := sha256.New()
	h.Write(prev[:])
	h.Write(data)
	return Sum(h.Sum(nil))
}

// Seal makes e the entry behind last. Its time is cut to microseconds, which is what the archive's columns hold. Errors are
// Check's.
func Seal(last Anchor, e Entry) (Row, error) {
	if err := e.Check(); err != nil {
		return Row{}, err
	}
	e.N, e.At, e.Prev, e.Hash = last.N+1, e.At.UTC().Truncate(time.Microsecond), "", ""
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(e); err != nil {
		return Row{}, fault.New(fault.Invalid, "the entry has no JSON: %w", err)
	}
	data := bytes.TrimSuffix(b.Bytes(), []byte("\n"))
	return Row{Tenant: e.Tenant, N: e.N, Data: data, Prev: last.Hash, Hash: hash(last.Hash, data)}, nil
}

// flaw returns what is wrong with a row by itself, "" when nothing is.
func (r Row) flaw(tenant string) string {
	if hash(r.Prev, r.Data) != r.Hash {
		return "its bytes do not come to its hash"
	}
	e, err := r.Entry()
	if err != nil {
		return "its bytes are no entry"
	}
	switch {
	case e.N != r.N:
		return fmt.Sprintf("its bytes say that it is entry %d", e.N)
	case e.Tenant != tenant || r.Tenant != tenant:
		return "it is another tenant's"
	}
	if s := r.Shown; s != nil && (!s.At.Equal(e.At) || s.Actor != e.Actor || s.Action != e.Action || s.Target != e.Target || s.Outcome != e.Outcome) {
		return "its columns say something else than its bytes"
	}
	return ""
}
