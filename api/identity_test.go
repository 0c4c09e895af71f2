package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/api"
	"github.com/toolboxai/orchestrator/internal/account"
	"github.com/toolboxai/orchestrator/internal/apikey"
	"github.com/toolboxai/orchestrator/internal/audit"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/privacy"
	schools "github.com/toolboxai/orchestrator/internal/school"
)

// identity stands in for all that keeps people, classes and keys. It notes what it is asked, the last hundred times at the most, and
// answers always the same.
type identity struct {
	mu    sync.Mutex
	asked []string
	err   error                   // of every question
	users map[string]account.User // that there are; anybody is a student where it is nil

	races  int // how often somebody else archives a class first
	export func(w io.Writer) error
}

var (
	_ api.Accounts       = (*identity)(nil)
	_ api.Directory      = (*directory)(nil)
	_ api.KeyBook        = (*keyBook)(nil)
	_ api.Privacy        = (*identity)(nil)
	_ audit.AccessReader = (*identity)(nil)
)

// directory and keyBook are parts of identity whose methods have names that others have, too.
type (
	directory struct{ *identity }
	keyBook   struct{ *identity }
)

// parts puts k's identity into cfg.
func (d *identity) parts(cfg *api.Config) {
	cfg.Accounts, cfg.Directory, cfg.Keys, cfg.AccessLog, cfg.Privacy = d, directory{d}, keyBook{d}, d, d
	cfg.Tickets, cfg.News, cfg.Webhooks = newTickets(), newNews(), hooks{d}
	cfg.Cache = newNotebook()
	cfg.Contexts = newContexts()
}

var at = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

const userID = "0199aaaa-0000-7000-8000-000000000001"

func (d *identity) note(format string, args ...any) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.asked) == 100 {
		d.asked = d.asked[:0]
	}
	d.asked = append(d.asked, fmt.Sprintf(format, args...))
	return d.err
}

// last returns what was asked last.
func (d *identity) last() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.asked) == 0 {
		return ""
	}
	return d.asked[len(d.asked)-1]
}

func (d *identity) user(id string) (account.User, error) {
	u := account.User{
		ID: id, Tenant: "school", Username: "lin", Name: "Lin Ada", Role: auth.Student, State: account.Active, Version: 3, HasPassword: true, CreatedAt: at, UpdatedAt: at,
	}
	if d.users == nil {
		return u, nil
	}
	known, ok := d.users[id]
	if !ok {
		return known, fault.New(fault.NotFound, "there is no user %q", id)
	}
	u.Role, u.Tenant = known.Role, "school"
	return u, nil
}

func (d *identity) tokens() account.Tokens {
	u, _ := d.user(userID)
	return account.Tokens{AccessToken: "access", TokenType: "Bearer", ExpiresIn: 900, RefreshToken: "tbr_refresh", RefreshExpiresIn: 43200, SessionID: "s1", User: u}
}

func (d *identity) Register(_ context.Context, r account.Registration, _ account.Client) (account.User, error) {
	u, _ := d.user(userID)
	return u, d.note("register %s %s %s %q", r.Username, r.Email, r.Name, r.Invite)
}

func (d *identity) Login(_ context.Context, c account.Credentials, from account.Client) (account.LoginResult, error) {
	err := d.note("login %s from %s by %s", c.Login, from.IP, from.UserAgent)
	if c.Login == "careful" {
		return account.LoginResult{Challenge: &account.Challenge{Token: "chal", Methods: []string{"totp"}, ExpiresAt: at}}, err
	}
	tokens := d.tokens()
	return account.LoginResult{Tokens: &tokens}, err
}

func (d *identity) CompleteLogin(_ context.Context, challenge string, p account.Proof, _ account.Client) (account.Tokens, error) {
	return d.tokens(), d.note("complete %s %s%s%s%s%s", challenge, p.Code, p.BackupCode, p.Password, p.Passkey, p.Ceremony)
}

func (d *identity) Refresh(_ context.Context, token string, _ account.Client) (account.Tokens, error) {
	return d.tokens(), d.note("refresh %s", token)
}

func (d *identity) Logout(_ context.Context, p auth.Principal) error {
	return d.note("logout %s", p.SessionID)
}

func (d *identity) LogoutEverywhere(_ context.Context, p auth.Principal, keepThis bool) (int, error) {
	return 2, d.note("logout everywhere %s %t", p.UserID, keepThis)
}

func (d *identity) ChangePassword(_ context.Context, p auth.Principal, old, next string) error {
	return d.note("password of %s from %s to %s", p.UserID, old, next)
}

func (d *identity) RequestReset(_ context.Context, login string, _ account.Client) error {
	return d.note("reset of %s", login)
}

func (d *identity) ResetPassword(_ context.Context, token, next string, _ account.Client) error {
	return d.note("reset by %s to %s", token, next)
}

