package account

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/toolboxai/orchestrator/internal/audit"
	"github.com/toolboxai/orchestrator/internal/fault"
)

// A refresh token is "tbr_" and, in base64url: the session's id, 16 random bytes, and 16 bytes of a MAC over both. The MAC tells a
// token that once was live from one that somebody made up: only the former says that something was stolen.
const (
	refreshPrefix = "tbr_"
	refreshLabel  = "refresh mac"
	idLen         = 16
	randomLen     = 16
	macLen        = 16
	refreshLen    = idLen + randomLen + macLen

	// grace is how long the client that rotated a token may come with it once more: its answer was lost, or two of its tabs came at once.
	grace = 10 * time.Second
)

func (s *Service) newRefreshToken(session uuid.UUID) string {
	raw := make([]byte, idLen+randomLen, refreshLen)
	copy(raw, session[:])
	_, _ = rand.Read(raw[idLen:]) // never fails
	raw = append(raw, s.cfg.Box.MAC(refreshLabel, raw)[:macLen]...)
	return refreshPrefix + base64.RawURLEncoding.EncodeToString(raw)
}

// parseRefresh returns the session that a token is of, and whether it is one of ours.
func (s *Service) parseRefresh(token string) (session string, ok bool) {
	text, prefixed := strings.CutPrefix(token, refreshPrefix)
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if !prefixed || err != nil || len(raw) != refreshLen || base64.RawURLEncoding.EncodeToString(raw) != text { // the decoder overlooks line ends
		return "", false
	}
	if !s.cfg.Box.VerifyMAC(refreshLabel, raw[:idLen+randomLen], raw[idLen+randomLen:]) {
		return "", false
	}
	id, err := uuid.FromBytes(raw[:idLen])
	return id.String(), err == nil
}

func badRefresh() error {
	return fault.New(fault.Unauthorized, "the refresh token is not good any more: sign in again")
}

// Refresh exchanges the live refresh token of a session for its successor and a new access token. Of many who come with one token at once
// one rotates it. Those who come with the previous one within ten seconds, from the same address and browser, get the very same successor.
// Anybody else who comes with a token that was live before has it from somebody: the session ends.
//
// Unauthorized says to sign in again: the token is none of ours, or its session has ended, was idle for too long or is too old.
func (s *Service) Refresh(ctx context.Context, token string, from Client) (Tokens, error) {
	ctx = fromClient(ctx, from)
	id, ours := s.parseRefresh(token)
	if !ours {
		return Tokens{}, badRefresh()
	}
	session, user, err := s.cfg.Store.SessionOf(ctx, id)
	if fault.Is(err, fault.NotFound) {
		return Tokens{}, badRefresh()
	}
	if err != nil {
		return Tokens{}, fmt.Errorf("find a session: %w", err)
	}
	now := s.cfg.Now().UTC().Truncate(time.Microsecond)
	if session.RevokedAt != nil || user.State != Active || !now.Before(session.ExpiresAt) {
		return Tokens{}, badRefresh()
	}
	if !bytes.Equal(session.RefreshHash, hashOf(token)) {
		return s.reused(ctx, token, session, user, from)
	}
	if !now.Before(session.RefreshExpires) {
		return Tokens{}, s.endIdle(ctx, session)
	}
	return s.rotate(ctx, token, session, user, from, now)
}

// endIdle ends a session that nobody used for so long that its last access token has expired, and then some.
func (s *Service) endIdle(ctx context.Context, session StoredSession) error {
	ended, err := s.cfg.Store.EndSession(ctx, session.Tenant, session.UserID, session.ID, "idle", s.cfg.Now())
	if err != nil {
		return fmt.Errorf("end session %s: %w", session.ID, err)
	}
	if ended {
		s.announce(ctx, []string{session.ID})
	}
	return badRefresh()
}

