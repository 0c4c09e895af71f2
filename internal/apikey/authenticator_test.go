package apikey_test

import (
	"cmp"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/internal/apikey"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/secret"
)

func TestAuthenticator_RemembersAKeyForAMinute(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	k, text := s.create(nil)
	for range 10 {
		s.works(s.requests, text)
	}
	if n := s.store.asked(k.ID); n != 1 {
		t.Errorf("ten uses ask %d times", n)
	}
	s.clock.pass(59 * time.Second)
	s.works(s.requests, text)
	if n := s.store.asked(k.ID); n != 0 {
		t.Errorf("within a minute it asks %d times", n)
	}
	s.clock.pass(time.Second)
	s.works(s.requests, text)
	if n := s.store.asked(k.ID); n != 1 {
		t.Errorf("after a minute it asks %d times", n)
	}
}

func TestAuthenticator_NotesTheLastUseOnceAMinute(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	k, text := s.create(nil)
	if s.get(k.ID).LastUsedAt != nil {
		t.Error("it was used before")
	}
	first := s.clock.time().UTC().Truncate(time.Microsecond)
	other := s.newAuthenticator(nil)
	for range 5 {
		s.works(s.requests, text)
		s.clock.pass(time.Second)
		s.works(other, text)
	}
	if at := s.get(k.ID).LastUsedAt; at == nil || !at.Equal(first) {
		t.Errorf("last used at %v, want %v", at, first)
	}
	if s.store.uses != 2 {
		t.Errorf("two processes noted it %d times", s.store.uses)
	}
	s.clock.pass(time.Minute)
	s.works(s.requests, text)
	if at := s.get(k.ID).LastUsedAt; at == nil || !at.After(first.Add(time.Minute)) {
		t.Errorf("a minute later it was last used at %v", at)
	}
	wrong, _ := wrongSecret(t, text)
	s.clock.pass(2 * time.Minute)
	before := s.get(k.ID).LastUsedAt
	s.refuses(s.requests, wrong, fault.Unauthorized, "not valid")
	if after := s.get(k.ID).LastUsedAt; !after.Equal(*before) {
		t.Error("a wrong secret counts as a use")
	}
}

// wrongSecret returns a text of the same key with another secret, and its id.
func wrongSecret(t testing.TB, text string) (wrong, id string) {
	t.Helper()
	id, part, err := apikey.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return textOf("tbai_" + id + "_" + strings.Repeat("A", len(part))), id
}

// textOf completes a text with its checksum, found as a stranger would: the checksum is no secret.
func textOf(head string) string { return head + checksum(head) }

func TestAuthenticator_RefusesAWrongSecret(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	_, text := s.create(nil)
	wrong, id := wrongSecret(t, text)
	s.refuses(s.requests, wrong, fault.Unauthorized, "the API key is not valid")
	s.works(s.requests, text)
	for range 20 {
		s.refuses(s.requests, wrong, fault.Unauthorized, "the API key is not valid")
	}
	if n := s.store.asked(id); n != 1 {
		t.Errorf("guessing asks the store %d times", n)
	}
	strange := textOf("tbai_000000000000_" + strings.Repeat("A", 32))
	s.refuses(s.requests, strange, fault.Unauthorized, "the API key is not valid") // the same as for a key that is there
	s.refuses(s.requests, text[:len(text)-1], fault.Unauthorized, "has not the form")
	s.refuses(s.requests, text[:len(text)-1]+"!", fault.Unauthorized, "typing error")
}

func TestAuthenticator_RemembersWhatIsNoKey(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	small := s.newAuthenticator(func(c *apikey.AuthenticatorConfig) { c.CacheSize = 8 })
	_, text := s.create(nil)
	s.works(small, text)
	unknown := func(i int) (string, string) {
		id := fmt.Sprintf("%012d", i)
		return textOf("tbai_" + id + "_" + strings.Repeat("A", 32)), id
	}
	first, id := unknown(0)
	for range 10 {
		s.refuses(small, first, fault.Unauthorized, "not valid")
	}
	if n := s.store.asked(id); n != 1 {
		t.Errorf("it asks %d times for what is no key", n)
	}
	s.clock.pass(30 * time.Second)
	s.refuses(small, first, fault.Unauthorized, "not valid")
	if n := s.store.asked(id); n != 1 {
		t.Errorf("after a while it asks %d times", n)
	}
	for i := range 50 { // more than it remembers
		strange, _ := unknown(i + 1)
		s.refuses(small, strange, fault.Unauthorized, "not valid")
	}
	s.refuses(small, first, fault.Unauthorized, "not valid")
	if n := s.store.asked(id); n != 1 {
		t.Error("its memory has no bound")
	}
	known, _, err := apikey.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	s.store.asked(known)
	s.works(small, text)
	if n := s.store.asked(known); n != 0 {
		t.Error("what is no key drives out what is one")
	}
}