func (d *identity) Me(_ context.Context, p auth.Principal) (account.User, error) {
	u, _ := d.user(p.UserID)
	return u, d.note("me %s", p.UserID)
}

func (d *identity) Sessions(_ context.Context, tenant, user, current string) ([]account.Session, error) {
	return []account.Session{{
		ID: "s1", UserID: user, CreatedAt: at, LastSeenAt: at, ExpiresAt: at, IP: "192.0.2.1", UserAgent: "browser", Current: current == "s1",
	}}, d.note("sessions of %s in %s", user, tenant)
}

func (d *identity) RevokeSession(_ context.Context, by auth.Principal, user, session string) error {
	return d.note("end %s of %s in %s", session, user, by.Tenant)
}

func (d *identity) RevokeUser(_ context.Context, tenant, user, why string) error {
	return d.note("end all of %s in %s: %s", user, tenant, why)
}

func (d *identity) Unlock(_ context.Context, _ auth.Principal, user string) error {
	return d.note("unlock %s", user)
}

func (d *identity) Invite(_ context.Context, by auth.Principal, spec account.InviteSpec) (account.Invitation, error) {
	return account.Invitation{URL: "https://app.example.org/register#invite=tok", Token: "tok", Email: spec.Email, Role: spec.Role, ExpiresAt: at},
		d.note("invite %s as %s to %s %q", spec.Email, spec.Role, by.Tenant, spec.Class)
}

func (d *identity) BeginTOTP(context.Context, auth.Principal) (account.TOTPSetup, error) {
	return account.TOTPSetup{Secret: "BASE32", URI: "otpauth://totp/x", QR: []byte("png")}, d.note("begin totp")
}

func (d *identity) ConfirmTOTP(_ context.Context, _ auth.Principal, code string) (account.TOTPConfirmed, error) {
	return account.TOTPConfirmed{BackupCodes: []string{"11111-aaaaa"}, Access: account.AccessToken{Token: "access", ExpiresIn: 900}}, d.note("confirm %s", code)
}

func (d *identity) DisableTOTP(context.Context, auth.Principal) error { return d.note("disable totp") }

func (d *identity) NewBackupCodes(context.Context, auth.Principal) ([]string, error) {
	return []string{"22222-bbbbb"}, d.note("new codes")
}

func (d *identity) StepUp(_ context.Context, _ auth.Principal, p account.Proof) (account.AccessToken, error) {
	return account.AccessToken{Token: "access", ExpiresIn: 900}, d.note("step up %s%s%s%s%s", p.Code, p.BackupCode, p.Password, p.Passkey, p.Ceremony)
}

func ceremony() account.Ceremony {
	return account.Ceremony{Token: "cer", Options: json.RawMessage(`{"publicKey":{}}`), ExpiresAt: at}
}

func (d *identity) BeginPasskey(context.Context, auth.Principal) (account.Ceremony, error) {
	return ceremony(), d.note("begin passkey")
}

func (d *identity) FinishPasskey(_ context.Context, _ auth.Principal, c, name string, credential json.RawMessage) (account.Passkey, error) {
	return account.Passkey{ID: "pk1", Name: name, CreatedAt: at}, d.note("passkey %s %s %s", c, name, credential)
}

func (d *identity) Passkeys(context.Context, auth.Principal) ([]account.Passkey, error) {
	return nil, d.note("passkeys")
}

func (d *identity) DeletePasskey(_ context.Context, _ auth.Principal, id string) error {
	return d.note("delete passkey %s", id)
}

func (d *identity) BeginPasskeyLogin(context.Context) (account.Ceremony, error) {
	return ceremony(), d.note("begin passkey login")
}

func (d *identity) FinishPasskeyLogin(_ context.Context, c string, assertion json.RawMessage, _ account.Client) (account.Tokens, error) {
	return d.tokens(), d.note("passkey login %s %s", c, assertion)
}

func (d directory) ListUsers(_ context.Context, by auth.Principal, f schools.UserFilter) (schools.UserPage, error) {
	u, _ := d.user(userID)
	return schools.UserPage{Users: []account.User{u}, Next: "c2"}, d.note("users of %s %+v", by.Tenant, f)
}

func (d directory) GetUser(_ context.Context, _ auth.Principal, id string) (account.User, error) {
	if err := d.note("user %s", id); err != nil {
		return account.User{}, err
	}
	return d.user(id)
}

func (d directory) CreateUser(_ context.Context, _ auth.Principal, spec schools.UserSpec) (schools.Created, error) {
	u, _ := d.user(userID)
	made := schools.Created{User: u, Mailed: !spec.TemporaryPassword}
	if spec.TemporaryPassword {
		made.TemporaryPassword = "abcd-efgh-ijkl-mnop"
	}
	return made, d.note("create %+v", spec)
}

