package api_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/toolboxai/orchestrator/api"
	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/audit"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/campaign"
	"github.com/toolboxai/orchestrator/internal/policy"
	"github.com/toolboxai/orchestrator/internal/task"
)

const (
	floodClients = 8
	floodSeed    = 20261123 // a failure names it and the number of the request
)

// TestMalformed_FiftyThousandRequestsHarmNothing sends broken requests of all sorts over real connections: none is answered with a 5xx, none
// panics, and afterwards goroutines and heap are as before. It is not parallel: it counts what the whole process holds.
//
//nolint:paralleltest // see above
func TestMalformed_FiftyThousandRequestsHarmNothing(t *testing.T) {
	leaks := goleak.IgnoreCurrent()
	k := newKitOf(t, append(kinds(), lessonKind()), func(cfg *api.Config) {
		cfg.Tasks, cfg.Audit, cfg.Access = memoryless{Tasks: cfg.Tasks}, memoryless{}, memoryless{}
		cfg.Policies, cfg.Campaigns = memoryless{}, memorylessCampaigns{cfg.Campaigns}
		cfg.Logger = slog.New(slog.DiscardHandler)
	})
	shots := newShots(k)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- k.server.Run(ctx, listener) }()
	address := listener.Addr().String()
	quiet := runtime.NumGoroutine() + 2 // Run and what accepts connections may just be about to begin

	statuses := flood(t, address, shots, 0, floodRequests/10) // what is made once and kept is made now
	before := heap(quiet)
	for status, n := range flood(t, address, shots, floodRequests/10, floodRequests) {
		statuses[status] += n
	}
	after := heap(quiet)
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	t.Logf("answers %v, heap %d KiB before and %d KiB after", statuses, before>>10, after>>10)
	if after > before+before/10 {
		t.Errorf("the heap has grown from %d KiB to %d KiB", before>>10, after>>10)
	}
	if err := goleak.Find(leaks); err != nil {
		t.Error(err)
	}
	total := 0
	for status, n := range statuses {
		total += n
		if status >= 500 && status != ofNetHTTP {
			t.Errorf("%d answers have the status %d", n, status)
		}
	}
	if total != floodRequests {
		t.Errorf("%d requests were answered or cut off, not %d", total, floodRequests)
	}
	for _, status := range []int{200, 400, 401, 403, 404, 405, 413, 414, 415, 431} { // the flood comes to every layer
		if statuses[status] < 10 {
			t.Errorf("%d answers have the status %d: the flood misses a layer", statuses[status], status)
		}
	}
}

// ofNetHTTP counts what net/http refuses before it makes a request of it: an unknown version of HTTP (505) or transfer coding (501).
const ofNetHTTP = 999

// heap returns how much is reachable once no connection is served any more.
func heap(quiet int) uint64 {
	for range 500 {
		if runtime.NumGoroutine() <= quiet {
			break
		}
		<-time.After(10 * time.Millisecond)
	}
	runtime.GC()
	runtime.GC() // what finalizers let go
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// flood sends the requests from first to last and returns how often it was answered with which status; 0 is a connection that was closed.
func flood(t *testing.T, address string, shots *shots, first, last int) map[int]int {
	t.Helper()
	var mu sync.Mutex
	statuses := map[int]int{}
	var wait sync.WaitGroup
	for client := range floodClients {
		wait.Go(func() {
			line := &floodLine{address: address}
			defer line.close()
			mine := map[int]int{}
			for i := first + client; i < last; i += floodClients {
				raw, clean := shots.make(rand.New(rand.NewPCG(floodSeed, uint64(i))))
				status, err := line.send(raw, clean)
				if err != nil || status >= 500 && status != ofNetHTTP {
					t.Errorf("seed %d, request %d: %d, %v: %.400q", floodSeed, i, status, err, raw)
				}
				mine[status]++
			}
			mu.Lock()
			defer mu.Unlock()
			for status, n := range mine {
				statuses[status] += n
			}
		})
	}
	wait.Wait()
	return statuses
}

// floodLine is a connection that is kept for as long as the server keeps it.
type floodLine struct {
	address string
	conn    *net.TCPConn
	in      *bufio.Reader
}

func (l *floodLine) close() {
	if l.conn != nil {
		_ = l.conn.SetLinger(0) // no port is left waiting
		_ = l.conn.Close()
		l.conn = nil
	}
}

// send sends raw and returns the status of the answer, or 0 when the server closed the connection without one. After a request that is not
// clean, nobody knows where the next one would begin: the connection ends with it.
func (l *floodLine) send(raw []byte, clean bool) (int, error) {
	if l.conn == nil {
		conn, err := net.Dial("tcp", l.address)
		if err != nil {
			return 0, err
		}
		l.conn = conn.(*net.TCPConn)
		l.in = bufio.NewReader(l.conn)
	}
	if err := l.conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return 0, err
	}
	_, err := l.conn.Write(raw)
	if !clean && err == nil {
		err = l.conn.CloseWrite()
	}
	answer, readErr := http.ReadResponse(l.in, nil)
	for readErr == nil && answer.StatusCode == http.StatusContinue {
		answer, readErr = http.ReadResponse(l.in, nil)
	}
	if readErr != nil {
		l.close()
		var late net.Error
		if errors.As(readErr, &late) && late.Timeout() {
			return 0, errors.Join(err, readErr) // whatever it was, the server let it hang
		}
		return 0, nil
	}
	_, readErr = io.Copy(io.Discard, answer.Body)
	_ = answer.Body.Close()
	if !clean || answer.Close || readErr != nil {
		l.close()
	}
	if answer.Header.Get("X-Request-ID") == "" && (answer.StatusCode == http.StatusNotImplemented || answer.StatusCode == http.StatusHTTPVersionNotSupported) {
		return ofNetHTTP, nil
	}
	return answer.StatusCode, nil
}

