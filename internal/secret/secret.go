// Package secret protects what must not lie in a database in clear: it seals what has to be read again (TOTP secrets), and makes MACs
// of what only has to be recognised (API keys, refresh tokens).
//
// All of it comes from one key of the deployment, which the database does not know. Each use has a label and thereby a key of its own
// (HKDF-SHA256), so that what was made for one use is worth nothing to another. To change the deployment's key, name the old one as a previous
// one: it opens and recognises what it made, and makes nothing new.
package secret

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/toolboxai/orchestrator/internal/fault"
)

const (
	keySize  = 32 // of AES-256, and of the deployment's key
	minText  = 32 // characters of a passphrase
	idSize   = 4
	version  = 1
	headSize = 1 + idSize
	// MinMAC is the length of the shortest MAC that VerifyMAC takes, in bytes: one may be cut to it where room is scarce.
	MinMAC = 16
	// maxKeys bounds a box: what has no key id is tried with each.
	maxKeys = 9
)

// Box holds the deployment's keys: the current one and those before it. It is immutable, safe for concurrent use, and does not print
// its keys.
type Box struct {
	keys []key // the current one first
}

type key struct {
	id     [idSize]byte
	master []byte
}

// New returns a box. Each text is 32 bytes in hex or base64, or a passphrase of at least 32 characters, which must be hard to guess: it is
// not stretched. The error is about the text and holds no part of it.
func New(current string, previous ...string) (*Box, error) {
	if len(previous) >= maxKeys {
		return nil, fmt.Errorf("encryption keys: there are %d previous ones, at most %d are allowed", len(previous), maxKeys-1)
	}
	b := &Box{}
	for i, text := range append([]string{current}, previous...) {
		master, err := parse(text)
		if err != nil {
			return nil, fmt.Errorf("encryption key %d of %d: %w", i+1, len(previous)+1, err)
		}
		k := key{master: master}
		copy(k.id[:], k.derive("id", ""))
		b.keys = append(b.keys, k)
	}
	return b, nil
}

func parse(text string) ([]byte, error) {
	text = strings.TrimSpace(text)
	if raw, err := hex.DecodeString(text); err == nil && len(raw) == keySize {
		return raw, nil
	}
	standard := strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(text, "="))
	if raw, err := base64.RawStdEncoding.DecodeString(standard); err == nil && len(raw) == keySize {
		return raw, nil
	}
	if len(text) < minText {
		return nil, fmt.Errorf("it is neither %d bytes in hex or base64 nor a passphrase of at least %d characters", keySize, minText)
	}
	return []byte(text), nil
}

// derive returns the key for one use.
func (k key) derive(use, label string) []byte {
	derived, err := hkdf.Key(sha256.New, k.master, nil, "toolboxai "+use+" "+label, keySize)
	if err != nil {
		panic("secret: " + err.Error()) // out of reach: the length is a constant that HKDF allows
	}
	return derived
}

func (k key) aead(label string) cipher.AEAD {
	block, err := aes.NewCipher(k.derive("seal", label))
	if err != nil {
		panic("secret: " + err.Error()) // out of reach: the key has 32 bytes
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic("secret: " + err.Error()) // out of reach: AES has the block size of GCM
	}
	return aead
}

func (k key) mac(label string, data []byte) []byte {
	h := hmac.New(sha256.New, k.derive("mac", label))
	h.Write(data)
	return h.Sum(nil)
}

// Seal encrypts plain with AES-256-GCM under the current key for label. Open needs the same label and context; context is not stored:
// it is what the secret belongs to, such as the user's id, and keeps it from being moved elsewhere. It adds 33 bytes. One label is good for
// 2³² calls under one key.
func (b *Box) Seal(label string, plain, context []byte) []byte {
	k := b.keys[0]
	head := append([]byte{version}, k.id[:]...)
	return append(head, k.aead(label).Seal(nil, nil, plain, bound(head, context))...)
}

// Open returns what Seal encrypted under the current key or a previous one. The error, an Internal fault, says whether the key is not
// among ours, or the content is not what was sealed for this label and context.
func (b *Box) Open(label string, sealed, context []byte) ([]byte, error) {
	if len(sealed) < headSize || sealed[0] != version {
		return nil, fault.New(fault.Internal, "it was not sealed by this program, or by a newer one")
	}
	head := sealed[:headSize]
	known := false
	for _, k := range b.keys {
		if [idSize]byte(head[1:]) != k.id {
			continue
		}
		known = true
		if plain, err := k.aead(label).Open(nil, nil, sealed[headSize:], bound(head, context)); err == nil {
			return plain, nil
		}
	}
	if !known {
		return nil, fault.New(fault.Internal, "it was sealed with an encryption key that is not configured any more")
	}
	return nil, fault.New(fault.Internal, "it is not what was sealed here")
}

// bound returns what is authenticated beside the plain text.
func bound(head, context []byte) []byte {
	return append(append(make([]byte, 0, len(head)+len(context)), head...), context...)
}

// MAC returns the HMAC-SHA256 of data under the current key for label: 32 bytes.
func (b *Box) MAC(label string, data []byte) []byte { return b.keys[0].mac(label, data) }

// VerifyMAC reports whether mac is what MAC returned for data under the current key or a previous one, or its first bytes, at least
// MinMAC. It takes the same time wherever they differ.
func (b *Box) VerifyMAC(label string, data, mac []byte) bool {
	if len(mac) < MinMAC || len(mac) > sha256.Size {
		return false
	}
	good := false
	for _, k := range b.keys {
		if hmac.Equal(k.mac(label, data)[:len(mac)], mac) {
			good = true
		}
	}
	return good
}

// String says no more than what it is.
func (b *Box) String() string { return "secret.Box" }

// GoString is String: %#v prints no key either.
func (b *Box) GoString() string { return b.String() }

// RandomToken returns n random bytes in base64url without padding. For what must not be guessed n is at least 16.
func RandomToken(n int) string {
	raw := make([]byte, n)
	_, _ = rand.Read(raw) // never fails: the process ends instead
	return base64.RawURLEncoding.EncodeToString(raw)
}
