package nats

import (
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/toolboxai/orchestrator/internal/auth"
)

// Buckets of documents: see Documents. To the usual command-line tools each is a key-value bucket.
const (
	BucketPolicy    = "POLICY"    // one document: see PolicyStore
	BucketGate      = "GATE"      // one document: see Gate
	BucketLeases    = "LEASES"    // a document for each Lease, gone when nobody renews it
	BucketSchedules = "SCHEDULES" // a document for each schedule
	BucketCampaigns = "CAMPAIGNS" // a document for each replay campaign

	BucketTickets     = "TICKETS"     // a document for each Tickets ticket, for a minute
	BucketRevocations = "REVOCATIONS" // a document for each revocation, gone when it outlives no token: see Revocations

	BucketChannelCache = "CHANNEL_CACHE" // the last message of each cache channel: see ChannelBus

	BucketCaches = "CACHES" // a document for each tenant: see Generations
)

// BucketBlobs is the bucket of large objects: see Blobs.
const BucketBlobs = "BLOBS"

const (
	policyHistory = 16
	ticketTTL     = time.Minute // longer than a ticket is good
	maxTickets    = 100_000
	maxTicketSize = 16 << 10
	// headerRoom is what the headers of a document may take beside it.
	headerRoom   = 4 << 10
	auditMaxAge  = 365 * 24 * time.Hour // the archive has it until a tenant's own time is over
	accessMaxAge = 400 * 24 * time.Hour
)

// buckets returns the streams of everything that is no task: documents, large objects and the audit.
func (t Topology) buckets() []jetstream.StreamConfig {
	policy := t.documents(BucketPolicy, "fairness, limits, pauses and budgets")
	policy.MaxMsgsPerSubject = policyHistory
	gate := t.documents(BucketGate, "what does not go straight to the queue; the dispatcher repeats it")
	if t.Replicas == 1 {
		gate.PersistMode = t.forgetful()
	}
	leases := t.documents(BucketLeases, "who of several replicas acts")
	leases.MaxAge = t.LeaseTTL
	revocations := t.documents(BucketRevocations, "whose tokens and keys are void before they expire")
	revocations.MaxAge, revocations.MaxMsgs, revocations.MaxMsgSize = auth.RevocationTTL, maxRevocations, maxRevocationSize
	revocations.Discard = jetstream.DiscardOld
	tickets := t.documents(BucketTickets, "what lets a browser open a stream once")
	tickets.MaxAge, tickets.MaxMsgs, tickets.MaxMsgSize = ticketTTL, maxTickets, maxTicketSize
	tickets.Discard = jetstream.DiscardOld
	t.inMemory(&tickets)
	return []jetstream.StreamConfig{
		policy, gate, leases, revocations, tickets, t.channelCache(),
		t.documents(BucketSchedules, "what is submitted again and again"),
		t.documents(BucketCampaigns, "dead letters that are replayed in bulk"),
		t.documents(BucketCaches, "the generation of what is cached for each tenant"),
		{
			Name: "OBJ_" + BucketBlobs, Subjects: []string{blobChunks(">"), blobMeta(">")}, Description: "what is too large for an event",
			Retention: jetstream.LimitsPolicy, Discard: jetstream.DiscardNew, Storage: t.storage(), Replicas: t.Replicas,
			MaxAge: t.EventsMaxAge, MaxBytes: -1, MaxMsgs: -1, MaxMsgsPerSubject: -1, AllowRollup: true, AllowDirect: true,
		},
		{
			Name: StreamAudit, Subjects: []string{allAudit, allUnchained}, Description: "what was done, beside the histories of tasks: a chain for each tenant",
			Retention: jetstream.LimitsPolicy, Discard: jetstream.DiscardOld, Storage: t.storage(), Replicas: t.Replicas,
			MaxAge: auditMaxAge, MaxBytes: -1, MaxMsgs: -1, MaxMsgsPerSubject: -1,
			AllowDirect: true, DenyDelete: true, DenyPurge: true,
		},
		{
			Name: StreamAccess, Subjects: []string{allAccess}, Description: "who looked at a student's data",
			Retention: jetstream.LimitsPolicy, Discard: jetstream.DiscardOld, Storage: t.storage(), Replicas: t.Replicas,
			MaxAge: accessMaxAge, MaxBytes: -1, MaxMsgs: -1, MaxMsgsPerSubject: -1,
			AllowDirect: true, DenyDelete: true, DenyPurge: true,
		},
	}
}

// documents returns the stream of a key-value bucket.
func (t Topology) documents(bucket, description string) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: kvStream(bucket), Subjects: []string{kvSubject(bucket, ">")}, Description: description,
		Retention: jetstream.LimitsPolicy, Discard: jetstream.DiscardNew, Storage: t.storage(), Replicas: t.Replicas,
		MaxBytes: -1, MaxMsgs: -1, MaxMsgsPerSubject: 1, MaxMsgSize: MaxDocument + headerRoom,
		AllowRollup: true, DenyDelete: true, AllowDirect: true, AllowMsgTTL: true,
	}
}

// channelCache is in memory on a cluster. A broker of one node forgets streams in memory with their configuration when it restarts: there
// it is on disk, and not synced.
func (t Topology) channelCache() jetstream.StreamConfig {
	cache := t.documents(BucketChannelCache, "the last message of each cache channel; may be lost")
	t.inMemory(&cache)
	cache.MaxAge, cache.MaxBytes, cache.MaxMsgSize, cache.Discard = cacheMaxAge, cacheBytes, MaxCached+headerRoom, jetstream.DiscardOld
	return cache
}

// inMemory keeps a stream in memory. On one node it is on a disk that is not waited for: such a broker forgets streams in memory, with their
// configuration, when it restarts.
func (t Topology) inMemory(s *jetstream.StreamConfig) {
	if t.Replicas == 1 {
		s.PersistMode = t.forgetful()
		return
	}
	s.Storage = jetstream.MemoryStorage
}

func kvStream(bucket string) string       { return "KV_" + bucket }
func kvSubject(bucket, key string) string { return "$KV." + bucket + "." + key }
func blobChunks(id string) string         { return "$O." + BucketBlobs + ".C." + id }
func blobMeta(id string) string           { return "$O." + BucketBlobs + ".M." + id }
