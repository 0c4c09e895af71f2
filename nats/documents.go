package nats

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/toolboxai/orchestrator/internal/fault"
)

// MaxDocument is the largest document as JSON, in bytes.
const MaxDocument = 512 << 10

// MaxDocuments is how many documents List returns at the most.
const MaxDocuments = 10_000

const maxKey = 200

// Document is one revision of a document.
type Document[T any] struct {
	Key      string
	Value    T
	Revision uint64 // grows with every write to the bucket
	At       time.Time
	Deleted  bool // it is gone, and Value is zero; seen by Watch only
}

// Documents keeps JSON documents of one type under keys of a bucket. Every write names the revision that it replaces, so that of
// two writers who read the same one the second is told. Keys are 1 to 200 characters of a-z, A-Z, 0-9, -, _, /, = and, not at an
// end and not doubled, dots. It is safe for concurrent use and has nothing to close.
//
// Invalid faults are about keys. Trouble with the broker is a fault of kind Unavailable or Timeout, and the call may be repeated.
type Documents[T any] struct {
	js     jetstream.JetStream
	nc     *natsgo.Conn
	bucket string
	logger *slog.Logger
}

// NewDocuments returns the documents of a bucket that Provision made. It sends nothing yet. The logger may be nil.
func NewDocuments[T any](js jetstream.JetStream, bucket string, logger *slog.Logger) (*Documents[T], error) {
	if bucket == "" || strings.ContainsAny(bucket, ".*> ") {
		return nil, fmt.Errorf("documents: %q is no bucket", bucket)
	}
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	return &Documents[T]{js: js, nc: js.Conn(), bucket: bucket, logger: logger}, nil
}

// Get returns a document and its revision, or NotFound. It sees every write that was acknowledged before the call.
func (d *Documents[T]) Get(ctx context.Context, key string) (value T, revision uint64, err error) {
	doc, err := d.get(ctx, key)
	return doc.Value, doc.Revision, err
}

func (d *Documents[T]) get(ctx context.Context, key string) (doc Document[T], err error) {
	if err := checkKey(key); err != nil {
		return doc, err
	}
	m, err := d.current(ctx, key)
	if err != nil {
		return doc, broken(ctx, "read document "+key, err)
	}
	if isGone(m) {
		return doc, fault.New(fault.NotFound, "there is no document %s", key)
	}
	return d.decode(m)
}

// Put stores a document in the place of the given revision (0: where there is none) and returns the new revision. Otherwise it
// changes nothing and returns a Conflict fault that names the current revision; but when that one holds the same document,
// because an earlier call's answer was lost, it is a success. TooLarge above MaxDocument.
func (d *Documents[T]) Put(ctx context.Context, key string, value T, revision uint64) (uint64, error) {
	if err := checkKey(key); err != nil {
		return 0, err
	}
	data, err := encodeDocument(key, value)
	if err != nil {
		return 0, err
	}
	return d.write(ctx, "write document "+key, key, natsgo.Header{}, data, revision)
}

// Delete removes the given revision of a document (0: any), and is a success when there is no document. Otherwise it changes
// nothing and returns a Conflict fault that names the current revision.
func (d *Documents[T]) Delete(ctx context.Context, key string, revision uint64) error {
	if err := checkKey(key); err != nil {
		return err
	}
	m, err := d.current(ctx, key)
	switch {
	case err != nil:
		return broken(ctx, "delete document "+key, err)
	case isGone(m):
		return nil
	case revision == 0:
		revision = m.Seq
	}
	header := natsgo.Header{
		kvOperation: {"PURGE"}, natsgo.MsgRollup: {natsgo.MsgRollupSubject}, jetstream.MsgTTLHeader: {tombstoneAge.String()},
	}
	_, err = d.write(ctx, "delete document "+key, key, header, nil, revision)
	return err
}

// List returns the documents whose keys match a pattern, sorted by key, at most limit of them (0: MaxDocuments). In a pattern, *
// stands for one token between dots and a closing > for all that follows; "" is all. It may miss what replicas have not seen
// yet. What cannot be decoded is passed over and logged.
func (d *Documents[T]) List(ctx context.Context, pattern string, limit int) ([]Document[T], error) {
	if pattern == "" {
		pattern = ">"
	}
	if err := checkPattern(pattern); err != nil {
		return nil, err
	}
	if limit <= 0 || limit > MaxDocuments {
		limit = MaxDocuments
	}
	bounded, cancel := context.WithTimeout(ctx, listPatience)
	defer cancel()
	reading, stop := context.WithCancel(bounded)
	defer stop()
	var found []Document[T]
	full := false
	t := d.tail(pattern, func(m stored) {
		if isGone(m) || full {
			return
		}
		if doc, err := d.decode(m); err != nil {
			d.logger.WarnContext(ctx, "document passed over", "bucket", d.bucket, "error", err)
		} else if found = append(found, doc); len(found) == limit {
			full = true
			stop()
		}
	})
	t.synced = func() { full = true; stop() }
	if err := t.read(reading, nil); !full {
		return nil, broken(bounded, "list documents of "+d.bucket, err)
	}
	slices.SortFunc(found, func(a, b Document[T]) int { return strings.Compare(a.Key, b.Key) })
	return found, nil
}

