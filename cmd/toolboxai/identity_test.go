package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/pquerna/otp/totp"

	"github.com/toolboxai/orchestrator/internal/account"
	"github.com/toolboxai/orchestrator/internal/apikey"
	"github.com/toolboxai/orchestrator/internal/audit"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/school"
	"github.com/toolboxai/orchestrator/internal/task"
)

// query runs a statement in the database of the academy.
func (a *academy) query(sql string, args ...any) {
	a.t.Helper()
	db, err := pgx.Connect(a.t.Context(), a.database)
	if err != nil {
		a.t.Fatal(err)
	}
	defer db.Close(context.WithoutCancel(a.t.Context()))
	if _, err := db.Exec(a.t.Context(), sql, args...); err != nil {
		a.t.Fatal(err)
	}
}

// quiz submits the quiz and waits until it is completed and in the archive.
func (p *person) quiz() task.Task {
	p.t.Helper()
	var got submitted
	p.do("POST", "/tasks", quizBody, &got)
	p.completes(got.Task.ID)
	return got.Task
}

// completes waits until a task is completed, and the archive has heard of it.
func (p *person) completes(id string) {
	p.t.Helper()
	eventually(p.t, "the task is listed as completed", func() error {
		r := p.gets(http.StatusOK, "GET", "/tasks?state=completed", nil)
		if !strings.Contains(string(r.body), id) {
			return fmt.Errorf("it is not in %s", tail(string(r.body)))
		}
		return nil
	})
}

// From an empty database to a school: everybody comes in as they are meant to, and sees what they are meant to see.
func TestSchool_FromBootstrapToSharedResults(t *testing.T) {
	t.Parallel()
	a := newAcademy(t)
	a.role("dispatcher")
	a.role("worker")
	a.role("recorder")
	d := a.door()
	head := d.head("north", "grace")
	d.expect(http.StatusUnauthorized, "GET", "/users", "", nil)

	teacher := head.member(auth.Teacher, "lin", "Lin Falter", "")
	if teacher.Tenant != "north" || teacher.Role != auth.Teacher || teacher.Email != "lin@people.example" {
		t.Fatalf("the invitation made %+v", teacher.User)
	}
	var class, other school.Class
	teacher.do("POST", "/classes", map[string]string{"name": "7b"}, &class)
	teacher.do("POST", "/classes", map[string]string{"name": "8a"}, &other)

	// A student without an address gets a temporary password, and can do nothing before it is another.
	var made school.Created
	head.do("POST", "/users", map[string]any{"username": "sam", "name": "Sam Tupfer", "role": "student", "temporary_password": true}, &made)
	student := d.signIn("sam", made.TemporaryPassword)
	if !student.MustChangePassword {
		t.Error("a temporary password need not be changed")
	}
	if r := student.gets(http.StatusForbidden, "GET", "/tasks", nil); r.code() != "new_password_required" {
		t.Errorf("got %s", r)
	}
	student.do("POST", "/auth/password", map[string]string{"old_password": made.TemporaryPassword, "new_password": goodPassword}, nil)
	d.expect(http.StatusUnauthorized, "POST", "/auth/login", "", map[string]string{"login": "sam", "password": made.TemporaryPassword})
	student = d.signIn("sam", goodPassword)
	outsider := head.member(auth.Student, "olga", "Olga Blume", other.ID)
	parent := head.member(auth.Parent, "petra", "Petra Tupfer", "")
	stranger := head.member(auth.Parent, "paul", "Paul Fremd", "")
	teacher.do("POST", "/classes/"+class.ID+"/members", map[string]string{"user_id": student.ID}, nil)
	head.do("POST", "/users/"+student.ID+"/guardians", map[string]string{"parent_id": parent.ID}, nil)

	quiz := teacher.quiz()
	at := "/tasks/" + quiz.ID
	for _, p := range []*person{student, outsider, parent, stranger} {
		p.gets(http.StatusNotFound, "GET", at, nil)
		p.gets(http.StatusForbidden, "POST", "/tasks", quizBody)
	}
	teacher.do("POST", "/classes/"+class.ID+"/shares", map[string]string{"task_id": quiz.ID}, nil)
	for who, sees := range map[*person]bool{student: true, parent: true, outsider: false, stranger: false} {
		for _, path := range []string{at, at + "/explain"} {
			want := http.StatusNotFound
			if sees {
				want = http.StatusOK
			}
			who.gets(want, "GET", path, nil)
		}
		if r := who.gets(http.StatusOK, "GET", "/tasks", nil); strings.Contains(string(r.body), quiz.ID) != sees {
			t.Errorf("%s lists %s", who.Username, r.body)
		}
		who.gets(http.StatusForbidden, "DELETE", at, nil)
	}
	teacher.do("DELETE", "/classes/"+class.ID+"/shares/"+quiz.ID, nil, nil)
	student.gets(http.StatusNotFound, "GET", at, nil)
	parent.gets(http.StatusNotFound, "GET", at, nil)

	// Another school's teacher does not even learn that there is such a task, class or person.
	head.do("POST", "/tenants", map[string]string{"id": "south", "name": "South"}, nil)
	foreign := head.member(auth.Teacher, "fay", "Fay Weit", "", "X-Tenant-ID", "south")
	if foreign.Tenant != "south" {
		t.Fatalf("the invitation made %+v", foreign.User)
	}
	for _, path := range []string{at, at + "/explain", at + "/html", at + "/events", "/classes/" + class.ID, "/users/" + student.ID} {
		if r := foreign.gets(http.StatusNotFound, "GET", path, nil); strings.Contains(string(r.body), "north") {
			t.Errorf("the answer says whose it is: %s", r)
		}
	}
	foreign.gets(http.StatusNotFound, "DELETE", at, nil)
	foreign.gets(http.StatusForbidden, "GET", "/agents", nil, "X-Tenant-ID", "north")
	head.gets(http.StatusNotFound, "GET", at, nil, "X-Tenant-ID", "south")
	head.gets(http.StatusOK, "GET", at, nil)

	// Who looked at a student's data is on record; nobody but admins reads that.
	teacher.gets(http.StatusOK, "GET", "/users/"+student.ID, nil)
	teacher.gets(http.StatusForbidden, "GET", "/admin/access-log", nil)
	eventually(t, "the access is on record", func() error {
		r := head.gets(http.StatusOK, "GET", "/admin/access-log?student="+student.ID+"&actor="+teacher.ID, nil)
		var page struct {
			Accesses []audit.Access `json:"accesses"`
		}
		if r.into(t, &page); len(page.Accesses) == 0 {
			return fmt.Errorf("nothing in %s", r.body)
		}
		return nil
	})
}

