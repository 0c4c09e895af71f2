package account

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/crypto/argon2"

	"github.com/toolboxai/orchestrator/internal/fault"
)

// Cost is what a hash takes. The zero Cost is OWASP's second choice for argon2id: 19 MiB, two passes, one lane.
type Cost struct {
	MemoryKiB uint32
	Passes    uint32
}

const (
	atOnce     = 4               // hashes that run side by side: 76 MiB
	maxQueued  = 64              // that wait for their turn
	queueTime  = 2 * time.Second // for which they do
	saltLen    = 16
	keyLen     = 32
	maxHashLen = 512
)

// Hasher makes and checks argon2id hashes of passwords (RFC 9106), a few at a time. It is safe for concurrent use.
type Hasher struct {
	cost     Cost
	slots    chan struct{}
	admitted chan struct{}                     // those that run and those that wait
	nobody   string                            // the hash of a password that nobody has
	derive   func([]byte, []byte, Cost) []byte // a test counts with it
}

// NewHasher returns a hasher of the given cost, which is brought within 8 KiB to 256 MiB and 1 to 16 passes.
func NewHasher(cost Cost) *Hasher {
	orDefault(&cost.MemoryKiB, 19*1024)
	orDefault(&cost.Passes, 2)
	cost.MemoryKiB, cost.Passes = min(max(cost.MemoryKiB, minMemoryKiB), maxMemoryKiB), min(cost.Passes, maxPasses)
	return &Hasher{
		cost: cost, slots: make(chan struct{}, atOnce), admitted: make(chan struct{}, atOnce+maxQueued), derive: derive,
		nobody: encodeHash(make([]byte, saltLen), make([]byte, keyLen), cost),
	}
}

func derive(password, salt []byte, c Cost) []byte {
	return argon2.IDKey(password, salt, c.Passes, c.MemoryKiB, 1, keyLen)
}

// Hash returns the hash of a password in PHC form. Unavailable when too many wait for one.
func (h *Hasher) Hash(ctx context.Context, password string) (string, error) {
	salt := make([]byte, saltLen)
	_, _ = rand.Read(salt) // never fails
	key, err := h.run(ctx, password, salt, h.cost)
	if err != nil {
		return "", err
	}
	return encodeHash(salt, key, h.cost), nil
}

// Check reports whether a password is the one that hash was made of. An empty hash takes as long as another, and is nobody's. Unavailable
// when too many wait for one.
func (h *Hasher) Check(ctx context.Context, hash, password string) (bool, error) {
	known := hash != ""
	if !known {
		hash = h.nobody
	}
	salt, want, cost, err := parseHash(hash)
	if err != nil {
		return false, err
	}
	key, err := h.run(ctx, password, salt, cost)
	if err != nil {
		return false, err
	}
	return subtle.ConstantTimeCompare(key, want) == 1 && known, nil
}

// Outdated reports whether hash was made at another cost than hashes are made at now.
func (h *Hasher) Outdated(hash string) bool {
	_, _, cost, err := parseHash(hash)
	return err != nil || cost != h.cost
}

// run waits for its turn and derives.
func (h *Hasher) run(ctx context.Context, password string, salt []byte, cost Cost) ([]byte, error) {
	select {
	case h.admitted <- struct{}{}:
	default:
		return nil, fault.After(queueTime, "too many people sign in at this moment")
	}
	defer func() { <-h.admitted }()
	timer := time.NewTimer(queueTime)
	defer timer.Stop()
	select {
	case h.slots <- struct{}{}:
	case <-timer.C:
		return nil, fault.After(queueTime, "too many people sign in at this moment")
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for a turn to hash a password: %w", ctx.Err())
	}
	defer func() { <-h.slots }()
	return h.derive([]byte(password), salt, cost), nil
}

func encodeHash(salt, key []byte, c Cost) string {
	enc := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=1$%s$%s", argon2.Version, c.MemoryKiB, c.Passes, enc.EncodeToString(salt), enc.EncodeToString(key))
}

var errHash = errors.New("a stored password hash cannot be read")

// Bounds of what a stored hash may ask for: who can write to the database must not make this process run out of memory.
const (
	minMemoryKiB = 8
	maxMemoryKiB = 256 * 1024
	maxPasses    = 16
)

func parseHash(hash string) (salt, key []byte, c Cost, err error) {
	parts := strings.Split(hash, "$")
	var version, lanes int
	if len(hash) > maxHashLen || len(parts) != 6 || parts[1] != "argon2id" {
		return nil, nil, c, errHash
	}
	if _, err := fmt.Sscanf(parts[2]+" "+parts[3], "v=%d m=%d,t=%d,p=%d", &version, &c.MemoryKiB, &c.Passes, &lanes); err != nil || version != argon2.Version ||
		lanes != 1 || c.MemoryKiB < minMemoryKiB || c.MemoryKiB > maxMemoryKiB || c.Passes < 1 || c.Passes > maxPasses {
		return nil, nil, c, errHash
	}
	enc := base64.RawStdEncoding.Strict()
	salt, err1 := enc.DecodeString(parts[4])
	key, err2 := enc.DecodeString(parts[5])
	if err1 != nil || err2 != nil || len(key) != keyLen || len(salt) < 8 || encodeHash(salt, key, c) != hash { // in no other form than ours
		return nil, nil, c, errHash
	}
	return salt, key, c, nil
}