// History returns the revisions of a document that the bucket still has, the newest first. NotFound when there are none.
func (d *Documents[T]) History(ctx context.Context, key string) ([]Document[T], error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	var found []Document[T]
	var failed error
	err := readSubject(ctx, d.nc, kvStream(d.bucket), kvSubject(d.bucket, key), 0, 0, func(m stored) {
		if isGone(m) {
			return
		}
		doc, err := d.decode(m)
		failed = errors.Join(failed, err)
		found = append(found, doc)
	})
	switch {
	case errors.Is(err, errNoMessage), err == nil && len(found) == 0:
		return nil, fault.New(fault.NotFound, "there is no document %s", key)
	case err != nil:
		return nil, broken(ctx, "read the history of document "+key, err)
	case failed != nil:
		return nil, failed
	}
	slices.Reverse(found)
	return found, nil
}

const (
	kvOperation  = "KV-Operation"
	listPatience = 10 * time.Second
	// tombstoneAge is how long the bucket remembers that a document was deleted. A watch that was away for longer finds out by itself.
	tombstoneAge = time.Hour
)

// isGone reports whether a message says that there is no document. So does the zero message.
func isGone(m stored) bool {
	return m.Seq == 0 || lastValue(m.Header, kvOperation) != "" || lastValue(m.Header, jetstream.MarkerReasonHeader) != ""
}

// current returns a key's last message; the zero message when it has none.
func (d *Documents[T]) current(ctx context.Context, key string) (stored, error) {
	m, err := leaderMessage(ctx, d.nc, kvStream(d.bucket), getRequest{LastFor: kvSubject(d.bucket, key)})
	if errors.Is(err, errNoMessage) {
		return stored{}, nil
	}
	return m, err
}

// write stores a message in the place of the given revision, which is 0 where there is no document.
func (d *Documents[T]) write(ctx context.Context, op, key string, header natsgo.Header, data []byte, revision uint64) (uint64, error) {
	after := revision
	for wait, try := busyWait, 1; ; wait, try = 2*wait, try+1 {
		header[natsgo.ExpectedLastSubjSeqHdr] = []string{strconv.FormatUint(after, 10)}
		seq, err := store(ctx, d.nc, &natsgo.Msg{Subject: kvSubject(d.bucket, key), Header: header, Data: data})
		if err == nil {
			return seq, nil
		}
		if !isConflict(err) {
			return 0, broken(ctx, op, err)
		}
		m, err := d.current(ctx, key)
		switch {
		case err != nil:
			return 0, broken(ctx, op, err)
		case !isGone(m) && data != nil && string(m.Data) == string(data):
			return m.Seq, nil
		case isGone(m) && data == nil:
			return m.Seq, nil
		case isGone(m) && revision == 0: // a new document where one was deleted
			after = m.Seq
		case isGone(m):
			return 0, fault.New(fault.Conflict, "document %s does not exist any more; revision %d was to be replaced", key, revision)
		case m.Seq != revision:
			return 0, fault.New(fault.Conflict, "document %s is at revision %d, not %d", key, m.Seq, revision)
		}
		if try == maxBusy {
			return 0, fault.After(comeBack, "%s: another write is under way", op)
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return 0, broken(ctx, op, ctx.Err())
		}
	}
}

// overwrite stores a document whatever is there.
func (d *Documents[T]) overwrite(ctx context.Context, key string, value T) (uint64, error) {
	data, err := encodeDocument(key, value)
	if err != nil {
		return 0, err
	}
	seq, err := store(ctx, d.nc, &natsgo.Msg{Subject: kvSubject(d.bucket, key), Data: data})
	return seq, broken(ctx, "write document "+key, err)
}

func encodeDocument(key string, value any) ([]byte, error) {
	data, err := json.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("encode document %s: %w", key, err)
	}
	if len(data) > MaxDocument {
		return nil, fault.New(fault.TooLarge, "document %s has %d bytes, at most %d are allowed", key, len(data), MaxDocument)
	}
	return data, nil
}

func (d *Documents[T]) decode(m stored) (Document[T], error) {
	doc := Document[T]{Key: strings.TrimPrefix(m.Subject, kvSubject(d.bucket, "")), Revision: m.Seq, At: m.At}
	if err := json.Unmarshal(m.Data, &doc.Value); err != nil {
		return doc, fmt.Errorf("revision %d of document %s: %w", doc.Revision, doc.Key, err)
	}
	return doc, nil
}

func checkKey(key string) error {
	if len(key) > maxKey || strings.ContainsAny(key, "*>") {
		return fault.InvalidField("key", "%.40q must have 1 to %d characters and no wildcards", key, maxKey)
	}
	return checkPattern(key)
}

func checkPattern(pattern string) error {
	tokens := strings.Split(pattern, ".")
	for i, token := range tokens {
		wild := token == "*" || token == ">" && i == len(tokens)-1
		if token == "" || !wild && strings.ContainsFunc(token, notInKey) {
			return fault.InvalidField("key", "%.40q may hold only a-z, A-Z, 0-9, -, _, /, = and single dots between them", pattern)
		}
	}
	return nil
}

func notInKey(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-_/=", r)
}
