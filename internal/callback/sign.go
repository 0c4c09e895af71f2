package callback

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"strings"
	"time"

	"github.com/toolboxai/orchestrator/internal/fault"
)

// Headers of a message, as Standard Webhooks names them.
const (
	HeaderID        = "webhook-id"
	HeaderTimestamp = "webhook-timestamp" // Unix seconds of the try
	HeaderSignature = "webhook-signature" // "v1,<base64>" for each secret, separated by spaces
)

const (
	secretPrefix = "whsec_"
	secretSize   = 32 // bytes; the specification asks for 24 to 64
)

// newSecret returns the raw bytes of a secret.
func newSecret() []byte {
	raw := make([]byte, secretSize)
	_, _ = rand.Read(raw) // never fails: the process ends instead
	return raw
}

// textOf returns a secret as receivers are given it.
func textOf(secret []byte) string { return secretPrefix + base64.StdEncoding.EncodeToString(secret) }

// Sign returns the value of webhook-signature for a message: one signature for each secret, which are raw bytes.
func Sign(id string, at time.Time, body []byte, secrets ...[]byte) string {
	signatures := make([]string, len(secrets))
	for i, secret := range secrets {
		h := hmac.New(sha256.New, secret)
		h.Write([]byte(id + "." + strconv.FormatInt(at.Unix(), 10) + "."))
		h.Write(body)
		signatures[i] = "v1," + base64.StdEncoding.EncodeToString(h.Sum(nil))
	}
	return strings.Join(signatures, " ")
}

// Sealer keeps secrets unreadable where they are stored. secret.Box is one.
type Sealer interface {
	// Seal encrypts plain for a use, the label, and an owner, the context, without whom it cannot be opened.
	Seal(label string, plain, context []byte) []byte
	// Open returns what Seal encrypted for the same label and context.
	Open(label string, sealed, context []byte) ([]byte, error)
}

// Secrets are those of one owner, sealed. Previous is good until PreviousUntil.
type Secrets struct {
	Current       []byte
	Previous      []byte     // nil: none
	PreviousUntil *time.Time // nil: no longer
}

const sealLabel = "callback secret"

// ofTasks owns the secret that signs what goes to the callback_url of a tenant's tasks. No endpoint has this id.
const ofTasks = "tasks"

func owned(tenant, owner string) []byte { return []byte(tenant + "/" + owner) }

func seal(s Sealer, tenant, owner string, secret []byte) []byte {
	return s.Seal(sealLabel, secret, owned(tenant, owner))
}

// open returns the secrets that are good at a moment, the current one first.
func (s Secrets) open(sealer Sealer, tenant, owner string, at time.Time) ([][]byte, error) {
	sealed := [][]byte{s.Current}
	if s.Previous != nil && s.PreviousUntil != nil && at.Before(*s.PreviousUntil) {
		sealed = append(sealed, s.Previous)
	}
	good := make([][]byte, 0, len(sealed))
	for _, one := range sealed {
		secret, err := sealer.Open(sealLabel, one, owned(tenant, owner))
		if err != nil {
			return nil, fault.New(fault.Internal, "open the secret of %s: %w", owner, err)
		}
		good = append(good, secret)
	}
	return good, nil
}

// rotate puts a new secret in front. The one before it stays good for overlap.
func (s Secrets) rotate(next []byte, now time.Time, overlap time.Duration) Secrets {
	if overlap == 0 {
		return Secrets{Current: next}
	}
	until := now.Add(overlap)
	return Secrets{Current: next, Previous: s.Current, PreviousUntil: &until}
}
