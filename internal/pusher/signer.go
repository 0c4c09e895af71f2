package pusher

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"

	"github.com/toolboxai/orchestrator/internal/notify"
)

// Signer signs what subscribers ask for, as the protocol has it: an HMAC-SHA256 in hexadecimal under the app's secret, behind its key. The
// library's own functions want a whole request to take apart; here it has been taken apart and checked before. Who calls decides whether
// to sign, and checks the socket id: a colon in it would make one signature good for something else.
type Signer struct{ Key, Secret string }

// UserChannel returns the channel of all tasks of a user.
func (Signer) UserChannel(userID string) string { return notify.UserChannel(userID) }

// OrgChannel returns the channel of all tasks of a tenant.
func (Signer) OrgChannel(tenant string) string { return notify.OrgChannel(tenant) }

// TaskChannel returns the channel of one task.
func (Signer) TaskChannel(task string) string { return notify.TaskChannel(task) }

// SignChannel returns the auth of a connection's subscription; member is who joins a presence channel, as JSON, else empty.
func (s Signer) SignChannel(socketID, channel, member string) string {
	text := socketID + ":" + channel
	if member != "" {
		text += ":" + member
	}
	return s.sign(text)
}

// SignUser returns the auth of a connection's sign-in as user, which is JSON.
func (s Signer) SignUser(socketID, user string) string { return s.sign(socketID + "::user::" + user) }

func (s Signer) sign(text string) string {
	mac := hmac.New(sha256.New, []byte(s.Secret))
	mac.Write([]byte(text))
	return s.Key + ":" + hex.EncodeToString(mac.Sum(nil))
}
