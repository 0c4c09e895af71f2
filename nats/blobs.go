package nats

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/task"
)

const (
	// chunkSize is how much of an object one message holds.
	chunkSize = 256 << 10
	// blobFresh is how long an object is taken for the same one when it is put again. After that it is stored anew, so that it lives
	// as long as the event that names it.
	blobFresh = time.Hour
)

// Blobs keeps what is too large for an event in an object bucket, for as long as the log keeps events. Keys are
// <tenant>/<task>/<hash>, so that the same data of the same task is stored once. To the usual command-line tools it is an object
// bucket like any other.
//
// An object is a run of chunks and a message about them. That one is written last and read from the leader: who has a reference
// finds the object, also on replicas. Nothing is ever deleted; chunks that a dead writer left behind age out. It is safe for
// concurrent use and has nothing to close.
type Blobs struct{ nc *natsgo.Conn }

var _ task.Blobs = (*Blobs)(nil)

// NewBlobs returns the objects on the broker that js speaks to. It sends nothing yet.
func NewBlobs(js jetstream.JetStream) *Blobs { return &Blobs{js.Conn()} }

const blobStream = "OBJ_" + BucketBlobs

// object is the message about an object, in the form that object buckets share.
type object struct {
	Name    string    `json:"name"`
	Bucket  string    `json:"bucket"`
	NUID    string    `json:"nuid"` // of its chunks
	Size    int       `json:"size"`
	Chunks  int       `json:"chunks"`
	Digest  string    `json:"digest"`
	At      time.Time `json:"mtime"`
	Deleted bool      `json:"deleted,omitempty"`
}

// Put implements task.Blobs. Invalid when tenant or id cannot stand in a subject.
func (b *Blobs) Put(ctx context.Context, tenant, id string, data []byte) (events.Reference, error) {
	for name, value := range map[string]string{"tenant_id": tenant, "task_id": id} {
		if err := events.CheckToken(name, value); err != nil {
			return events.Reference{}, fault.InvalidField(name, "%v", err)
		}
	}
	if len(data) > task.MaxBlob {
		return events.Reference{}, fault.New(fault.TooLarge, "the object has %d bytes, at most %d are allowed", len(data), task.MaxBlob)
	}
	hash := sha256.Sum256(data)
	ref := events.Reference{Bytes: len(data), SHA256: hex.EncodeToString(hash[:])}
	ref.Key = tenant + "/" + id + "/" + ref.SHA256
	there, err := b.find(ctx, ref.Key)
	switch {
	case err == nil && time.Since(there.At) < blobFresh:
		return ref, nil
	case err != nil && !errors.Is(err, errNoMessage):
		return events.Reference{}, broken(ctx, "store object "+ref.Key, err)
	}
	if err := b.write(ctx, ref, hash[:], data); err != nil {
		return events.Reference{}, broken(ctx, "store object "+ref.Key, err)
	}
	return ref, nil
}

func (b *Blobs) write(ctx context.Context, ref events.Reference, hash, data []byte) error {
	o := object{
		Name: ref.Key, Bucket: BucketBlobs, NUID: strings.ReplaceAll(uuid.NewString(), "-", ""), Size: len(data), At: time.Now().UTC(),
		Digest: "SHA-256=" + base64.URLEncoding.EncodeToString(hash),
	}
	for rest := data; len(rest) > 0; o.Chunks++ {
		chunk := rest[:min(chunkSize, len(rest))]
		rest = rest[len(chunk):]
		if _, err := store(ctx, b.nc, &natsgo.Msg{Subject: blobChunks(o.NUID), Data: chunk}); err != nil {
			return err
		}
	}
	about, err := json.Marshal(o)
	if err != nil {
		return err
	}
	_, err = store(ctx, b.nc, &natsgo.Msg{
		Subject: metaOf(o.Name), Data: about, Header: natsgo.Header{natsgo.MsgRollup: {natsgo.MsgRollupSubject}},
	})
	return err
}

// Get implements task.Blobs. The error of data that is not what was stored is no fault: it is a bug, or a broken disk.
func (b *Blobs) Get(ctx context.Context, ref events.Reference) ([]byte, error) {
	o, err := b.find(ctx, ref.Key)
	if errors.Is(err, errNoMessage) {
		return nil, fault.New(fault.NotFound, "there is no object %s any more", ref.Key)
	}
	if err != nil {
		return nil, broken(ctx, "read object "+ref.Key, err)
	}
	if o.Size > task.MaxBlob || o.Size != ref.Bytes {
		return nil, fmt.Errorf("object %s has %d bytes, its reference says %d", ref.Key, o.Size, ref.Bytes)
	}
	data := make([]byte, 0, o.Size)
	if o.Chunks > 0 {
		err = readSubject(ctx, b.nc, blobStream, blobChunks(o.NUID), 0, o.Chunks, func(m stored) { data = append(data, m.Data...) })
	}
	switch {
	case errors.Is(err, errNoMessage), err == nil && len(data) < o.Size:
		return nil, fault.New(fault.NotFound, "object %s has aged out", ref.Key)
	case err != nil:
		return nil, broken(ctx, "read object "+ref.Key, err)
	}
	if hash := sha256.Sum256(data); hex.EncodeToString(hash[:]) != ref.SHA256 {
		return nil, fmt.Errorf("object %s is damaged: its hash is %x", ref.Key, hash)
	}
	return data, nil
}

// find returns what is known about an object, or errNoMessage.
func (b *Blobs) find(ctx context.Context, key string) (object, error) {
	m, err := leaderMessage(ctx, b.nc, blobStream, getRequest{LastFor: metaOf(key)})
	if err != nil {
		return object{}, err
	}
	var o object
	if err := json.Unmarshal(m.Data, &o); err != nil {
		return object{}, fmt.Errorf("message %d about object %s: %w", m.Seq, key, err)
	}
	if o.Deleted {
		return object{}, errNoMessage
	}
	return o, nil
}

func metaOf(key string) string { return blobMeta(base64.URLEncoding.EncodeToString([]byte(key))) }
