package postgres_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/toolboxai/orchestrator/internal/account"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/postgres"
	"github.com/toolboxai/orchestrator/internal/postgres/pgtest"
)

var factorsAt = time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)

// factors returns the store of a database with the tenants school and other, and in school the users ada and bob.
func factors(t *testing.T) (*postgres.SecondFactors, string) {
	t.Helper()
	url := pgtest.New(t)
	db := open(t, postgres.Config{URL: url, MaxConns: 24})
	for _, tenant := range []string{"school", "other"} {
		execute(t, url, "INSERT INTO tenants (id, name, created_at, updated_at) VALUES ($1, $1, now(), now())", tenant)
	}
	for _, user := range []string{"ada", "bob"} {
		addUser(t, url, user)
	}
	return postgres.NewSecondFactors(db), url
}

func addUser(t *testing.T, url, id string) {
	t.Helper()
	execute(t, url, `INSERT INTO users (id, tenant, username, username_key, name, role, created_at, updated_at)
		VALUES ($1, 'school', $1, $1, 'Name of ' || $1, 'teacher', now(), now())`, id)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func codes(n int) [][]byte {
	out := make([][]byte, n)
	for i := range out {
		out[i] = fmt.Appendf(nil, "code %d", i)
	}
	return out
}

func passkey(user, id string, count uint32) account.StoredPasskey {
	credential, err := json.Marshal(map[string]any{"authenticator": map[string]any{"signCount": count}, "id": id})
	if err != nil {
		panic(err)
	}
	return account.StoredPasskey{
		Passkey: account.Passkey{ID: id, Name: "Key " + id, CreatedAt: factorsAt}, UserID: user, Tenant: "school",
		CredentialID: []byte("credential of " + id), Credential: credential,
	}
}

func enable(t *testing.T, s *postgres.SecondFactors, user string) (sealed []byte) {
	t.Helper()
	sealed = []byte("sealed for " + user)
	must(t, s.PutTOTP(t.Context(), "school", user, sealed))
	must(t, s.ConfirmTOTP(t.Context(), "school", user, sealed, 100, codes(10), factorsAt))
	return sealed
}

func TestSecondFactors_OfNobody(t *testing.T) {
	t.Parallel()
	s, url := factors(t)
	ctx := t.Context()
	execute(t, url, "UPDATE users SET state = 'disabled' WHERE id = 'bob'")
	for _, who := range [][2]string{{"school", "nobody"}, {"other", "ada"}, {"school", "bob"}} {
		calls := map[string]error{}
		_, calls["Factors"] = s.Factors(ctx, who[0], who[1])
		calls["PutTOTP"] = s.PutTOTP(ctx, who[0], who[1], []byte("x"))
		calls["ConfirmTOTP"] = s.ConfirmTOTP(ctx, who[0], who[1], []byte("x"), 1, codes(1), factorsAt)
		_, calls["DropTOTP"] = s.DropTOTP(ctx, who[0], who[1])
		calls["ReplaceBackupCodes"] = s.ReplaceBackupCodes(ctx, who[0], who[1], codes(1))
		key := passkey(who[1], "k", 0)
		key.Tenant = who[0]
		calls["AddPasskey"] = s.AddPasskey(ctx, key, 10)
		calls["DeletePasskey"] = s.DeletePasskey(ctx, who[0], who[1], "k")
		for name, err := range calls {
			if !fault.Is(err, fault.NotFound) {
				t.Errorf("%s of %v: %v, want not_found", name, who, err)
			}
		}
	}
	if _, _, err := s.PasskeyOwner(ctx, []byte("unknown")); !fault.Is(err, fault.NotFound) {
		t.Errorf("the owner of an unknown credential: %v", err)
	}
	if _, err := s.Factors(ctx, "No Token", "ada"); !fault.Is(err, fault.Invalid) {
		t.Errorf("a tenant that can be none: %v", err)
	}
}

func TestSecondFactors_TOTPComesIntoForceOnce(t *testing.T) {
	t.Parallel()
	s, _ := factors(t)
	ctx := t.Context()
	must(t, s.PutTOTP(ctx, "school", "ada", []byte("first")))
	must(t, s.PutTOTP(ctx, "school", "ada", []byte("second")))
	if used, err := s.UseTOTP(ctx, "school", "ada", []byte("second"), 200); used || err != nil {
		t.Errorf("a secret that is not in force was used (%v)", err)
	}
	if err := s.ConfirmTOTP(ctx, "school", "ada", []byte("first"), 100, codes(10), factorsAt); !fault.Is(err, fault.Conflict) {
		t.Errorf("a secret that was replaced came into force: %v", err)
	}
	must(t, s.ConfirmTOTP(ctx, "school", "ada", []byte("second"), 100, codes(10), factorsAt))
	if err := s.ConfirmTOTP(ctx, "school", "ada", []byte("second"), 101, codes(10), factorsAt); !fault.Is(err, fault.Conflict) {
		t.Errorf("it came into force twice: %v", err)
	}
	if err := s.PutTOTP(ctx, "school", "ada", []byte("third")); !fault.Is(err, fault.Conflict) {
		t.Errorf("a secret in force was replaced: %v", err)
	}
	got, err := s.Factors(ctx, "school", "ada")
	want := account.Factors{
		UserID: "ada", Tenant: "school", Username: "ada", Name: "Name of ada", TOTPSecret: []byte("second"), TOTPConfirmed: true, TOTPLastStep: 100, BackupCodes: 10,
	}
	if d := cmp.Diff(want, got); d != "" || err != nil {
		t.Errorf("-want +got\n%s%v", d, err)
	}
	if had, err := s.DropTOTP(ctx, "school", "ada"); !had || err != nil {
		t.Errorf("it was not in force: %v, %v", had, err)
	}
	if had, err := s.DropTOTP(ctx, "school", "ada"); had || err != nil {
		t.Errorf("it was in force after its removal: %v, %v", had, err)
	}
	if got, err := s.Factors(ctx, "school", "ada"); err != nil || got.SecondFactor() || got.BackupCodes != 0 || got.TOTPSecret != nil {
		t.Errorf("left: %+v, %v", got, err)
	}
}

// factorsAtOnce calls fn at once from many goroutines and returns how many it was true for.
func factorsAtOnce(t *testing.T, n int, fn func(i int) (bool, error)) int64 {
	t.Helper()
	var wg sync.WaitGroup
	var won atomic.Int64
	start := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-start
			ok, err := fn(i)
			if err != nil {
				t.Error(err)
			}
			if ok {
				won.Add(1)
			}
		})
	}
	close(start)
	wg.Wait()
	return won.Load()
}