// Fifty requests with a key that nobody knows yet ask the store once.
func TestAuthenticator_AsksOnceForAllWhoWait(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	k, text := s.create(nil)
	const many = 50
	arrived, release := make(chan struct{}), make(chan struct{})
	s.store.set(false, sync.OnceFunc(func() { close(arrived); <-release }))
	var wait sync.WaitGroup
	wait.Go(func() { s.works(s.requests, text) })
	<-arrived
	var started sync.WaitGroup
	started.Add(many)
	for range many {
		wait.Go(func() { started.Done(); s.works(s.requests, text) })
	}
	started.Wait()
	close(release)
	wait.Wait()
	if n := s.store.asked(k.ID); n != 1 {
		t.Errorf("%d asked the store %d times", many+1, n)
	}
}

// What is published makes a process forget at once; the control, one that does not hear of it, goes on for its minute.
func TestAuthenticator_ForgetsAtOnce(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		sql  string
		r    auth.Revocation
		want string
	}{
		"key revoked":      {`UPDATE api_keys SET revoked_at = now()`, auth.Revocation{Kind: auth.RevokedKey}, "was revoked"},
		"key deleted":      {`DELETE FROM api_keys`, auth.Revocation{Kind: auth.RevokedKey}, "not valid"},
		"user disabled":    {`UPDATE users SET state = 'disabled' WHERE id = 'u-teacher'`, auth.Revocation{Kind: auth.RevokedUser, ID: "u-teacher"}, "disabled"},
		"tenant suspended": {`UPDATE tenants SET state = 'suspended' WHERE id = 'school'`, auth.Revocation{Kind: auth.RevokedTenant, ID: "school"}, "disabled"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			deaf := s.newAuthenticator(func(c *apikey.AuthenticatorConfig) { c.Revocations = auth.NewRevocations() })
			k, text := s.create(nil)
			s.works(s.requests, text)
			s.works(deaf, text)
			s.execute(c.sql)
			s.works(s.requests, text) // nobody has told it yet
			if c.r.ID == "" {
				c.r.ID = k.ID
			}
			s.clock.pass(time.Millisecond)
			c.r.Before = s.clock.time()
			s.known.Add(c.r)
			s.refuses(s.requests, text, fault.Unauthorized, c.want)
			s.works(deaf, text)
			s.clock.pass(time.Minute)
			s.refuses(deaf, text, fault.Unauthorized, c.want)
		})
	}
}

func TestAuthenticator_ActsWithTheRoleOfNow(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	_, text := s.create(nil)
	if p, err := s.use(s.requests, text); err != nil || p.Role != auth.Teacher {
		t.Fatalf("got %+v, %v", p, err)
	}
	s.execute(`UPDATE users SET role = 'student' WHERE id = 'u-teacher'`)
	s.known.Add(auth.Revocation{Kind: auth.RevokedUser, ID: "u-teacher", Before: s.clock.time()})
	p, err := s.use(s.requests, text)
	if err != nil || p.Role != auth.Student {
		t.Fatalf("got %+v, %v", p, err)
	}
	write := auth.Rule{Admin: auth.Tenant, Teacher: auth.Own, Scope: auth.TasksWrite}
	if _, err := write.Decide(p, s.clock.time()); !fault.Is(err, fault.Forbidden) {
		t.Errorf("its scope is still good for a teacher's rights: %v", err)
	}
}

