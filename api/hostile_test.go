package api_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/toolboxai/orchestrator/api"
)

// Who sends a body and never ends it holds no place: else 64 connections of one machine, well within its rate, keep everybody from signing in.
func TestBulkhead_AnUnfinishedBodyHoldsNoPlace(t *testing.T) {
	t.Parallel()
	for path, group := range map[string]string{"/auth/login": "auth", "/auth/refresh": "write", "/tasks": "write"} {
		t.Run(path[1:], func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				k := newKit(t, func(c *api.Config) { c.Bulkheads = map[string]api.Bulkhead{group: {Slots: 2, Queue: 1}} })
				client, stop, dial := k.runDialled()
				var open []net.Conn
				for range 4 {
					conn := dial(t)
					open = append(open, conn)
					if _, err := fmt.Fprintf(conn, "POST /api/v1%s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\nAuthorization: Bearer %s\r\n\r\n{", path, token(t, "teacher", "ada")); err != nil {
						t.Fatal(err)
					}
				}
				synctest.Wait()
				r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://x/api/v1"+path, strings.NewReader(`{}`))
				if err != nil {
					t.Fatal(err)
				}
				r.Header.Set("Content-Type", "application/json")
				r.Header.Set("Authorization", "Bearer "+token(t, "teacher", "bob"))
				answer, err := client.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				_, _ = io.Copy(io.Discard, answer.Body)
				_ = answer.Body.Close()
				if answer.StatusCode != http.StatusBadRequest {
					t.Errorf("somebody else got %d", answer.StatusCode)
				}
				for _, conn := range open {
					_ = conn.Close()
				}
				<-time.After(time.Minute)
				if err := stop(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// Who asks for a page of the documentation and never reads it holds no place of those who read tasks.
func TestBulkhead_APageThatNobodyReadsHoldsNoPlace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t, func(c *api.Config) { c.Bulkheads = map[string]api.Bulkhead{"read": {Slots: 2, Queue: 1}} })
		client, stop, dial := k.runDialled()
		var open []net.Conn
		for range 4 {
			conn := dial(t)
			open = append(open, conn)
			if _, err := io.WriteString(conn, "GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if got := k.get(t, client, "/api/v1/auth/keys.json"); got != http.StatusOK {
			t.Errorf("somebody else got %d", got)
		}
		for _, conn := range open {
			_ = conn.Close()
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// One user opens an eighth of the streams, and others still follow their tasks.
func TestStream_OneUserLeavesSomeToTheOthers(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *kit, client *http.Client) {
		id := k.submit().ID
		ask := func(user string) int {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, inMemory+"/api/v1/tasks/"+id+"/events", nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Accept", "text/event-stream")
			r.Header.Set("Authorization", "Bearer "+token(t, "teacher", user))
			answer, err := client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = answer.Body.Close() })
			if answer.StatusCode != http.StatusOK {
				_ = answer.Body.Close()
			}
			return answer.StatusCode
		}
		for i, want := range []int{http.StatusOK, http.StatusOK, http.StatusTooManyRequests} {
			if got := ask("eve"); got != want {
				t.Errorf("stream %d: %d, want %d", i+1, got, want)
			}
		}
		if got := ask("ada"); got != http.StatusOK {
			t.Errorf("somebody else: %d", got)
		}
	}, func(c *api.Config) { c.MaxStreams = 16 })
}
