package api_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/toolboxai/orchestrator/api"
	"github.com/toolboxai/orchestrator/internal/auth"
)

const formType = "application/x-www-form-urlencoded"

// signed is what the protocol says that an answer has to hold for text.
func signed(text string) string {
	mac := hmac.New(sha256.New, []byte("app-secret"))
	mac.Write([]byte(text))
	return "app-key:" + hex.EncodeToString(mac.Sum(nil))
}

type channelAnswer struct {
	Auth        string `json:"auth"`
	ChannelData string `json:"channel_data"`
	UserData    string `json:"user_data"`
}

func (a answer) channel(t *testing.T) (got channelAnswer) {
	t.Helper()
	if err := json.Unmarshal(a.raw, &got); err != nil {
		t.Fatal(err)
	}
	return got
}

func channelForm(socket, channel string) string {
	return url.Values{"socket_id": {socket}, "channel_name": {channel}}.Encode()
}

func TestChannels_AreJoinedByWhoMay(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	mine := k.submit().ID // ada's
	shared := k.submit().ID
	k.school.shared = map[string][]string{"eve": {shared}}
	who := map[string]string{
		"ada": token(t, auth.Teacher, "ada"), "lin": token(t, auth.Teacher, "lin"), "eve": token(t, auth.Student, "eve"), "petra": token(t, auth.Parent, "petra"),
		"root": token(t, auth.Admin, "root"), "fay": issue(t, auth.Principal{UserID: "fay", Tenant: "college", Role: auth.Admin}, 3600e9),
	}
	for channel, may := range map[string]string{
		"private-user-ada": "ada", "private-user-eve": "eve", "private-org-school": "ada lin root", "presence-org-school": "ada lin root",
		"private-org-college": "fay", "private-task-" + mine: "ada lin root", "private-task-" + shared: "ada lin root eve", "private-task-01890000-0000-7000-8000-000000000000": "",
		"private-task-": "", "private-user-": "", "private-something": "", "presence-task-" + mine: "", "private-encrypted-org-school": "", "private-cache-org-school": "",
		"private-org-school,private-user-ada": "", "presence-user-ada": "",
	} {
		for user, token := range who {
			want := strings.Contains(" "+may+" ", " "+user+" ")
			for _, a := range []ask{
				{method: "POST", path: "/api/v1/pusher/auth", as: token, body: `{"socket_id":"12.34","channel_name":"` + channel + `"}`},
				{method: "POST", path: "/pusher/auth", as: token, body: channelForm("12.34", channel), contentType: formType + "; charset=UTF-8"},
			} {
				got := k.raw(a)
				if (got.status == http.StatusOK) != want || !want && got.status != http.StatusForbidden && got.status != http.StatusNotFound && got.status != http.StatusBadRequest {
					t.Errorf("%s joins %s: %d %s", user, channel, got.status, got.raw)
				}
				if !want {
					if strings.Contains(string(got.raw), "app-key:") {
						t.Errorf("%s is refused %s with a signature: %s", user, channel, got.raw)
					}
					continue
				}
				text, joined := "12.34:"+channel, got.channel(t)
				if strings.HasPrefix(channel, "presence-") {
					text += ":" + joined.ChannelData
				}
				if joined.Auth != signed(text) {
					t.Errorf("%s joins %s with %+v", user, channel, joined)
				}
			}
		}
	}
	if got := k.raw(ask{method: "POST", path: "/pusher/auth", as: "-", body: channelForm("12.34", "private-org-school"), contentType: formType}); got.status != http.StatusUnauthorized {
		t.Errorf("nobody: %d", got.status)
	}
}

// What a client sends is checked to the last letter before it becomes a part of what is signed.
func TestChannels_SignNothingThatIsMadeUp(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	good := "private-org-school"
	for _, socket := range []string{"", "1", "1.", ".1", "1.2.3", "1.2:private-org-college", "1.2 ", "1.2\n", "a.b", "1.2:", "１.２", "1.2:private-user-x:{}", strings.Repeat("1", 21) + ".1", "1.2::user::x"} {
		for _, path := range []string{"/pusher/auth", "/pusher/user-auth"} {
			form := url.Values{"socket_id": {socket}}
			if path == "/pusher/auth" {
				form.Set("channel_name", good)
			}
			if got := k.raw(ask{method: "POST", path: path, body: form.Encode(), contentType: formType}); got.status != http.StatusBadRequest {
				t.Errorf("%s with socket %q: %d %s", path, socket, got.status, got.raw)
			}
		}
	}
	for _, channel := range []string{"", "org-school", "private-org-school:x", "private-org-school\n", "private-örg", "#server-to-user-ada", "private-" + strings.Repeat("a", 160), "Private-org-school", "private-org-school/x"} {
		got := k.raw(ask{method: "POST", path: "/pusher/auth", body: channelForm("1.2", channel), contentType: formType})
		if got.status != http.StatusBadRequest {
			t.Errorf("channel %q: %d %s", channel, got.status, got.raw)
		}
	}
	for name, body := range map[string]string{
		"twice": "socket_id=1.2&channel_name=" + good + "&channel_name=private-org-college", "more": channelForm("1.2", good) + "&channel_data=%7B%7D", "broken": "socket_id=%zz", "nothing": "",
	} {
		if got := k.raw(ask{method: "POST", path: "/pusher/auth", body: body, contentType: formType}); got.status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", name, got.status, got.raw)
		}
	}
}

func TestChannels_SayWhoJoinsFromOurRecord(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	got := k.do(ask{method: "POST", path: "/api/v1/pusher/auth", body: `{"socket_id":"12.34","channel_name":"presence-org-school"}`}).channel(t)
	var joins struct {
		ID   string                      `json:"user_id"`
		Info struct{ Name, Role string } `json:"user_info"`
	}
	if err := json.Unmarshal([]byte(got.ChannelData), &joins); err != nil || joins.ID == "" || joins.Info.Name == "" || joins.Info.Role == "" {
		t.Errorf("%s: %v", got.ChannelData, err)
	}
	in := k.do(ask{method: "POST", path: "/api/v1/pusher/user-auth", body: `{"socket_id":"12.34"}`}).channel(t)
	if in.UserData != `{"id":"ada"}` || in.Auth != signed(`12.34::user::{"id":"ada"}`) {
		t.Errorf("got %+v", in)
	}
}

func TestChannels_AreNotThereWithoutPusher(t *testing.T) {
	t.Parallel()
	k := newKit(t, func(c *api.Config) { c.Push = nil })
	k.want(k.do(ask{method: "POST", path: "/api/v1/pusher/auth", body: `{"socket_id":"12.34","channel_name":"presence-org-school"}`}), http.StatusNotFound, "not_found")
	k.want(k.do(ask{method: "POST", path: "/api/v1/pusher/user-auth", body: `{"socket_id":"12.34"}`}), http.StatusNotFound, "not_found")
}