// What the store answered before a key was revoked, and what comes after, is not remembered; nor is it told to who asks after that, and
// would otherwise share the answer.
func TestAuthenticator_RemembersNothingFromBeforeARevocation(t *testing.T) {
	t.Parallel()
	for name, r := range map[string]auth.Revocation{
		"of the key": {Kind: auth.RevokedKey}, "of the user": {Kind: auth.RevokedUser, ID: "u-teacher"}, "of the tenant": {Kind: auth.RevokedTenant, ID: "school"},
	} {
		for _, shared := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, shared %v", name, shared), func(t *testing.T) {
				t.Parallel()
				s := newSite(t)
				k, text := s.create(nil)
				what := auth.Revocation{Kind: r.Kind, ID: cmp.Or(r.ID, k.ID)}
				answered, tell := make(chan struct{}), make(chan struct{})
				s.store.set(false, sync.OnceFunc(func() { close(answered); <-tell }))
				var wait sync.WaitGroup
				wait.Go(func() { s.works(s.requests, text) }) // it asked before, and may
				<-answered
				s.execute(`UPDATE api_keys SET revoked_at = now()`)
				s.clock.pass(time.Millisecond)
				what.Before = s.clock.time()
				s.known.Add(what)
				if shared {
					late := make(chan struct{})
					wait.Go(func() { close(late); s.refuses(s.requests, text, fault.Unauthorized, "was revoked") })
					<-late
				}
				close(tell)
				wait.Wait()
				s.refuses(s.requests, text, fault.Unauthorized, "was revoked")
			})
		}
	}
}

// While the store is away, what is known is good for ten minutes, and what is not known is refused as such; once it is back it is asked
// again, and not before a while has passed.
func TestAuthenticator_GoesOnWithoutTheStore(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	k, text := s.create(nil)
	_, other := s.create(nil)
	s.works(s.requests, text)
	s.store.asked(k.ID)
	s.store.set(true, nil)
	s.refuses(s.requests, other, fault.Unavailable, "cannot be reached")
	s.clock.pass(time.Minute)
	for range 5 {
		s.works(s.requests, text)
	}
	if n := s.store.asked(k.ID); n != 1 {
		t.Errorf("it asked %d times who is away", n)
	}
	wrong, _ := wrongSecret(t, text)
	s.refuses(s.requests, wrong, fault.Unavailable, "cannot be looked up") // it may be a new secret
	s.clock.pass(8*time.Minute + 59*time.Second)
	s.works(s.requests, text)
	s.known.Add(auth.Revocation{Kind: auth.RevokedKey, ID: "another", Before: s.clock.time()})
	s.works(s.requests, text)
	s.clock.pass(time.Second)
	s.refuses(s.requests, text, fault.Unavailable, "cannot be reached")
	s.store.set(false, nil)
	s.works(s.requests, text)
	s.store.set(true, nil)
	s.clock.pass(time.Millisecond)
	s.known.Add(auth.Revocation{Kind: auth.RevokedKey, ID: k.ID, Before: s.clock.time()})
	s.refuses(s.requests, text, fault.Unavailable, "cannot be reached") // what was revoked is not good for a moment more
}

func TestAuthenticator_GoesOnWithoutPostgres(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	_, text := s.create(nil)
	_, other := s.create(nil)
	s.works(s.requests, text)
	s.db.Close()
	s.clock.pass(2 * time.Minute)
	s.works(s.requests, text)
	s.refuses(s.requests, other, fault.Unavailable, "")
}

// A secret that was made at another process is good here within a second, also while nothing that is published arrives.
func TestAuthenticator_TakesANewSecretUnheard(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	deaf := s.newAuthenticator(func(c *apikey.AuthenticatorConfig) { c.Revocations = auth.NewRevocations() })
	k, first := s.create(nil)
	s.works(deaf, first)
	_, second, err := s.service.Rotate(t.Context(), teacher(), k.ID, 0)
	if err != nil {
		t.Fatal(err)
	}
	s.refuses(deaf, second, fault.Unauthorized, "not valid")
	s.clock.pass(time.Second)
	s.works(deaf, second)
	s.refuses(deaf, first, fault.Unauthorized, "not valid")
}

func TestAuthenticator_EndsWithTheKey(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	until := s.clock.time().Add(10 * time.Second)
	k, text := s.create(func(w *apikey.Spec) { w.ExpiresAt = &until })
	s.clock.pass(9 * time.Second)
	s.works(s.requests, text)
	s.clock.pass(time.Second)
	s.refuses(s.requests, text, fault.Unauthorized, "has expired") // though it is remembered
	if _, _, err := s.service.Rotate(t.Context(), teacher(), k.ID, 0); !fault.Is(err, fault.Conflict) {
		t.Errorf("it can be rotated: %v", err)
	}
}

