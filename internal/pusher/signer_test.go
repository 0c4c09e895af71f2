package pusher_test

import (
	"encoding/json"
	"net/url"
	"testing"

	pusherhttp "github.com/pusher/pusher-http-go/v5"

	"github.com/toolboxai/orchestrator/internal/pusher"
)

// What the documentation and the library sign, the signer signs.
func TestSigner_SignsAsTheLibraryDoes(t *testing.T) {
	t.Parallel()
	documented := pusher.Signer{Key: "278d425bdf160c739803", Secret: "7ad3773142a6692b25b8"}
	const want = "278d425bdf160c739803:58df8b0c36d6982b82c3ecf6b4662e34fe8c25bba48f5369f135bf843651c3a4"
	if got := documented.SignChannel("1234.1234", "private-foobar", ""); got != want {
		t.Errorf("got %s, the documentation has %s", got, want)
	}
	signer := pusher.Signer{Key: "key", Secret: "secret"}
	lib := pusherhttp.Client{AppID: "1", Key: "key", Secret: "secret"}
	answer := func(data []byte, err error) (got struct {
		Auth        string `json:"auth"`
		ChannelData string `json:"channel_data"`
		UserData    string `json:"user_data"`
	}) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(data, &got); err != nil {
			t.Fatal(err)
		}
		return got
	}
	form := []byte(url.Values{"socket_id": {"12.34"}, "channel_name": {"private-task-7"}}.Encode())
	if want := answer(lib.AuthorizePrivateChannel(form)); signer.SignChannel("12.34", "private-task-7", "") != want.Auth {
		t.Errorf("want %s", want.Auth)
	}
	form = []byte(url.Values{"socket_id": {"12.34"}, "channel_name": {"presence-org-north"}}.Encode())
	if want := answer(lib.AuthorizePresenceChannel(form, pusherhttp.MemberData{UserID: "u"})); signer.SignChannel("12.34", "presence-org-north", want.ChannelData) != want.Auth {
		t.Errorf("want %s", want.Auth)
	}
	form = []byte(url.Values{"socket_id": {"12.34"}}.Encode())
	if want := answer(lib.AuthenticateUser(form, map[string]any{"id": "u"})); signer.SignUser("12.34", want.UserData) != want.Auth {
		t.Errorf("want %s", want.Auth)
	}
}