func TestSecondFactors_OneOfManyTakesACode(t *testing.T) {
	t.Parallel()
	s, url := factors(t)
	ctx := t.Context()
	sealed := enable(t, s, "ada")
	enable(t, s, "bob")
	must(t, s.AddPasskey(ctx, passkey("ada", "k", 5), 10))
	const many = 20
	for round := range int64(5) {
		if n := factorsAtOnce(t, many, func(int) (bool, error) { return s.UseTOTP(ctx, "school", "ada", sealed, 101+round) }); n != 1 {
			t.Errorf("round %d: %d took the time step", round, n)
		}
		if n := factorsAtOnce(t, many, func(int) (bool, error) {
			return s.UseBackupCode(ctx, "school", "ada", codes(10)[round], factorsAt)
		}); n != 1 {
			t.Errorf("round %d: %d took the backup code", round, n)
		}
		count := uint32(6 + round)
		if n := factorsAtOnce(t, many, func(int) (bool, error) { return s.UsePasskey(ctx, passkey("ada", "k", count), count, factorsAt) }); n != 1 {
			t.Errorf("round %d: %d went on with the sign count", round, n)
		}
	}
	for _, step := range []int64{105, 104, 1, -1} {
		if used, err := s.UseTOTP(ctx, "school", "ada", sealed, step); used || err != nil {
			t.Errorf("step %d was taken after 105 (%v)", step, err)
		}
	}
	if used, err := s.UseTOTP(ctx, "school", "ada", []byte("another secret"), 200); used || err != nil {
		t.Errorf("a step of another secret was taken (%v)", err)
	}
	if used, err := s.UseBackupCode(ctx, "school", "ada", []byte("none"), factorsAt); used || err != nil {
		t.Errorf("a code of nobody was taken (%v)", err)
	}
	left, err := s.BackupCodes(ctx, "school", "ada")
	if err != nil || len(left) != 5 {
		t.Errorf("%d codes are left (%v), want 5", len(left), err)
	}
	if left, err := s.BackupCodes(ctx, "school", "bob"); err != nil || len(left) != 10 {
		t.Errorf("bob has %d codes left (%v): ada's were his", len(left), err)
	}
	// The negative control: who asks first and writes then lets many through.
	execute(t, url, "UPDATE users SET totp_last_step = 100 WHERE id = 'ada'")
	var asked sync.WaitGroup
	asked.Add(many)
	if n := factorsAtOnce(t, many, func(int) (bool, error) {
		f, err := s.Factors(ctx, "school", "ada")
		asked.Done()
		asked.Wait()
		return f.TOTPLastStep < 200, err
	}); n != many {
		t.Errorf("%d of %d who looked first found the step free: the test would not see a race", n, many)
	}
}