func TestAuthenticator_AllowsAddressesAndOrigins(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	_, open := s.create(nil)
	_, nets := s.create(func(w *apikey.Spec) { w.IPs = []string{"192.0.2.0/24", "2001:db8::1"} })
	_, sites := s.create(func(w *apikey.Spec) { w.Origins = []string{"https://school.example"} })
	_, both := s.create(func(w *apikey.Spec) { w.IPs, w.Origins = []string{"192.0.2.7"}, []string{"https://school.example"} })
	for name, c := range map[string]struct {
		text, ip, origin string
		want             string
	}{
		"any":                      {open, "198.51.100.1", "https://elsewhere.example", ""},
		"any, no address":          {open, "", "", ""},
		"network":                  {nets, "192.0.2.200", "", ""},
		"network, mapped":          {nets, "::ffff:192.0.2.200", "", ""},
		"address":                  {nets, "2001:db8::1", "", ""},
		"address with a zone":      {nets, "2001:db8::1%eth0", "", ""},
		"beside the network":       {nets, "192.0.3.1", "", "from this address"},
		"beside the address":       {nets, "2001:db8::2", "", "from this address"},
		"no address":               {nets, "", "", "from this address"},
		"origin":                   {sites, "198.51.100.1", "https://school.example", ""},
		"origin in capitals":       {sites, "198.51.100.1", "https://SCHOOL.example", ""},
		"other scheme":             {sites, "198.51.100.1", "http://school.example", "from this origin"},
		"other port":               {sites, "198.51.100.1", "https://school.example:8443", "from this origin"},
		"longer":                   {sites, "198.51.100.1", "https://school.example.evil.example", "from this origin"},
		"no origin":                {sites, "198.51.100.1", "", "from this origin"},
		"null":                     {sites, "198.51.100.1", "null", "from this origin"},
		"both":                     {both, "192.0.2.7", "https://school.example", ""},
		"both, address is another": {both, "192.0.2.8", "https://school.example", "from this address"},
		"both, origin is another":  {both, "192.0.2.7", "https://elsewhere.example", "from this origin"},
	} {
		var ip netip.Addr
		if c.ip != "" {
			ip = netip.MustParseAddr(c.ip)
		}
		p, err := s.requests.Authenticate(t.Context(), c.text, ip, c.origin)
		if c.want == "" && err != nil || c.want != "" && (!fault.Is(err, fault.Forbidden) || !strings.Contains(err.Error(), c.want) || p.UserID != "") {
			t.Errorf("%s: got %+v, %v, want %q", name, p, err, c.want)
		}
	}
	wrong, _ := wrongSecret(t, nets)
	if _, err := s.requests.Authenticate(t.Context(), wrong, netip.MustParseAddr("198.51.100.1"), ""); !fault.Is(err, fault.Unauthorized) {
		t.Errorf("without the secret it tells of addresses: %v", err)
	}
}

// The deployment's key changes: keys from before are good as long as it is named as a previous one.
func TestAuthenticator_KnowsKeysUnderThePreviousPepper(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	_, text := s.create(nil)
	const next, was = "the next key of a deployment for tests", "the key of a deployment that only tests use"
	for name, c := range map[string]struct {
		previous []string
		good     bool
	}{"with the previous key": {[]string{was}, true}, "without": {nil, false}} {
		box, err := secret.New(next, c.previous...)
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.use(s.newAuthenticator(func(cfg *apikey.AuthenticatorConfig) { cfg.Box = box }), text)
		if (err == nil) != c.good {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What every request with a key pays once the key is known, with the rule's decision.
func BenchmarkAuthenticate(b *testing.B) {
	s := newSite(b)
	_, text := s.create(nil)
	rule := auth.Rule{Admin: auth.Tenant, Teacher: auth.Own, Scope: auth.TasksWrite}
	ip := netip.MustParseAddr("192.0.2.7")
	s.works(s.requests, text)
	for b.Loop() {
		p, err := s.requests.Authenticate(b.Context(), text, ip, "")
		if err != nil {
			b.Fatal(err)
		}
		if _, err := rule.Decide(p, s.clock.time()); err != nil {
			b.Fatal(err)
		}
	}
}