// shots makes broken requests of whole ones.
type shots struct {
	asks   []ask // of every operation of the document
	tokens []string
}

func newShots(k *kit) *shots {
	id, dead := k.submit().ID, k.submit().ID
	k.fail(dead, "bug")
	s := &shots{asks: guarded(id, dead, id, id)}
	for _, op := range k.operations() {
		path := "/api/v1" + strings.NewReplacer("{id}", id, "{kind}", "quiz", "{name}", "approved").Replace(op.Path)
		s.asks = append(s.asks, ask{method: op.Method, path: path, body: `{"name":"x","kind":"quiz","reason":"y","input":{}}`})
	}
	s.asks = append(s.asks, ask{method: "GET", path: "/"}, ask{method: "GET", path: "/docs"}, ask{method: "GET", path: "/api/v1/openapi.json", body: "x"})
	p := auth.Principal{UserID: "root", Tenant: "school", Role: auth.PlatformAdmin, AuthAt: time.Now()}
	s.tokens = append(s.tokens, "Bearer "+issue(k.t, p, time.Hour))
	p.Role = auth.Teacher
	s.tokens = append(s.tokens, "Bearer "+issue(k.t, p, time.Hour))
	p.Role = auth.Student
	s.tokens = append(s.tokens, "Bearer "+issue(k.t, p, time.Hour))
	return s
}

// make returns a request as it goes over the wire, and whether it is whole: whether the next one can follow it.
func (s *shots) make(r *rand.Rand) (raw []byte, clean bool) {
	a := s.asks[r.IntN(len(s.asks))]
	body, path, proof := []byte(a.body), a.path, s.tokens[min(r.IntN(8), 2)%len(s.tokens)]
	if r.IntN(4) > 0 {
		proof = s.tokens[0]
	}
	head := []string{"Host: localhost", "Content-Type: application/json"}
	clean = true
	version := "HTTP/1.1"
	for range 1 + r.IntN(3) {
		switch r.IntN(16) {
		case 0, 1, 2, 3, 4:
			body = mutated(r, body)
		case 5, 6:
			path = escaped(mutated(r, []byte(path)))
		case 7:
			path += "?" + escaped(mutated(r, []byte("limit=10&cursor=abc&label=a:b&state=queued&reason=x")))
		case 8:
			proof = printable(mutated(r, []byte(proof)))
		case 9:
			head = append(head, []string{
				"X-API-Key: tbai_", "X-API-Key: " + printable(mutated(r, []byte("tbai_0123456789ab_abcdefghijklmnopqrstuvwxyz0123456789AB"))),
				"X-Tenant-ID: other", "X-Tenant-ID: a.>", "Authorization: Basic eDp4", "Content-Encoding: gzip", "Last-Event-ID: -1", "Accept: text/event-stream;;",
				"Idempotency-Key: " + strings.Repeat("k", r.IntN(600)), "Origin: null", "Expect: 100-continue", "X-Forwarded-For: ,,,", "If-None-Match: *",
			}[r.IntN(13)])
		case 10:
			head[1] = []string{"Content-Type: text/plain", "Content-Type: application/json; charset=utf-16", "Content-Type: ;", "Content-Type: application/x-ndjson", "X: y"}[r.IntN(5)]
		case 11:
			a.method = []string{"PATCH", "TRACE", "OPTIONS", "HEAD", "PUT", "get", "BREW", "DELETE"}[r.IntN(8)]
		case 12:
			switch r.IntN(4) {
			case 0:
				path += "?" + strings.Repeat("a=b&", 2500)
			case 1:
				head = append(head, "X-Large: "+strings.Repeat("x", 40<<10))
			case 2:
				head = append(head, strings.Repeat("X-Many: y\r\n", 200)+"X: y")
			default:
				body = bytes.Repeat([]byte("["), 300<<10)
			}
		case 13:
			clean = false
			head = append(head, []string{
				"Content-Length: 5\r\nContent-Length: 6", "Content-Length: -1", "Content-Length: 99999999999", "Transfer-Encoding: chunked", "Transfer-Encoding: cow",
				"Bad Header: x", "X: \x00", ": x", "X : y", "\tfolded", "Content-Length: 4294967296",
			}[r.IntN(11)])
		case 14:
			version = []string{"HTTP/1.0", "HTTP/1.2", "HTTP/2.0", "HTTP/9", "", "HTTP/1.1\r"}[r.IntN(6)]
			clean = false
		default:
			body = body[:r.IntN(len(body)+1)]
		}
	}
	if proof != "" && r.IntN(12) > 0 {
		head = append(head, "Authorization: "+proof)
	}
	if a.method == http.MethodHead {
		clean = false // its answer has no body behind its length
	}
	if clean {
		head = append(head, fmt.Sprintf("Content-Length: %d", len(body)))
	}
	raw = fmt.Appendf(nil, "%s %s %s\r\n%s\r\n\r\n%s", a.method, path, version, strings.Join(head, "\r\n"), body)
	if r.IntN(50) == 0 {
		raw, clean = mutated(r, raw), false
	}
	return raw, clean
}

