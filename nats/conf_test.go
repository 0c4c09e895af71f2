package nats_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats-server/v2/server"
	natsgo "github.com/nats-io/nats.go"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/audit"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/channels/channelstest"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/internal/task/tasktest"
	"github.com/toolboxai/orchestrator/nats"
	"github.com/toolboxai/orchestrator/nats/natstest"
)

var confRoles = []string{"api", "worker", "dispatcher", "recorder", "notifier", "callbacks", "migrate", "monitor"}

// certificates are what the configuration files ask for, on disk.
type certificates struct {
	cert, key, ca string
	pool          *x509.CertPool
}

func newCertificates(t *testing.T) certificates {
	t.Helper()
	write := func(name, kind string, der []byte) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	caDER, err := x509.CreateCertificate(rand.Reader, authority, authority, caKey.Public(), caKey)
	must(err)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "broker"}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, authority, key.Public(), caKey)
	must(err)
	keyDER, err := x509.MarshalECPrivateKey(key)
	must(err)
	c := certificates{
		cert: write("cert.pem", "CERTIFICATE", leafDER), key: write("key.pem", "EC PRIVATE KEY", keyDER), ca: write("ca.pem", "CERTIFICATE", caDER),
		pool: x509.NewCertPool(),
	}
	parsed, err := x509.ParseCertificate(caDER)
	must(err)
	c.pool.AddCert(parsed)
	return c
}

// setEnv gives a configuration file all its variables.
func setEnv(t *testing.T, c certificates) {
	t.Helper()
	env := map[string]string{
		"NATS_SERVER_NAME": "node-1", "NATS_STORE_DIR": t.TempDir(), "NATS_ROUTES": "[]", "NATS_CLUSTER_PASSWORD": "between-nodes",
		"NATS_TLS_CERT": c.cert, "NATS_TLS_KEY": c.key, "NATS_TLS_CA": c.ca,
	}
	for _, role := range confRoles {
		env["NATS_"+strings.ToUpper(role)+"_PASSWORD"] = `"` + password(role) + `"`
	}
	for name, value := range env {
		t.Setenv(name, value)
	}
}

// password is one that only quotes carry through the file's grammar.
func password(role string) string { return "1e3#" + role }

// startConf runs a broker as a configuration file says, but on free ports of loopback.
func startConf(t *testing.T, file string, change func(*server.Options)) *server.Server {
	t.Helper()
	opts, err := server.ProcessConfigFile(file)
	if err != nil {
		t.Fatal(err)
	}
	opts.Host, opts.Port, opts.HTTPPort, opts.NoSigs, opts.NoLog = "127.0.0.1", -1, -1, true, true
	if change != nil {
		change(opts)
	}
	s, err := server.NewServer(opts)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(patience) {
		t.Fatal("the broker is not ready")
	}
	return s
}

