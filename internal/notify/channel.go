package notify

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// Public channels. Anybody may listen, so what they carry is redacted.
const (
	ChannelDashboard = "dashboard-updates"  // how every task moves from state to state
	ChannelContent   = "content-generation" // the same, and how far each has come
	ChannelAgents    = "agent-status"       // what agents take up and lay down
)

const userPrefix = "private-user-"

// UserChannel returns the channel of all tasks of a user, or "" for an empty id. Different ids have different channels.
//
// An id of letters, digits and _ - @ , . ; stands in the name as it is. Every other byte, = among them, is written as =XX
// (two upper-case hex digits). When the name would be longer than MaxChannel, =h and the hex SHA-256 of the id stand for it.
func UserChannel(userID string) string {
	if userID == "" {
		return ""
	}
	var b strings.Builder
	b.WriteString(userPrefix)
	for i := range len(userID) {
		if c := userID[i]; channelByte(c) && c != '=' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "=%02X", c)
		}
		if b.Len() > MaxChannel {
			sum := sha256.Sum256([]byte(userID))
			return userPrefix + "=h" + hex.EncodeToString(sum[:])
		}
	}
	return b.String()
}

// OrgChannel returns the channel of all tasks of a tenant, whose name is a subject token.
func OrgChannel(tenant string) string { return "private-org-" + tenant }

// TaskChannel returns the channel of one task, whose id is a subject token.
func TaskChannel(task string) string { return "private-task-" + task }

// ValidChannel reports whether name has 1 to MaxChannel bytes of A-Z, a-z, 0-9 and _ - = @ , . ;
func ValidChannel(name string) bool {
	if name == "" || len(name) > MaxChannel {
		return false
	}
	for i := range len(name) {
		if !channelByte(name[i]) {
			return false
		}
	}
	return true
}

func channelByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("_-=@,.;", c) >= 0
}
