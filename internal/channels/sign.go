package channels

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// authError says why a signature is not taken. Its text goes to the client; it holds nothing that the client did not send.
type authError string

func (e authError) Error() string { return string(e) }

// sign returns the hex HMAC-SHA256 of text under the app's secret.
func (a App) sign(text string) string {
	mac := hmac.New(sha256.New, []byte(a.Secret))
	mac.Write([]byte(text))
	return hex.EncodeToString(mac.Sum(nil))
}

// verify returns an authError unless auth is the app's key, a colon and the signature of text. Signatures are compared in constant time.
func (a App) verify(auth, text string) error {
	key, signature, ok := strings.Cut(auth, ":")
	switch {
	case !ok:
		return authError("Invalid format: auth must have the format key:signature")
	case key != a.Key:
		return authError(fmt.Sprintf("Invalid key in subscription auth data: '%.64s'", key))
	case !hmac.Equal([]byte(strings.ToLower(signature)), []byte(a.sign(text))):
		return authError(fmt.Sprintf("Invalid signature: Expected HMAC SHA256 hex digest of %.256s, but got %.64s", text, signature))
	}
	return nil
}

// channelText is what is signed to join a channel. channelData is empty but on presence channels.
func channelText(socketID, channel, channelData string) string {
	if channelData == "" {
		return socketID + ":" + channel
	}
	return socketID + ":" + channel + ":" + channelData
}

// userText is what is signed to sign in.
func userText(socketID, userData string) string { return socketID + "::user::" + userData }
