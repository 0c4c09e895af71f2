package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/nodetest"
	"github.com/toolboxai/orchestrator/internal/notify"
)

// chromium returns the path of the browser. Without one the test is skipped, unless TOOLBOXAI_TEST_REQUIRE=1 forbids that.
func chromium(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil && os.Getenv("TOOLBOXAI_TEST_REQUIRE") == "1" {
		t.Fatal(err)
	}
	if err != nil {
		t.Skip(err)
	}
	return path
}

// servePage serves the page that follows tasks, at an origin of its own, with @toolboxai/realtime where its folder is given.
func servePage(t *testing.T, dir, client string) (origin string) {
	t.Helper()
	mux := http.NewServeMux()
	if client != "" {
		mux.Handle("GET /realtime/", http.StripPrefix("/realtime/", http.FileServer(http.Dir(filepath.Join(client, "dist")))))
	}
	for path, file := range map[string]string{"/": "page.html", "/pusher.js": "node_modules/pusher-js/dist/web/pusher.min.js"} {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, filepath.Join(dir, file)) })
	}
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

// A page of another origin follows a task to its end in a browser: with the browser's build of Pusher's client, and with an EventSource and a
// ticket. A page whose origin is not allowed learns nothing.
func TestBrowser_FollowsATaskFromAnotherOrigin(t *testing.T) {
	t.Parallel()
	browser := chromium(t)
	dir := nodetest.Install(t, filepath.Join("testdata", "browser"))
	page, stranger := servePage(t, dir, ""), servePage(t, dir, "")
	a := newCampus(t, "ALLOWED_ORIGINS="+page)
	d := a.door()
	lin := d.head("north", "grace").member(auth.Teacher, "lin", "Lin Falter", "")
	id := lin.submit().ID

	tab := node(t, dir, "browse.js", "BROWSER="+browser, "PROFILE="+t.TempDir())
	do := func(at, call string, with map[string]any) {
		with["api"], with["token"] = d.base, lin.access
		tab.tell(map[string]any{"at": at + "/", "call": call, "with": with})
	}
	host, port := hostPort(t, d.base)
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	channel := notify.TaskChannel(id)
	do(page, "followPushed", map[string]any{"host": host, "port": n, "key": appKey, "channel": channel})
	types := []events.Type{events.TypeQueued, events.TypeStarted, events.TypeStep, events.TypeCompleted, "end"}
	tab.says("that it listens", func(x said) bool { return x.Subscribed == channel })
	streams := []string{"/tasks/" + id + "/events", "/events?scope=user&after=0"}
	for _, path := range streams {
		do(page, "followStream", map[string]any{"path": path, "types": types})
		tab.says("that a stream is open", func(x said) bool { return x.Stream == path && x.Type == "open" })
	}

	a.crew(d.base)
	lin.ends(id)
	tab.says("how the task's stream ended", func(x said) bool { return x.Stream == streams[0] && x.Type == "end" })
	tab.says("the task's end on the user's stream", func(x said) bool { return x.Stream == streams[1] && x.Type == string(events.TypeCompleted) })
	want := pushed(t, lin, id)[channel]
	eventually(t, "the end is pushed", func() error {
		if got := tab.on(channel); !slices.Contains(got, want[len(want)-1]) {
			return fmt.Errorf("got %v", got)
		}
		return nil
	})
	got := slices.DeleteFunc(tab.on(channel), func(l string) bool { return volatile(l) && !slices.Contains(want, l) })
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("pushed: %s", diff)
	}
	var logged []string
	for _, e := range lin.log(id) {
		logged = append(logged, fmt.Sprint(e.Seq, " ", e.Type))
	}
	streamed := map[string][]string{}
	for _, x := range tab.heard() {
		if x.Failed != "" || x.Refused != "" {
			t.Errorf("the page says %+v", x)
		}
		if x.Stream != "" && strings.HasPrefix(x.Type, "task.") {
			streamed[x.Stream] = append(streamed[x.Stream], x.ID+" "+x.Type)
		}
	}
	for _, path := range streams {
		if diff := cmp.Diff(logged, streamed[path]); diff != "" {
			t.Errorf("%s: %s", path, diff)
		}
	}

	for origin, want := range map[string]bool{page: true, stranger: false} {
		before := len(tab.heard())
		do(origin, "ask", map[string]any{})
		eventually(t, "the page says whether it was let in", func() error {
			if len(tab.heard()) == before {
				return fmt.Errorf("not yet")
			}
			return nil
		})
		if x := tab.heard()[before]; !x.Asked || x.Admitted != want {
			t.Errorf("a page of %s says %+v, want %t", origin, x, want)
		}
	}
}

// In a browser whose connections are cut at random, @toolboxai/realtime gives a page every event of its tasks once, in order.
func TestBrowser_MissesNothingWhateverBreaks(t *testing.T) {
	t.Parallel()
	browser := chromium(t)
	dir := nodetest.Install(t, filepath.Join("testdata", "browser"))
	page := servePage(t, dir, realtime(t))
	a := newCampus(t, "ALLOWED_ORIGINS="+page)
	first, second := a.door(), a.door()
	a.crew(first.base)
	lin := first.head("north", "grace").member(auth.Teacher, "lin", "Lin Falter", "")
	line := openRelay(t, false, first.base, second.base)
	host, port := hostPort(t, line.base)
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}

	tab := node(t, dir, "browse.js", "BROWSER="+browser, "PROFILE="+t.TempDir())
	all := &audience{script: tab, size: 1, want: []map[string][]uint64{{}}, report: map[string]any{"at": page + "/", "call": "report", "with": nil}}
	follow := func(of map[string]any, name string) {
		for key, value := range map[string]any{"api": line.base, "host": host, "port": n, "key": appKey, "token": lin.access} {
			of[key] = value
		}
		tab.tell(map[string]any{"at": page + "/", "call": "followRealtime", "with": of})
		all.want[0][name] = nil
	}
	follow(map[string]any{"user": lin.ID}, lin.ID)
	eventually(t, "the page is live", func() error { // a browser takes its time to start
		if state := all.given()[0].States[lin.ID]; state != "live" {
			return fmt.Errorf("it is %q", state)
		}
		return nil
	})
	var ids []string
	for i := range 40 {
		id := lin.submit().ID
		ids = append(ids, id)
		if i%4 == 0 {
			follow(map[string]any{"task": id}, id)
		}
		if i%5 == 4 {
			line.cut(1)
		}
		<-time.After(100 * time.Millisecond)
	}
	for _, id := range ids {
		lin.ends(id)
	}
	line.cut(1)
	total := all.expect(map[*person][]string{lin: ids})
	for _, complaint := range all.settle() {
		t.Error(complaint)
	}
	t.Logf("%d tasks, %d connections cut, %d events given", len(ids), line.cuts(), total)
	if line.cuts() == 0 {
		t.Error("nothing was cut: this test shows nothing")
	}
}