// A key does what its scopes and its user's role allow, keeps an old text for a while and is gone with its user.
func TestSchool_KeysSecondFactorsAndDisabledUsers(t *testing.T) {
	t.Parallel()
	a := newAcademy(t)
	d := a.door()
	head := d.head("north", "grace")
	teacher := head.member(auth.Teacher, "lin", "Lin Falter", "")

	key, text := teacher.key(auth.TasksRead)
	d.expect(http.StatusOK, "GET", "/tasks", text, nil)
	d.expect(http.StatusOK, "GET", "/tasks", "", nil, "X-API-Key", text)
	for method, path := range map[string]string{"POST": "/tasks", "DELETE": "/tasks/01996f2e-0000-7000-8000-000000000000"} {
		if r := d.expect(http.StatusForbidden, method, path, text, json.RawMessage(quizBody)); !strings.Contains(r.Message, "tasks:write") {
			t.Errorf("the answer does not say which scope it takes: %s", r)
		}
	}
	for _, path := range []string{"/users", "/auth/me", "/api-keys", "/admin/audit"} {
		d.expect(http.StatusForbidden, "GET", path, text, nil)
	}
	typo := byte('0')
	if text[len(text)-1] == typo {
		typo = '1'
	}
	d.expect(http.StatusUnauthorized, "GET", "/tasks", text[:len(text)-1]+string(typo), nil)
	teacher.gets(http.StatusBadRequest, "POST", "/api-keys", map[string]any{"name": "too much", "scopes": []string{"admin"}})

	// What weighs much takes a fresh proof. The sign-in is made to be long ago.
	a.query(`UPDATE sessions SET auth_at = auth_at - interval '11 minutes' WHERE id = $1`, teacher.session)
	r := d.expect(http.StatusOK, "POST", "/auth/refresh", "", map[string]string{"refresh_token": teacher.refresh})
	var tokens account.Tokens
	r.into(t, &tokens)
	teacher.take(tokens)
	rotate := "/api-keys/" + key.ID + "/rotate"
	if r := teacher.gets(http.StatusForbidden, "POST", rotate, map[string]int{"overlap_seconds": 3600}); r.code() != "step_up_required" {
		t.Errorf("got %s", r)
	}
	teacher.gets(http.StatusUnauthorized, "POST", "/auth/step-up", map[string]string{"password": "not it at all"})
	var fresh account.AccessToken
	teacher.do("POST", "/auth/step-up", map[string]string{"password": goodPassword}, &fresh)
	teacher.access = fresh.Token
	var rotated struct {
		Key  apikey.Key `json:"key"`
		Text string     `json:"text"`
	}
	teacher.do("POST", rotate, map[string]int{"overlap_seconds": 3600}, &rotated)
	d.expect(http.StatusOK, "GET", "/tasks", rotated.Text, nil)
	d.expect(http.StatusOK, "GET", "/tasks", text, nil)
	before := rotated.Text
	teacher.do("POST", rotate, map[string]int{"overlap_seconds": 0}, &rotated)
	d.expect(http.StatusOK, "GET", "/tasks", rotated.Text, nil)
	for name, old := range map[string]string{"first": text, "second": before} {
		if took, late := d.refuses(old, time.Now()); took > time.Second+late {
			t.Errorf("the %s text was good for %s after a rotation without overlap", name, took)
		}
	}

	// An authenticator app, from the setup to the sign-in that asks for its code.
	var setup account.TOTPSetup
	teacher.do("POST", "/auth/totp", nil, &setup)
	code := func(at time.Time) string {
		code, err := totp.GenerateCode(setup.Secret, at)
		if err != nil {
			t.Fatal(err)
		}
		return code
	}
	began := time.Now()
	var confirmed account.TOTPConfirmed
	teacher.do("POST", "/auth/totp/confirm", map[string]string{"code": code(began)}, &confirmed)
	if len(confirmed.BackupCodes) < 8 {
		t.Fatalf("%d backup codes", len(confirmed.BackupCodes))
	}
	halfway := func() account.Challenge {
		var half account.LoginResult
		d.expect(http.StatusOK, "POST", "/auth/login", "", map[string]string{"login": "lin", "password": goodPassword}).into(t, &half)
		if half.Tokens != nil || half.Challenge == nil || !slices.Contains(half.Challenge.Methods, "totp") {
			t.Fatalf("without a second factor: %+v", half)
		}
		return *half.Challenge
	}
	challenge := halfway()
	d.expect(http.StatusUnauthorized, "GET", "/agents", challenge.Token, nil)
	complete := func(want int, proof, value string) reply {
		return d.expect(want, "POST", "/auth/login/second-factor", "", map[string]string{"challenge": challenge.Token, proof: value})
	}
	complete(http.StatusUnauthorized, "code", code(began)) // it was used to confirm
	complete(http.StatusOK, "code", code(began.Add(30*time.Second))).into(t, &tokens)
	if !tokens.User.SecondFactor {
		t.Errorf("signed in as %+v", tokens.User)
	}
	complete(http.StatusUnauthorized, "backup_code", confirmed.BackupCodes[0]) // the challenge is used up
	challenge = halfway()
	complete(http.StatusOK, "backup_code", confirmed.BackupCodes[0]).into(t, &tokens)
	challenge = halfway()
	complete(http.StatusUnauthorized, "backup_code", confirmed.BackupCodes[0]) // and so is the code
	second := d.at(teacher, tokens)

	head.do("POST", "/users/"+teacher.ID+"/disable", nil, nil)
	at := time.Now()
	for name, token := range map[string]string{"first session": teacher.access, "second session": second.access, "key": rotated.Text} {
		if took, late := d.refuses(token, at); took > time.Second+late {
			t.Errorf("the %s of a disabled user was good for %s more", name, took)
		}
	}
	for _, refresh := range []string{teacher.refresh, tokens.RefreshToken} {
		d.expect(http.StatusUnauthorized, "POST", "/auth/refresh", "", map[string]string{"refresh_token": refresh})
	}
	complete(http.StatusUnauthorized, "backup_code", confirmed.BackupCodes[1])
	d.expect(http.StatusUnauthorized, "POST", "/auth/login", "", map[string]string{"login": "lin", "password": goodPassword})
	head.do("POST", "/users/"+teacher.ID+"/enable", nil, nil)
	d.expect(http.StatusUnauthorized, "GET", "/agents", teacher.access, nil) // what was issued before stays void
}

// at returns the same person with other tokens.
func (d *door) at(p *person, tokens account.Tokens) *person {
	other := p.at(d)
	other.take(tokens)
	return other
}