func TestSecondFactors_BackupCodesGoWithTheLastFactor(t *testing.T) {
	t.Parallel()
	s, _ := factors(t)
	ctx := t.Context()
	if err := s.ReplaceBackupCodes(ctx, "school", "ada", codes(10)); !fault.Is(err, fault.Conflict) {
		t.Errorf("codes without a second factor: %v", err)
	}
	left := func() int {
		t.Helper()
		f, err := s.Factors(ctx, "school", "ada")
		must(t, err)
		return f.BackupCodes
	}
	must(t, s.AddPasskey(ctx, passkey("ada", "k", 0), 10))
	must(t, s.ReplaceBackupCodes(ctx, "school", "ada", codes(10)))
	enable(t, s, "ada")
	if _, err := s.DropTOTP(ctx, "school", "ada"); err != nil || left() != 10 {
		t.Errorf("%d codes are left with the passkey (%v)", left(), err)
	}
	must(t, s.DeletePasskey(ctx, "school", "ada", "k"))
	if left() != 0 {
		t.Errorf("%d codes are left with nothing", left())
	}
	if err := s.DeletePasskey(ctx, "school", "ada", "k"); !fault.Is(err, fault.NotFound) {
		t.Errorf("removed twice: %v", err)
	}
}

// Codes that are renewed at once by many are those of one of them.
func TestSecondFactors_RenewedCodesAreOneSet(t *testing.T) {
	t.Parallel()
	s, _ := factors(t)
	enable(t, s, "ada")
	factorsAtOnce(t, 12, func(i int) (bool, error) {
		set := codes(10)
		for j := range set {
			set[j] = append(set[j], byte(i))
		}
		return true, s.ReplaceBackupCodes(t.Context(), "school", "ada", set)
	})
	left, err := s.BackupCodes(t.Context(), "school", "ada")
	if err != nil || len(left) != 10 {
		t.Fatalf("%d codes (%v)", len(left), err)
	}
	for _, code := range left {
		if code[len(code)-1] != left[0][len(left[0])-1] {
			t.Fatal("the codes are of several sets")
		}
	}
}