func (d directory) UpdateUser(_ context.Context, _ auth.Principal, id string, version int64, c schools.UserChange) (account.User, error) {
	u, _ := d.user(id)
	change, _ := json.Marshal(c)
	return u, d.note("update %s %d %s", id, version, change)
}

func (d directory) SetUserState(_ context.Context, _ auth.Principal, id string, version int64, state string) (account.User, error) {
	u, _ := d.user(id)
	if version != u.Version {
		return u, fault.New(fault.Conflict, "it is version %d", u.Version)
	}
	return u, d.note("%s is %s", id, state)
}

func (d directory) ListGuardians(_ context.Context, _ auth.Principal, parent, child string) ([]schools.Guardian, error) {
	return []schools.Guardian{{Parent: "p", ParentName: "P", Child: "c", ChildName: "C", AddedAt: at}}, d.note("guardians %q %q", parent, child)
}

func (d directory) AddGuardian(_ context.Context, _ auth.Principal, parent, child string) (schools.Guardian, error) {
	return schools.Guardian{Parent: parent, Child: child, AddedAt: at}, d.note("%s is a guardian of %s", parent, child)
}

func (d directory) RemoveGuardian(_ context.Context, _ auth.Principal, parent, child string) error {
	return d.note("%s is no guardian of %s", parent, child)
}

func tenant(id string) schools.Tenant {
	return schools.Tenant{ID: id, Name: "North", State: schools.Active, Settings: schools.Settings{Pseudonyms: true}, CreatedAt: at, UpdatedAt: at}
}

func (d directory) ListTenants(_ context.Context, _ auth.Principal, f schools.TenantFilter) (schools.TenantPage, error) {
	return schools.TenantPage{Tenants: []schools.Tenant{tenant("north")}}, d.note("tenants %+v", f)
}

func (d directory) GetTenant(_ context.Context, _ auth.Principal, id string) (schools.Tenant, error) {
	return tenant(id), d.note("tenant %s", id)
}

func (d directory) CreateTenant(_ context.Context, _ auth.Principal, spec schools.TenantSpec) (schools.Tenant, error) {
	return tenant(spec.ID), d.note("create tenant %s %s %+v", spec.ID, spec.Name, spec.Settings)
}

func (d directory) UpdateTenant(_ context.Context, _ auth.Principal, id string, c schools.TenantChange) (schools.Tenant, error) {
	change, _ := json.Marshal(c)
	return tenant(id), d.note("change tenant %s %s", id, change)
}

func class(id string) schools.Class {
	return schools.Class{ID: id, Tenant: "school", Name: "5b", CreatedBy: "ada", Version: 1, Members: 24, CreatedAt: at, UpdatedAt: at}
}

func (d directory) ListClasses(_ context.Context, _ auth.Principal, f schools.ClassFilter) (schools.ClassPage, error) {
	return schools.ClassPage{Classes: []schools.Class{class("c1")}}, d.note("classes by %q archived %t %q %d", f.CreatedBy, f.Archived, f.Cursor, f.Limit)
}

func (d directory) GetClass(_ context.Context, _ auth.Principal, id string) (schools.Class, error) {
	return class(id), d.note("class %s", id)
}

func (d directory) CreateClass(_ context.Context, _ auth.Principal, name string) (schools.Class, error) {
	return class("c1"), d.note("create class %s", name)
}

func (d directory) UpdateClass(_ context.Context, _ auth.Principal, id string, version int64, name string) (schools.Class, error) {
	return class(id), d.note("rename class %s %d %s", id, version, name)
}

// ArchiveClass finds that somebody was faster as long as races says so.
func (d directory) ArchiveClass(_ context.Context, _ auth.Principal, id string, version int64, archived bool) (schools.Class, error) {
	if d.races > 0 {
		d.races--
		return schools.Class{}, fault.New(fault.Conflict, "somebody was faster")
	}
	return class(id), d.note("archive %s %d %t", id, version, archived)
}

func (d directory) ListMembers(_ context.Context, _ auth.Principal, id string) ([]schools.Member, error) {
	return []schools.Member{{UserID: userID, Name: "Lin Ada", Role: auth.Student, AddedAt: at}}, d.note("members of %s", id)
}

func (d directory) AddMember(_ context.Context, _ auth.Principal, id, user string) (schools.Member, error) {
	return schools.Member{UserID: user, Name: "Lin Ada", Role: auth.Student, AddedAt: at}, d.note("%s joins %s", user, id)
}

func (d directory) RemoveMember(_ context.Context, _ auth.Principal, id, user string) error {
	return d.note("%s leaves %s", user, id)
}