// as connects with a role's user, the way that the role's process does.
func as(t *testing.T, s *server.Server, c certificates, role string) *natstest.Broker {
	t.Helper()
	cfg := nats.ConnectConfig{URL: "nats://" + role + ":" + strings.ReplaceAll(password(role), "#", "%23") + "@" + s.Addr().String(), Name: role, Inbox: "_INBOX." + role}
	if c.pool != nil {
		cfg.TLS = &tls.Config{RootCAs: c.pool, MinVersion: tls.VersionTLS12}
	}
	nc, js, err := nats.Connect(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	until(t, role+" is connected", nc.IsConnected)
	return &natstest.Broker{Conn: nc, JS: js}
}

func TestConf_LetsEveryRoleDoItsWork(t *testing.T) {
	for _, file := range []string{"nats.conf", "compose.conf"} {
		t.Run(file, func(t *testing.T) {
			c := newCertificates(t)
			setEnv(t, c)
			if file == "compose.conf" {
				c.pool = nil
			}
			s := startConf(t, file, nil)
			migrate := as(t, s, c, "migrate")
			topology := nats.Topology{Kinds: natstest.Kinds()}
			if _, err := nats.Provision(t.Context(), migrate.JS, topology); err != nil {
				t.Fatal(err)
			}
			topology.TasksMaxMsgs, topology.AckWait = 5000, 20*time.Second
			if changes, err := nats.Provision(t.Context(), migrate.JS, topology); err != nil || len(changes) != 7 {
				t.Fatalf("changed %q, %v", changes, err)
			}
			q := workAPI(t, as(t, s, c, "api"))
			workWorker(t, as(t, s, c, "worker"), q)
			if p := nextText(t, readText(t, newLog(as(t, s, c, "api")), q.Task)); p.Text != "Rome" {
				t.Errorf("the text so far is %+v", p)
			}
			workRecorder(t, as(t, s, c, "recorder"), q)
			workNotifier(t, as(t, s, c, "notifier"), as(t, s, c, "worker"), q)
			workCallbacks(t, as(t, s, c, "callbacks"), q)
			api := as(t, s, c, "api")
			presence := register(t, as(t, s, c, "worker").Conn, func() task.Worker { return worker("w") })
			workDispatcher(t, as(t, s, c, "dispatcher"), api, as(t, s, c, "worker"), as(t, s, c, "recorder"), as(t, s, c, "notifier"), as(t, s, c, "monitor"))
			workAdmin(t, api, as(t, s, c, "worker"))
			presence.Stop()
			for _, role := range []string{"api", "worker", "dispatcher", "recorder", "notifier", "callbacks"} {
				serveBreakers(t, as(t, s, c, role).Conn, role, "redis")
			}
			breakers := nats.NewBreakersClient(api.Conn)
			until(t, "every role tells of its breakers", func() bool { return len(openBreakers(t, breakers)) == 6 })
			if err := breakers.Reset(t.Context(), "notifier", "redis"); err != nil {
				t.Error(err)
			}
			monitor := as(t, s, c, "monitor")
			for range monitor.JS.ListStreams(t.Context()).Info() {
			}
			if info := consumerInfo(t, monitor, "quiz", events.Normal); info.Config.AckWait != 20*time.Second {
				t.Errorf("monitor sees an AckWait of %s", info.Config.AckWait)
			}
		})
	}
}

// workAPI does what an API process does and returns the event of a task that it dispatched.
func workAPI(t *testing.T, api *natstest.Broker) events.Event {
	t.Helper()
	log, queue := newLog(api), newQueue(t, api)
	if _, err := api.JS.AccountInfo(t.Context()); err != nil {
		t.Error(err)
	}
	if level, sentence, err := nats.Durability(t.Context(), api.JS, nats.DurabilityConfig{SyncAlways: true}); err != nil || level != nats.LevelFsync {
		t.Errorf("durability: %s, %q, %v", level, sentence, err)
	}
	if err := queue.Admit(t.Context()); err != nil {
		t.Error(err)
	}
	q := history(t, log, 1)[0]
	if err := queue.Dispatch(t.Context(), tasktest.EntryOf(t, q), q); err != nil {
		t.Fatal(err)
	}
	if _, err := log.Append(t.Context(), tasktest.Event(t, "school", q.Task, events.Cancelled{By: "u"}), 0); err == nil {
		t.Error("appended after nothing")
	}
	if e := next(t, follow(t, log, q.Task, 0)); e.Seq != q.Seq {
		t.Errorf("followed %d, want %d", e.Seq, q.Seq)
	}
	if _, err := log.Latest(t.Context(), "school", q.Task); err == nil {
		t.Error("progress before the work")
	}
	return q
}

func workWorker(t *testing.T, worker *natstest.Broker, q events.Event) {
	t.Helper()
	log := newLog(worker)
	sub := newSubscriber(t, worker, nats.SubscriberConfig{})
	messages := subscribe(t, sub, "quiz")
	for _, verdict := range []func(*message.Message) bool{(*message.Message).Nack, (*message.Message).Ack} {
		msg := receive(t, messages)
		if taskOf(t, msg) != q.Task {
			t.Errorf("got task %s, want %s", taskOf(t, msg), q.Task)
		}
		verdict(msg)
	}
	live := follow(t, log, q.Task, q.Seq)
	started := appendStarted(t, log, q, 1)
	if e := next(t, live); e.Seq != started.Seq {
		t.Errorf("followed %d, want %d", e.Seq, started.Seq)
	}
	if err := log.Report(t.Context(), tasktest.Event(t, "school", q.Task, events.Progress{Attempt: 1, Percent: 5})); err != nil {
		t.Error(err)
	}
	if e := next(t, live); e.Type != events.TypeProgress {
		t.Errorf("followed %s, want the report", e.Type)
	}
	if err := log.Report(t.Context(), tasktest.Event(t, "school", q.Task, events.Text{Attempt: 1, Step: "draft", Run: 1, Text: "Rome"})); err != nil {
		t.Error(err)
	}
	if _, err := log.History(t.Context(), "school", q.Task, 0, 0); err != nil {
		t.Error(err)
	}
	_ = sub.Close()
}

// workDispatcher does what a dispatcher does beside what workAPI does, while an API process asks it.
func workDispatcher(t *testing.T, dispatcher, api *natstest.Broker, others ...*natstest.Broker) {
	t.Helper()
	lease := runLease(t, dispatcher.Conn, "d", nil)
	until(t, "the lease is held", lease.Held)
	if who, err := runLease(t, dispatcher.Conn, "other", nil).Holder(t.Context()); err != nil || who.Holder != "d" {
		t.Errorf("the lease is held by %v, %v", who, err)
	}
	o := serve(t, dispatcher.Conn, "d")
	o.held.Store(true)
	client := nats.NewDispatcherClient(api.Conn)
	until(t, "the dispatcher answers", func() bool {
		_, err := client.Backlog(t.Context())
		return err == nil
	})
	for _, other := range others { // whichever is scraped tells the dispatcher's figures
		if _, err := nats.NewDispatcherClient(other.Conn).Backlog(t.Context()); err != nil {
			t.Error(err)
		}
	}
	seen, _ := watch(t, newLog(dispatcher))
	log, queue := newLog(dispatcher), newQueue(t, dispatcher)
	q := history(t, log, 1)[0]
	for e := next(t, seen); e.Seq != q.Seq; e = next(t, seen) {
	}
	d := tasktest.EntryOf(t, q)
	if has, err := queue.Has(t.Context(), d); err != nil || has {
		t.Errorf("before the dispatch: %v, %v", has, err)
	}
	if err := queue.Dispatch(t.Context(), d, q); err != nil {
		t.Error(err)
	}
	if has, err := queue.Has(t.Context(), d); err != nil || !has {
		t.Errorf("after the dispatch: %v, %v", has, err)
	}
	if err := queue.PauseKind(t.Context(), "content"); err != nil {
		t.Error(err)
	}
	if err := queue.ResumeKind(t.Context(), "content"); err != nil {
		t.Error(err)
	}
	fleet := newFleet(t, dispatcher.Conn, nats.FleetConfig{})
	if workers, err := fleet.Workers(t.Context()); err != nil || len(workers) != 1 {
		t.Errorf("the dispatcher sees %v, %v", workers, err)
	}
	gate := newGate(t, api.JS, 0)
	keep(t, gate)
	publishGate(t, dispatcher.JS, busyGate())
	until(t, "the gate is closed", func() bool { return !gate.Direct("busy", "quiz", nil) })
	for _, bucket := range []string{nats.BucketSchedules, nats.BucketCampaigns} {
		docs, err := nats.NewDocuments[note](dispatcher.JS, bucket, nil)
		if err != nil {
			t.Fatal(err)
		}
		revision := put(t, docs, "school.a", "one", 0)
		if found, err := docs.List(t.Context(), "school.*", 0); err != nil || len(found) != 1 {
			t.Errorf("listed %v, %v", found, err)
		}
		m := watchDocuments(t, docs)
		until(t, "the document is shown", func() bool { return m.count() == 1 })
		if err := docs.Delete(t.Context(), "school.a", revision); err != nil {
			t.Error(err)
		}
	}
	if err := nats.NewAudit(dispatcher.JS, nats.AuditConfig{}).Append(t.Context(), audit.Entry{Tenant: "school", Action: "campaign.ended"}); err != nil {
		t.Error(err)
	}
	o.held.Store(false)
	lease.stop()
}

// workAdmin does what an API process does for an admin, and what a worker needs of it.
func workAdmin(t *testing.T, api, worker *natstest.Broker) {
	t.Helper()
	there := newPolicyStore(t, worker.JS)
	keep(t, there)
	store := newPolicyStore(t, api.JS)
	keep(t, store)
	wait(t, "the worker knows that there is no policy", there.Ready())
	changed := there.Changed()
	if _, err := store.Save(t.Context(), limited(3, 0)); err != nil {
		t.Fatal(err)
	}
	wait(t, "the worker knows the policy", changed)
	if past, err := store.History(t.Context()); err != nil || len(past) != 1 {
		t.Errorf("the policy's history: %v, %v", past, err)
	}
	docs := newDocuments(t, api.JS)
	put(t, docs, "school.b", "one", 0)
	if found, err := docs.List(t.Context(), "", 0); err != nil || len(found) != 1 {
		t.Errorf("listed %v, %v", found, err)
	}
	record := nats.NewAudit(api.JS, nats.AuditConfig{})
	if err := record.Append(t.Context(), audit.Entry{Tenant: "school", Action: "policy.changed"}); err != nil {
		t.Error(err)
	}
	if found, err := record.Since(t.Context(), "school", audit.Place{}); err != nil || len(found) != 2 {
		t.Errorf("on record: %v, %v", found, err)
	}
	if err := nats.NewAccessLog(api.JS, nil).RecordAccess(t.Context(), audit.Access{Tenant: "school", Student: "s"}); err != nil {
		t.Error(err)
	}
	set, known := runRevocations(t, api.JS), runRevocations(t, worker.JS)
	if err := newRevocations(t, api.JS).Publish(t.Context(), auth.Revocation{Kind: auth.RevokedUser, ID: "ada"}); err != nil {
		t.Error(err)
	}
	until(t, "the API and the worker know the revocation", func() bool { return set.Len() == 1 && known.Len() == 1 })
	if err := newRevocations(t, worker.JS).Publish(t.Context(), auth.Revocation{Kind: auth.RevokedUser, ID: "eve"}); err == nil {
		t.Error("the worker revokes")
	}
	tickets, err := nats.NewTickets(api.JS, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := tickets.Put(t.Context(), "a", []byte("b")); err != nil {
		t.Error(err)
	}
	if _, err := tickets.Take(t.Context(), "a"); err != nil {
		t.Error(err)
	}
	for _, broker := range []*natstest.Broker{api, worker} {
		currentGeneration(t, newGenerations(t, broker), "school")
	}
	bus := newBus(t, api.JS)
	channelstest.Listen(t, bus)
	if err := bus.Put(t.Context(), "cache-a", []byte("v"), time.Minute); err != nil {
		t.Error(err)
	}
	if value, err := bus.Get(t.Context(), "cache-a"); err != nil || string(value) != "v" {
		t.Errorf("read %q from the channel cache, %v", value, err)
	}
	ref, err := nats.NewBlobs(worker.JS).Put(t.Context(), "school", "t1", make([]byte, 300<<10))
	if err != nil {
		t.Fatal(err)
	}
	for _, broker := range []*natstest.Broker{api, worker} {
		if data, err := nats.NewBlobs(broker.JS).Get(t.Context(), ref); err != nil || len(data) != ref.Bytes {
			t.Errorf("read %d bytes, %v", len(data), err)
		}
	}
	if workers, err := newFleet(t, api.Conn, nats.FleetConfig{}).Workers(t.Context()); err != nil || len(workers) != 1 {
		t.Errorf("the API sees %v, %v", workers, err)
	}
	lease, err := nats.NewLease(api.JS, "dispatcher", "api", nats.LeaseConfig{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lease.Holder(t.Context()); err != nil && !fault.Is(err, fault.NotFound) {
		t.Error(err)
	}
}

func workRecorder(t *testing.T, recorder *natstest.Broker, q events.Event) {
	t.Helper()
	for range 2 { // the second goes on where the first stopped
		r := startReader(t, recorder, nil, nats.FeedConfig{Wait: time.Millisecond}, nil)
		until(t, "the recorder has caught up", func() bool {
			lag, err := r.feed.Lag(t.Context())
			return err == nil && lag.Events == 0 && lag.Settled > q.Seq
		})
		r.stop()
	}
	if _, err := nats.NewAudit(recorder.JS, nats.AuditConfig{}).State(t.Context()); err != nil {
		t.Error(err)
	}
	if _, _, err := nats.NewAudit(recorder.JS, nats.AuditConfig{}).Read(t.Context(), 0, 1); err != nil {
		t.Error(err)
	}
	if _, err := nats.NewAudit(recorder.JS, nats.AuditConfig{}).Tenants(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := nats.NewAccessLog(recorder.JS, nil).State(t.Context()); err != nil {
		t.Error(err)
	}
	if _, _, err := nats.NewAccessLog(recorder.JS, nil).Read(t.Context(), 0, 1); err != nil {
		t.Error(err)
	}
	forgetWithBlobs(t, recorder)
	if err := newGenerations(t, recorder).Next(t.Context(), "school"); err != nil {
		t.Error(err)
	}
	currentGeneration(t, newGenerations(t, recorder), "school")
	policies := newPolicyStore(t, recorder.JS)
	keep(t, policies)
	wait(t, "the recorder knows the policy", policies.Ready())
}

// forgetWithBlobs deletes a task that has everything there is to delete.
func forgetWithBlobs(t *testing.T, recorder *natstest.Broker) {
	t.Helper()
	log := newLog(recorder)
	gone := tasktest.MustAppend(t, log, tasktest.QueuedEvent(t, "erased"), 0)
	ref := events.Reference{Key: "erased/" + gone.Task + "/none", Bytes: 1, SHA256: "00"}
	tasktest.MustAppend(t, log, tasktest.Event(t, "erased", gone.Task, events.Cancelled{By: "janitor"}), gone.Seq)
	other := tasktest.MustAppend(t, log, tasktest.QueuedEvent(t, "erased"), 0)
	started := tasktest.MustAppend(t, log, tasktest.Event(t, "erased", other.Task, events.Started{Attempt: 1, Dispatch: 1, Worker: "w1"}), other.Seq)
	tasktest.MustAppend(t, log, tasktest.Event(t, "erased", other.Task, events.Completed{Attempt: 1, ResultRef: &ref}), started.Seq)
	for _, id := range []string{gone.Task, other.Task} {
		if err := nats.NewEraser(recorder.JS).Forget(t.Context(), "erased", id); err != nil {
			t.Errorf("forget a task: %v", err)
		}
	}
}

func workNotifier(t *testing.T, notifier, worker *natstest.Broker, q events.Event) {
	t.Helper()
	log := newLog(notifier)
	feed, err := nats.NewFeed(notifier.JS, nats.Notifier, nats.FeedConfig{Wait: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	err = feed.Consume(ctx, func(_ context.Context, batch []events.Event) error {
		if batch[len(batch)-1].Seq > q.Seq {
			cancel()
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if _, err := log.History(t.Context(), "school", q.Task, 0, 1); err != nil {
		t.Error(err)
	}
	watching, stop := context.WithCancel(t.Context())
	seen := make(chan events.Event, 1000)
	ended := make(chan error, 1)
	go func() { ended <- log.WatchProgress(watching, func(e events.Event) { seen <- e }) }()
	until(t, "a report arrives", func() bool {
		if err := newLog(worker).Report(t.Context(), tasktest.Event(t, "school", q.Task, events.Progress{Attempt: 1})); err != nil {
			t.Error(err)
		}
		return len(seen) > 0
	})
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestConf_RefusesWhatIsNotARolesWork(t *testing.T) {
	c := newCertificates(t)
	setEnv(t, c)
	s := startConf(t, "nats.conf", nil)
	if _, err := nats.Provision(t.Context(), as(t, s, c, "migrate").JS, nats.Topology{Kinds: natstest.Kinds()}); err != nil {
		t.Fatal(err)
	}
	publish := map[string][]string{
		"api":        {"$JS.API.STREAM.PURGE.KV_CHANNEL_CACHE", "$JS.API.STREAM.PURGE.KV_REVOCATIONS", "progress.a.b", "$JS.API.STREAM.DELETE.EVENTS", "$JS.API.STREAM.PURGE.EVENTS", "$JS.API.CONSUMER.MSG.NEXT.TASKS.work-quiz-high", "$JS.API.STREAM.UPDATE.TASKS", "live.events.a.b", "$KV.GATE.gate", "$KV.LEASES.dispatcher", "$O.BLOBS.M.x", "fleet.changed"},
		"worker":     {"channels.app", "$KV.CHANNEL_CACHE.app.x", "$KV.REVOCATIONS.user.x", "tasks.quiz.high.a.b.1", "$JS.API.STREAM.DELETE.TASKS", "$JS.API.CONSUMER.DELETE.TASKS.work-quiz-high", "$JS.API.CONSUMER.CREATE.TASKS.x", "$JS.API.STREAM.MSG.DELETE.EVENTS", "$JS.ACK.EVENTS.recorder.1.1.1.1.0", "$KV.POLICY.policy", "$KV.GATE.gate", "audit.a", "access.a", "$JS.API.STREAM.PURGE.OBJ_BLOBS", "_INBOX.api.x", "breakers.reset"},
		"dispatcher": {"channels.app", "$KV.CHANNEL_CACHE.app.x", "$KV.REVOCATIONS.user.x", "progress.a.b", "$KV.POLICY.policy", "$JS.API.STREAM.PURGE.TASKS", "$JS.API.STREAM.DELETE.EVENTS", "$JS.API.CONSUMER.MSG.NEXT.TASKS.work-quiz-high", "$JS.API.CONSUMER.DELETE.TASKS.work-quiz-high", "$JS.ACK.TASKS.work-quiz-high.1.1.1.1.0", "$O.BLOBS.M.x", "breakers.reset"},
		"recorder":   {"channels.app", "$KV.CHANNEL_CACHE.app.x", "tasks.quiz.high.a.b.1", "access.a", "$JS.API.STREAM.PURGE.AUDIT", "$JS.API.STREAM.DELETE.EVENTS", "$JS.API.CONSUMER.RESET.EVENTS.notifier", "$JS.API.CONSUMER.DELETE.EVENTS.notifier", "$JS.API.CONSUMER.CREATE.TASKS.x", "breakers.reset"},
		"notifier":   {"channels.app", "$KV.CHANNEL_CACHE.app.x", "events.a.b", "audit.a", "access.a", "tasks.quiz.high.a.b.1", "progress.a.b", "$JS.API.CONSUMER.MSG.NEXT.EVENTS.recorder", "$JS.ACK.EVENTS.recorder.1.1.1.1.0", "$JS.ACK.TASKS.work-quiz-high.1.1.1.1.0", "breakers.reset"},
		"callbacks":  {"channels.app", "$KV.CHANNEL_CACHE.app.x", "events.a.b", "audit.a", "access.a", "tasks.quiz.high.a.b.1", "progress.a.b", "$JS.API.CONSUMER.MSG.NEXT.EVENTS.notifier", "$JS.ACK.EVENTS.recorder.1.1.1.1.0", "breakers.reset"},
		"migrate":    {"channels.app", "$KV.CHANNEL_CACHE.app.x", "events.a.b", "tasks.quiz.high.a.b.1", "$JS.API.STREAM.DELETE.EVENTS", "$JS.API.CONSUMER.DELETE.EVENTS.recorder", "$JS.API.STREAM.MSG.GET.EVENTS", "breakers.reset"},
		"monitor":    {"channels.app", "$KV.CHANNEL_CACHE.app.x", "events.a.b", "tasks.quiz.high.a.b.1", "$JS.API.STREAM.MSG.GET.EVENTS", "$JS.API.STREAM.CREATE.X", "$JS.API.CONSUMER.MSG.NEXT.EVENTS.recorder", "breakers.reset"},
	}
	subscribe := map[string][]string{
		"api": {"_INBOX.>", "_INBOX.worker.>", "events.>", ">", "$SRV.>"}, "worker": {"channels.*", "tasks.>", "_INBOX.api.>", "dispatcher.explain"}, "dispatcher": {"channels.*", "events.>", "live.>", "_INBOX.api.>"}, "recorder": {"channels.*", "live.>"},
		"notifier": {"channels.*", "live.events.>", "tasks.>"}, "callbacks": {"live.>", "tasks.>"}, "migrate": {"channels.*", "live.>"}, "monitor": {"channels.*", "events.>", "live.>"},
	}
	for _, role := range confRoles {
		t.Run(role, func(t *testing.T) {
			refused := make(chan string, 100)
			nc, err := natsgo.Connect("tls://"+s.Addr().String(), natsgo.UserInfo(role, password(role)), natsgo.Secure(&tls.Config{RootCAs: c.pool, MinVersion: tls.VersionTLS12}),
				natsgo.ErrorHandler(func(_ *natsgo.Conn, _ *natsgo.Subscription, err error) {
					if errors.Is(err, natsgo.ErrPermissionViolation) {
						refused <- err.Error()
					}
				}))
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			expect := func(what string) {
				t.Helper()
				select {
				case text := <-refused:
					if !strings.Contains(text, what[strings.Index(what, " ")+1:]) {
						t.Errorf("%s: the refusal is about something else: %s", what, text)
					}
				case <-time.After(patience):
					t.Errorf("%s: not refused", what)
				}
			}
			for _, subject := range publish[role] {
				if err := nc.Publish(subject, []byte("{}")); err != nil {
					t.Fatal(err)
				}
				expect("publish " + subject)
			}
			for _, subject := range subscribe[role] {
				if _, err := nc.Subscribe(subject, func(*natsgo.Msg) {}); err != nil {
					t.Fatal(err)
				}
				expect("subscribe " + subject)
			}
		})
	}
	for name, option := range map[string]natsgo.Option{"nobody": natsgo.Name("x"), "a wrong password": natsgo.UserInfo("api", "guess")} {
		if nc, err := natsgo.Connect("tls://"+s.Addr().String(), option, natsgo.Secure(&tls.Config{RootCAs: c.pool, MinVersion: tls.VersionTLS12})); err == nil {
			nc.Close()
			t.Errorf("%s was let in", name)
		}
	}
	if nc, err := natsgo.Connect("nats://"+s.Addr().String(), natsgo.UserInfo("api", password("api"))); err == nil {
		nc.Close()
		t.Error("a connection without the authority's certificate was made")
	}
}

func TestConf_SaysWhatProductionNeeds(t *testing.T) {
	setEnv(t, newCertificates(t))
	for _, file := range []string{"nats.conf", "cluster.conf", "compose.conf"} {
		opts, err := server.ProcessConfigFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !opts.SyncAlways || opts.MaxPayload != 1<<20 || opts.HTTPHost != "127.0.0.1" || !opts.JetStream || len(opts.Users) != len(confRoles) {
			t.Errorf("%s: sync always %v, payload %d, monitoring on %q, JetStream %v, %d users", file, opts.SyncAlways, opts.MaxPayload, opts.HTTPHost, opts.JetStream, len(opts.Users))
		}
		if wantTLS := file != "compose.conf"; (opts.TLSConfig != nil) != wantTLS {
			t.Errorf("%s: TLS is %v", file, opts.TLSConfig != nil)
		}
	}
}
