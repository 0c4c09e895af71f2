//go:build chaos && linux

package chaos_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/auth/authtest"
	"github.com/toolboxai/orchestrator/internal/chaos"
)

// followers read event streams as a browser does: they connect again behind the last event that they saw.
type followers struct {
	base  string
	http  *http.Client
	group sync.WaitGroup
	mu    sync.Mutex
	seen  []chaos.Following
	stuck []string
}

func newFollowers(base string) *followers {
	return &followers{base: base, http: &http.Client{Transport: &http.Transport{ResponseHeaderTimeout: 10 * time.Second}}}
}

// start follows a task to its end.
func (f *followers) start(ctx context.Context, tenant, task string) {
	f.group.Go(func() {
		ctx, cancel := context.WithTimeout(ctx, 2*patience)
		defer cancel()
		got := chaos.Following{Task: task}
		for {
			over, err := f.connect(ctx, tenant, &got)
			if over {
				break
			}
			if !pause(ctx, 200*time.Millisecond) {
				f.mu.Lock()
				f.stuck = append(f.stuck, fmt.Sprintf("%s: %v", task, err))
				f.mu.Unlock()
				break
			}
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		f.seen = append(f.seen, got)
	})
}

// silence is how long a stream may say nothing, heartbeats included, before its reader connects again.
const silence = 20 * time.Second

// connect reads one connection and reports whether the task has ended. It hangs up by itself after the second event, so that every
// reader connects twice at least.
func (f *followers) connect(ctx context.Context, tenant string, got *chaos.Following) (over bool, err error) {
	ctx, hangUp := context.WithCancel(ctx)
	defer hangUp()
	token, err := authtest.Issue(jwtSecret, auth.Principal{UserID: "reader", Tenant: tenant, Role: auth.Admin}, time.Hour)
	if err != nil {
		return false, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.base+"/api/v1/tasks/"+got.Task+"/events", nil)
	if err != nil {
		return false, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Accept", "text/event-stream")
	if n := len(got.Seqs); n > 0 {
		req.Header.Set("Last-Event-ID", strconv.FormatUint(got.Seqs[n-1], 10))
	}
	first := len(got.Seqs) == 0
	res, err := f.http.Do(req)
	if err != nil {
		return false, err
	}
	defer res.Body.Close()
	switch res.StatusCode {
	case http.StatusOK:
	case http.StatusNoContent:
		return true, nil
	default:
		text, _ := io.ReadAll(io.LimitReader(res.Body, 300)) // for the message alone
		return false, fmt.Errorf("%d: %s", res.StatusCode, text)
	}
	quiet := time.AfterFunc(silence, hangUp)
	defer quiet.Stop()
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, 2<<20)
	for lines.Scan() {
		quiet.Reset(silence)
		name, value, _ := strings.Cut(lines.Text(), ": ")
		switch {
		case name == "event" && value == "end":
			return true, nil
		case name == "id":
			seq, err := strconv.ParseUint(value, 10, 64)
			if err != nil {
				return false, err
			}
			got.Seqs = append(got.Seqs, seq)
		case name == "" && first && len(got.Seqs) == 2: // the event is complete
			return false, nil
		}
	}
	return false, lines.Err()
}

// end waits until all have seen the end of what they follow.
func (f *followers) end() (seen []chaos.Following, stuck []string) {
	f.group.Wait()
	f.http.CloseIdleConnections()
	return f.seen, f.stuck
}