func TestSecondFactors_Passkeys(t *testing.T) {
	t.Parallel()
	s, _ := factors(t)
	ctx := t.Context()
	var conflicts atomic.Int64
	factorsAtOnce(t, 8, func(i int) (bool, error) {
		err := s.AddPasskey(ctx, passkey("ada", fmt.Sprint(i), 0), 3)
		if fault.Is(err, fault.Conflict) {
			conflicts.Add(1)
			err = nil
		}
		return true, err
	})
	keys, err := s.Passkeys(ctx, "school", "ada")
	if err != nil || len(keys) != 3 || conflicts.Load() != 5 {
		t.Fatalf("%d keys and %d conflicts (%v), want 3 and 5", len(keys), conflicts.Load(), err)
	}
	again := passkey("bob", "new", 0)
	again.CredentialID = keys[0].CredentialID
	if err := s.AddPasskey(ctx, again, 10); !fault.Is(err, fault.Conflict) {
		t.Errorf("a credential of two: %v", err)
	}
	if tenant, user, err := s.PasskeyOwner(ctx, keys[0].CredentialID); tenant != "school" || user != "ada" || err != nil {
		t.Errorf("it is %s's of %s (%v)", user, tenant, err)
	}
	if ok, err := s.UsePasskey(ctx, passkey("ada", keys[0].ID, 0), 0, factorsAt); !ok || err != nil {
		t.Errorf("a passkey that does not count was refused (%v)", err)
	}
	got, err := s.Passkeys(ctx, "school", "ada")
	want := keys[0]
	want.LastUsedAt = &factorsAt
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got[0]); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	if err := s.DeletePasskey(ctx, "school", "bob", keys[0].ID); !fault.Is(err, fault.NotFound) {
		t.Errorf("bob removed ada's passkey: %v", err)
	}
}

func TestSecondFactors_ProveSession(t *testing.T) {
	t.Parallel()
	s, url := factors(t)
	for id, ends := range map[string]time.Duration{"live": time.Hour, "old": -time.Hour, "revoked": time.Hour} {
		execute(t, url, `INSERT INTO sessions (id, tenant, user_id, created_at, last_seen_at, expires_at, auth_at, second_factor, ip, user_agent, refresh_hash, refresh_expires)
			VALUES ($1, 'school', 'ada', $2, $2, $3, $2, false, '', '', $4, $3)`, id, factorsAt.Add(-time.Hour), factorsAt.Add(ends), []byte(id))
	}
	execute(t, url, "UPDATE sessions SET revoked_at = now() WHERE id = 'revoked'")
	for _, c := range []struct {
		tenant, user, id string
		want             bool
	}{
		{"school", "ada", "live", true}, {"school", "ada", "old", false}, {"school", "ada", "revoked", false}, {"school", "bob", "live", false},
		{"other", "ada", "live", false}, {"school", "ada", "none", false},
	} {
		if ok, err := s.ProveSession(t.Context(), c.tenant, c.user, c.id, factorsAt, true); ok != c.want || err != nil {
			t.Errorf("%+v: got %v (%v)", c, ok, err)
		}
	}
	execute(t, url, "UPDATE users SET locked_until = $1 WHERE id = 'ada'", factorsAt.Add(time.Minute))
	if ok, err := s.ProveSession(t.Context(), "school", "ada", "live", factorsAt, true); ok || err != nil {
		t.Errorf("a locked account proved itself (%v)", err)
	}
	if ok, err := s.ProveSession(t.Context(), "school", "ada", "live", factorsAt.Add(2*time.Minute), false); !ok || err != nil {
		t.Errorf("the lock did not end (%v)", err)
	}
}