func (d directory) ListShares(_ context.Context, _ auth.Principal, f schools.ShareFilter) (schools.SharePage, error) {
	return schools.SharePage{Shares: []schools.Share{{Class: f.Class, Task: "t1", SharedBy: "ada", SharedAt: at}}}, d.note("shares %+v", f)
}

func (d directory) Share(_ context.Context, by auth.Principal, id, task string) (schools.Share, error) {
	return schools.Share{Class: id, Task: task, SharedBy: by.UserID, SharedAt: at}, d.note("%s shares %s with %s", by.UserID, task, id)
}

func (d directory) Unshare(_ context.Context, _ auth.Principal, id, task string) error {
	return d.note("%s reads %s no more", id, task)
}

// key returns that of the id, which is its user's: "ada" + id's first letters are ada's.
func key(id string) apikey.Key {
	k := apikey.Key{ID: id, Tenant: "school", UserID: "root", Name: "roster", Scopes: []auth.Scope{auth.TasksRead}, CreatedAt: at}
	if strings.HasPrefix(id, "ada") {
		k.UserID = "ada"
	}
	return k
}

func (d keyBook) Create(_ context.Context, _ auth.Principal, s apikey.Spec) (apikey.Key, string, error) {
	return key("ada000000001"), "tbai_ada000000001_text", d.note("create key %s %v %v %v %d %q", s.Name, s.Scopes, s.IPs, s.Origins, s.PerMinute, s.UserID)
}

func (d keyBook) List(_ context.Context, tenant, user, cursor string, limit int) ([]apikey.Key, string, error) {
	return []apikey.Key{key("ada000000001")}, "c2", d.note("keys of %q in %s %q %d", user, tenant, cursor, limit)
}

func (d keyBook) Get(_ context.Context, _, id string) (apikey.Key, error) {
	return key(id), d.note("key %s", id)
}

func (d keyBook) Rotate(_ context.Context, _ auth.Principal, id string, overlap time.Duration) (apikey.Key, string, error) {
	return key(id), "tbai_" + id + "_next", d.note("rotate %s %s", id, overlap)
}

func (d keyBook) Revoke(_ context.Context, _ auth.Principal, id string) error {
	return d.note("revoke %s", id)
}

func (d *identity) ListAccesses(_ context.Context, f audit.AccessFilter) (audit.AccessPage, error) {
	return audit.AccessPage{Next: "c2", Accesses: []audit.Access{{
		ID: "a1", At: at, Tenant: f.Tenant, Actor: "ada", Student: userID, Resource: "task t1", Route: "GET /api/v1/tasks/:id", IP: "192.0.2.1",
	}}}, d.note("accesses in %s by %q to %q from %v to %v %q %d", f.Tenant, f.Actor, f.Student, f.From != nil, f.To != nil, f.Cursor, f.Limit)
}

func (d *identity) Export(_ context.Context, _ auth.Principal, user string, w io.Writer) error {
	if err := d.note("export %s", user); err != nil {
		return err
	}
	if d.export != nil {
		return d.export(w)
	}
	_, err := io.WriteString(w, `{"user":[{"id":"`+user+`"}]}`)
	return err
}

func erasure(user string) privacy.Erasure {
	return privacy.Erasure{ID: "e1", Tenant: "school", UserID: user, RequestedBy: "root", RequestedAt: at, State: privacy.Waiting}
}

func (d *identity) Erase(_ context.Context, _ auth.Principal, user string) (privacy.Erasure, error) {
	return erasure(user), d.note("erase %s", user)
}

func (d *identity) Erasure(_ context.Context, tenant, user string) (privacy.Erasure, error) {
	return erasure(user), d.note("erasure of %s in %s", user, tenant)
}

// asking asks as a user of the school who has just proved who they are.
func (k *kit) asking(role auth.Role, user, method, path, body string) answer {
	k.t.Helper()
	return k.do(ask{method: method, path: "/api/v1" + path, body: body, as: fresh(k.t, role, user)})
}

func fresh(t testing.TB, role auth.Role, user string) string {
	t.Helper()
	return issue(t, auth.Principal{UserID: user, Tenant: "school", Role: role, SessionID: "s1", AuthAt: time.Now()}, 15*time.Minute)
}

// wantAsked reports that something else was asked last.
func (k *kit) wantAsked(want string) {
	k.t.Helper()
	if got := k.identity.last(); got != want {
		k.t.Errorf("asked %q, want %q", got, want)
	}
}

// asPublic asks without a token.
func (k *kit) asPublic(path, body string) answer {
	k.t.Helper()
	return k.do(ask{method: http.MethodPost, path: "/api/v1" + path, body: body, as: "-", header: http.Header{"User-Agent": {"browser"}}})
}

// wasAsked reports whether something that begins so was asked.
func (d *identity) wasAsked(prefix string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.ContainsFunc(d.asked, func(s string) bool { return strings.HasPrefix(s, prefix) })
}