func (s *Service) rotate(ctx context.Context, token string, session StoredSession, user User, from Client, now time.Time) (Tokens, error) {
	id, err := uuid.Parse(session.ID)
	if err != nil {
		return Tokens{}, fmt.Errorf("read the id of a session: %w", err)
	}
	next := s.newRefreshToken(id)
	sealed, err := sealSuccessor(token, next)
	if err != nil {
		return Tokens{}, err
	}
	expires := s.refreshExpires(now, session.ExpiresAt)
	done, err := s.cfg.Store.Rotate(ctx, Rotation{
		SessionID: session.ID, Old: hashOf(token), New: hashOf(next), Client: clientHash(from), Successor: sealed, Expires: expires, At: now,
		IP: ipText(from), UserAgent: agentText(from),
	})
	if err != nil {
		return Tokens{}, fmt.Errorf("rotate a refresh token: %w", err)
	}
	if done {
		return s.tokens(user, session, next, expires)
	}
	// Somebody was faster with the same token.
	session, user, err = s.cfg.Store.SessionOf(ctx, session.ID)
	if fault.Is(err, fault.NotFound) || err == nil && session.RevokedAt != nil {
		return Tokens{}, badRefresh()
	}
	if err != nil {
		return Tokens{}, fmt.Errorf("find a session: %w", err)
	}
	return s.reused(ctx, token, session, user, from)
}

// reused answers who comes with a token that is not the live one of its session.
func (s *Service) reused(ctx context.Context, token string, session StoredSession, user User, from Client) (Tokens, error) {
	now := s.cfg.Now()
	if session.RotatedAt != nil && now.Sub(*session.RotatedAt) <= grace && bytes.Equal(session.PreviousHash, hashOf(token)) &&
		bytes.Equal(session.PreviousClient, clientHash(from)) {
		next, err := openSuccessor(token, session.Successor)
		if err != nil {
			return Tokens{}, err
		}
		return s.tokens(user, session, next, session.RefreshExpires)
	}
	const why = "a refresh token came twice"
	ended, err := s.cfg.Store.EndSession(ctx, session.Tenant, session.UserID, session.ID, why, now)
	if err != nil {
		return Tokens{}, fmt.Errorf("end session %s: %w", session.ID, err)
	}
	if ended {
		s.announce(ctx, []string{session.ID})
		s.record(ctx, audit.Entry{Tenant: user.Tenant, Actor: unknown, Action: "session.revoked", Target: user.ID}, "by", why, "session_id", session.ID)
		s.send(ctx, user.Email, "You were signed out", "Somebody used an old key of one of your sessions, which may mean that it was stolen. That session has ended.\n\nIf you did not do that, change your password.\n")
	}
	return Tokens{}, badRefresh()
}

// clientHash tells clients apart as far as a server can.
func clientHash(c Client) []byte { return hashOf(ipText(c) + "\x00" + agentText(c)) }

func agentText(c Client) string {
	return strings.ToValidUTF8(strings.ReplaceAll(c.UserAgent[:min(len(c.UserAgent), maxUserAgent)], "\x00", ""), "")
}

// sealSuccessor seals a token so that who has the one before it can open it, and nobody else: the database that keeps it has neither.
func sealSuccessor(token, next string) ([]byte, error) {
	box, err := successorBox(token)
	if err != nil {
		return nil, err
	}
	return box.Seal(nil, nil, []byte(next), nil), nil
}

func openSuccessor(token string, sealed []byte) (string, error) {
	box, err := successorBox(token)
	if err != nil {
		return "", err
	}
	next, err := box.Open(nil, nil, sealed, nil)
	if err != nil {
		return "", fmt.Errorf("open a refresh token's successor: %w", err)
	}
	return string(next), nil
}

func successorBox(token string) (cipher.AEAD, error) {
	key, err := hkdf.Key(sha256.New, []byte(token), nil, "successor", 32)
	if err != nil {
		return nil, fmt.Errorf("derive the key of a refresh token: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("make a cipher: %w", err)
	}
	box, err := cipher.NewGCMWithRandomNonce(block) // of many who rotate at once, each seals another successor
	if err != nil {
		return nil, fmt.Errorf("make a cipher: %w", err)
	}
	return box, nil
}