// mutated returns data with something broken in it.
func mutated(r *rand.Rand, data []byte) []byte {
	out := bytes.Clone(data)
	for range 1 + r.IntN(4) {
		if len(out) == 0 {
			return []byte{byte(r.IntN(256))}
		}
		at := r.IntN(len(out))
		switch r.IntN(6) {
		case 0:
			out[at] = byte(r.IntN(256))
		case 1:
			out = append(out[:at], out[at+1:]...)
		case 2:
			out = append(out[:at:at], append([]byte{byte(r.IntN(256))}, out[at:]...)...)
		case 3:
			out = append(out[:at:at], append(bytes.Clone(out[at:min(at+r.IntN(40), len(out))]), out[at:]...)...)
		case 4:
			odd := []string{"{", "[", `"`, `\u0000`, "null", "1e999", "-", "\xff", "\x00", "é", "..", "%00", "%2f", `":{"`, "]}", "true", "99999999999999999999", "\u202e"}
			out = append(out[:at:at], append([]byte(odd[r.IntN(len(odd))]), out[at:]...)...)
		default:
			out = out[:at]
		}
	}
	return out
}

// escaped makes of data what may stand in a request line: odd bytes go in percent signs, mostly.
func escaped(data []byte) string {
	var b strings.Builder
	for _, c := range data {
		if c <= ' ' || c >= 0x7f {
			fmt.Fprintf(&b, "%%%02x", c)
			continue
		}
		b.WriteByte(c)
	}
	if b.Len() == 0 {
		return "/"
	}
	return b.String()
}

func printable(data []byte) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f {
			return '?'
		}
		return c
	}, string(data))
}

// memoryless takes what it is given and keeps nothing.
type memoryless struct{ api.Tasks }

func (memoryless) Submit(_ context.Context, sub task.Submission) (task.Task, bool, error) {
	return task.Task{ID: "01890000-0000-7000-8000-000000000000", Tenant: sub.Tenant, UserID: sub.UserID, Kind: sub.Kind, State: task.Queued, Priority: events.Normal}, true, nil
}

func (memoryless) Replay(_ context.Context, tenant, id string, _ task.ReplayRequest) (task.Task, error) {
	return task.Task{ID: id, Tenant: tenant, Kind: "quiz", State: task.Queued}, nil
}

func (memoryless) Signal(_ context.Context, tenant, id, _ string, _ json.RawMessage, _ string) (task.Task, error) {
	return task.Task{ID: id, Tenant: tenant, Kind: "quiz", State: task.Queued}, nil
}

func (memoryless) Current() policy.Policy { return policy.Policy{} }

func (memoryless) Save(_ context.Context, p policy.Policy) (policy.Policy, error) { return p, nil }

func (memoryless) Append(context.Context, audit.Entry) error { return nil }

func (memoryless) RecordAccess(context.Context, audit.Access) error { return nil }

type memorylessCampaigns struct{ api.CampaignBook }

func (memorylessCampaigns) Start(context.Context, string, string, string, campaign.Request) (campaign.Campaign, bool, error) {
	return campaign.Campaign{ID: "01890000-0000-7000-8000-000000000000"}, true, nil
}