// Whatever is done in whatever order: a code works at most once, time steps only go up, and codes are there only with a second factor.
func TestSecondFactors_HoldInAnyOrder(t *testing.T) {
	t.Parallel()
	s, url := factors(t)
	users := 0
	rapid.Check(t, func(r *rapid.T) {
		users++
		user := fmt.Sprint("user-", users)
		addUser(t, url, user)
		ctx := t.Context()
		var (
			sealed    []byte
			confirmed bool
			last      int64
			free      map[string]bool // backup codes
			keys      = map[string]uint32{}
			sets      int
		)
		expect := func(err error, ok bool) {
			if ok && err != nil || !ok && !fault.Is(err, fault.Conflict) && !fault.Is(err, fault.NotFound) {
				r.Fatalf("got %v, want it done: %v", err, ok)
			}
		}
		fresh := func() [][]byte {
			sets++
			set := codes(3)
			for i := range set {
				set[i] = fmt.Appendf(set[i], " of %d", sets)
			}
			return set
		}
		hold := func(set [][]byte) {
			free = map[string]bool{}
			for _, code := range set {
				free[string(code)] = true
			}
		}
		drop := func() {
			if !confirmed && len(keys) == 0 {
				free = nil
			}
		}
		r.Repeat(map[string]func(*rapid.T){
			"put": func(r *rapid.T) {
				next := fmt.Appendf(nil, "secret %d", rapid.IntRange(0, 3).Draw(r, "secret"))
				err := s.PutTOTP(ctx, "school", user, next)
				expect(err, !confirmed)
				if err == nil {
					sealed, last = next, 0
				}
			},
			"confirm": func(r *rapid.T) {
				with, step, set := fmt.Appendf(nil, "secret %d", rapid.IntRange(0, 3).Draw(r, "secret")), rapid.Int64Range(1, 20).Draw(r, "step"), fresh()
				ok := !confirmed && bytes.Equal(with, sealed)
				expect(s.ConfirmTOTP(ctx, "school", user, with, step, set, factorsAt), ok)
				if ok {
					confirmed, last = true, step
					hold(set)
				}
			},
			"code": func(r *rapid.T) {
				step := rapid.Int64Range(1, 40).Draw(r, "step")
				used, err := s.UseTOTP(ctx, "school", user, sealed, step)
				if want := confirmed && step > last; used != want || err != nil {
					r.Fatalf("step %d after %d: used %v (%v)", step, last, used, err)
				}
				if used {
					last = step
				}
			},
			"drop": func(r *rapid.T) {
				had, err := s.DropTOTP(ctx, "school", user)
				if had != confirmed || err != nil {
					r.Fatalf("dropped %v (%v), want %v", had, err, confirmed)
				}
				sealed, last = nil, 0
				if confirmed {
					confirmed = false
					drop()
				}
			},
			"renew": func(*rapid.T) {
				set, ok := fresh(), confirmed || len(keys) > 0
				expect(s.ReplaceBackupCodes(ctx, "school", user, set), ok)
				if ok {
					hold(set)
				}
			},
			"backup code": func(r *rapid.T) {
				code := fmt.Sprintf("code %d of %d", rapid.IntRange(0, 2).Draw(r, "code"), rapid.IntRange(max(1, sets-2), sets+1).Draw(r, "set"))
				used, err := s.UseBackupCode(ctx, "school", user, []byte(code), factorsAt)
				if used != free[code] || err != nil {
					r.Fatalf("%s: used %v (%v), want %v", code, used, err, free[code])
				}
				delete(free, code)
			},
			"add key": func(r *rapid.T) {
				id := fmt.Sprintf("%s-%d", user, rapid.IntRange(0, 3).Draw(r, "key"))
				_, there := keys[id]
				ok := !there && len(keys) < 2
				expect(s.AddPasskey(ctx, passkey(user, id, 0), 2), ok)
				if ok {
					keys[id] = 0
				}
			},
			"use key": func(r *rapid.T) {
				id, count := fmt.Sprintf("%s-%d", user, rapid.IntRange(0, 3).Draw(r, "key")), rapid.Uint32Range(0, 5).Draw(r, "count")
				had, there := keys[id]
				used, err := s.UsePasskey(ctx, passkey(user, id, count), count, factorsAt)
				if want := there && (count > had || count == 0 && had == 0); used != want || err != nil {
					r.Fatalf("count %d after %d: used %v (%v)", count, had, used, err)
				}
				if used {
					keys[id] = count
				}
			},
			"delete key": func(r *rapid.T) {
				id := fmt.Sprintf("%s-%d", user, rapid.IntRange(0, 3).Draw(r, "key"))
				_, there := keys[id]
				expect(s.DeletePasskey(ctx, "school", user, id), there)
				if there {
					delete(keys, id)
					drop()
				}
			},
			"": func(r *rapid.T) {
				f, err := s.Factors(ctx, "school", user)
				if err != nil || f.TOTPConfirmed != confirmed || f.Passkeys != len(keys) || f.BackupCodes != len(free) || f.TOTPLastStep != last {
					r.Fatalf("got %+v (%v), want in force: %v, %d keys, %d codes, step %d", f, err, confirmed, len(keys), len(free), last)
				}
			},
		})
	})
}
