package main

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/toolboxai/orchestrator/nats"
)

// leaf is a piece of what the platform keeps or says, and where that is.
type leaf struct{ where, text string }

// messages returns every message of every stream of the broker, with its subject and headers.
func (s *site) messages() (all []leaf) {
	s.t.Helper()
	conn, js, err := nats.Connect(nats.ConnectConfig{URL: fmt.Sprintf("nats://127.0.0.1:%d", s.natsPort)})
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Close()
	names := js.StreamNames(s.t.Context())
	streams := 0
	for name := range names.Name() {
		streams++
		stream, err := js.Stream(s.t.Context(), name)
		if err != nil {
			s.t.Fatal(err)
		}
		all = append(all, leaf{"configuration of stream " + name, encoded(s.t, stream.CachedInfo().Config)})
		state := stream.CachedInfo().State
		for seq := uint64(1); seq <= state.LastSeq; seq++ {
			m, err := stream.GetMsg(s.t.Context(), seq, jetstream.WithGetMsgSubject(">"))
			if err != nil { // the one behind the last is not there
				break
			}
			seq = m.Sequence
			all = append(all, leaf{fmt.Sprintf("stream %s, message %d on %s", name, seq, m.Subject), m.Subject + "\n" + encoded(s.t, m.Header) + "\n" + string(m.Data)})
		}
	}
	if err := names.Err(); err != nil || streams < 8 {
		s.t.Fatalf("%d streams: %v", streams, err)
	}
	return all
}

func encoded(t *testing.T, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// rows returns every row of every table as text, bytes in hexadecimal.
func (a *academy) rows() (all []leaf) {
	a.t.Helper()
	db, err := pgx.Connect(a.t.Context(), a.database)
	if err != nil {
		a.t.Fatal(err)
	}
	defer db.Close(context.WithoutCancel(a.t.Context()))
	rows, err := db.Query(a.t.Context(), `SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1`)
	if err != nil {
		a.t.Fatal(err)
	}
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(tables) < 15 {
		a.t.Fatalf("tables %v: %v", tables, err)
	}
	for _, table := range tables {
		rows, err := db.Query(a.t.Context(), `SELECT t::text FROM `+pgx.Identifier{table}.Sanitize()+` t`)
		if err != nil {
			a.t.Fatal(err)
		}
		texts, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			a.t.Fatal(err)
		}
		for _, text := range texts {
			all = append(all, leaf{"table " + table, text})
		}
	}
	return all
}

// guises are the forms in which a text may stand somewhere: as it is, in hexadecimal, in base64 of whatever alignment, escaped for URLs and
// for JSON.
func guises(text string) []string {
	upper := strings.ToUpper(hex.EncodeToString([]byte(text)))
	quoted, _ := json.Marshal(text)
	all := []string{text, strings.ToLower(upper), upper, url.QueryEscape(text), url.PathEscape(text), strings.Trim(string(quoted), `"`)}
	for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		for shift := range 3 {
			whole := encoding.EncodeToString(append(make([]byte, shift), text...))
			from := (8*shift + 5) / 6                      // letters that what stands before has a part in
			to := len(whole) - min(1, (shift+len(text))%3) // and the last, in which what follows has one
			if to-from >= 8 {
				all = append(all, whole[from:to])
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// found returns where a text stands, in whatever guise.
func found(text string, in []leaf) (where []string) {
	forms := guises(text)
	for _, l := range in {
		for _, form := range forms {
			if strings.Contains(l.text, form) {
				where = append(where, l.where)
				break
			}
		}
	}
	slices.Sort(where)
	return slices.Compact(where)
}

// The search itself is looked at before anybody relies on it finding nothing.
func TestResidue_IsFoundInEachGuise(t *testing.T) {
	t.Parallel()
	const text = "s3cr3t/with + \"signs\" & more"
	for name, disguise := range map[string]func(string) string{
		"as it is":      func(s string) string { return s },
		"hexadecimal":   func(s string) string { return hex.EncodeToString([]byte(s)) },
		"upper case":    func(s string) string { return strings.ToUpper(hex.EncodeToString([]byte(s))) },
		"base64":        func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
		"base64 of URL": func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) },
		"query":         url.QueryEscape,
		"path":          url.PathEscape,
		"JSON":          func(s string) string { return encoded(t, map[string]string{"k": s}) },
	} {
		for before := range 4 {
			for after := range 4 {
				whole := disguise(strings.Repeat("<", before) + text + strings.Repeat(">", after))
				if got := found(text, []leaf{{"here", "x" + whole + "y"}, {"there", "nothing"}}); !slices.Equal(got, []string{"here"}) {
					t.Errorf("%s, with %d before and %d behind: found in %v", name, before, after, got)
				}
			}
		}
	}
	if got := found(text, []leaf{{"there", base64.StdEncoding.EncodeToString([]byte("another secret of about the same length"))}}); len(got) > 0 {
		t.Errorf("found in %v", got)
	}
}
