// Package channelstest holds the contract of channels.Bus as a suite that every implementation passes.
package channelstest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/internal/channels"
	"github.com/toolboxai/orchestrator/internal/fault"
)

// patience is how long anything may take that should happen at once.
const patience = 20 * time.Second

// Setup says how to get the buses of one app.
type Setup struct {
	Join     func(t *testing.T) channels.Bus // one more process
	Away     func(t *testing.T) channels.Bus // one whose broker is away; nil where there is no such thing
	Overflow int                             // so many messages of 1 KiB are more than wait for a listener

	// Loose says that the buses are on several nodes, which put what comes over one of them in order and nothing more: a publisher that
	// begins when another one's Publish has returned may overtake that one.
	Loose bool
}

// RunBus holds the buses of one app against the contract. make is called once for each part.
func RunBus(t *testing.T, make func(t *testing.T) Setup) {
	for name, part := range map[string]func(*testing.T, Setup){
		"EveryoneReceivesInThePublishersOrder": inOrder,
		"WhatReturnedFirstComesFirst":          oneAfterTheOther,
		"ConcurrentPublishersKeepTheirOrder":   concurrently,
		"SaysWhereItLostSomething":             overflow,
		"ListensUntilTheContextEnds":           ends,
		"KeepsValuesForAWhile":                 cache,
		"SaysThatTheBrokerIsAway":              away,
	} {
		t.Run(name, func(t *testing.T) { part(t, make(t)) })
	}
}

func inOrder(t *testing.T, s Setup) {
	buses, listeners := processes(t, s, 3)
	for i := range uint64(500) {
		Publish(t, buses[0], 0, i)
	}
	for _, l := range listeners {
		l.expect(t, 500, 0)
	}
}

func oneAfterTheOther(t *testing.T, s Setup) {
	buses, listeners := processes(t, s, 3)
	const n = 600
	if s.Loose {
		for i := range uint64(n) {
			Publish(t, buses[i%3], i%3, i/3)
		}
		for _, l := range listeners {
			for p := range uint64(3) {
				l.expect(t, n/3, p)
			}
		}
		return
	}
	for i := range uint64(n) {
		Publish(t, buses[i%3], 0, i) // as if it were one publisher
	}
	for _, l := range listeners {
		l.expect(t, n, 0)
	}
}

func concurrently(t *testing.T, s Setup) {
	buses, listeners := processes(t, s, 3)
	var group sync.WaitGroup
	for p := range uint64(12) {
		group.Go(func() {
			for i := range uint64(100) {
				if err := buses[p%3].Publish(t.Context(), Message(p, i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	for _, l := range listeners {
		for p := range uint64(12) {
			l.expect(t, 100, p)
		}
	}
}

// overflow blocks one listener until it must have lost something. It is told where; others lose nothing, and it goes on.
func overflow(t *testing.T, s Setup) {
	buses, listeners := processes(t, s, 2)
	slow := listeners[0]
	release := slow.block()
	for i := range uint64(s.Overflow) {
		Publish(t, buses[1], 0, i)
	}
	release()
	slow.until(t, "it is told of its loss", func() bool { return slow.losses > 0 })
	for i := range uint64(100) {
		Publish(t, buses[1], 0, uint64(s.Overflow)+i)
	}
	last := uint64(s.Overflow) + 99
	slow.until(t, "it has the last message", func() bool { return slow.last(0) == last })
	if err := slow.Check(); err != nil {
		t.Error(err)
	}
	if got := slow.count(0); got >= s.Overflow+100 {
		t.Errorf("the blocked listener has all %d messages: nothing overflowed", got)
	}
}

func ends(t *testing.T, s Setup) {
	bus := s.Join(t)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- bus.Listen(ctx, func([]byte) {}, func() {}) }()
	cancel()
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("listening ended with %v", err)
		}
	case <-time.After(patience):
		t.Error("it goes on listening")
	}
	if err := bus.Publish(ctx, Message(0, 0)); !errors.Is(err, context.Canceled) {
		t.Errorf("published for a caller who is gone: %v", err)
	}
}

func cache(t *testing.T, s Setup) {
	here, there := s.Join(t), s.Join(t)
	const key = "private-cache-a_b=c@d,e.f;g"
	get := func(key string) string {
		value, err := there.Get(t.Context(), key)
		if fault.Is(err, fault.NotFound) {
			return "none"
		}
		if err != nil {
			t.Fatal(err)
		}
		return string(value)
	}
	put := func(key, value string, ttl time.Duration) {
		if err := here.Put(t.Context(), key, []byte(value), ttl); err != nil {
			t.Fatal(err)
		}
	}
	if got := get(key); got != "none" {
		t.Errorf("read %q where nothing was put", got)
	}
	for i := range 50 {
		value := fmt.Sprint("v", i)
		put(key, value, time.Minute)
		if got := get(key); got != value {
			t.Errorf("read %q, want %q", got, value)
		}
	}
	put("cache-other", strings.Repeat("x", 16<<10), time.Minute)
	put("cache-brief", "soon gone", time.Second)
	if got := get("cache-brief"); got != "soon gone" {
		t.Errorf("read %q of a second's life", got)
	}
	poll(t, "the value has expired", func() bool { return get("cache-brief") == "none" })
	if get(key) != "v49" || len(get("cache-other")) != 16<<10 {
		t.Error("one value's end took others with it")
	}
}

func away(t *testing.T, s Setup) {
	if s.Away == nil {
		return
	}
	bus := s.Away(t)
	for name, call := range map[string]func() error{
		"publish": func() error { return bus.Publish(t.Context(), Message(0, 0)) },
		"put":     func() error { return bus.Put(t.Context(), "cache-a", []byte("v"), time.Minute) },
		"get":     func() error { _, err := bus.Get(t.Context(), "cache-a"); return err },
	} {
		began := time.Now()
		if err := call(); !fault.Is(err, fault.Unavailable) || time.Since(began) > 5*time.Second {
			t.Errorf("%s: %v after %s, want Unavailable within 5 s", name, err, time.Since(began))
		}
	}
}

// Publish sends number i of a publisher and fails the test when it cannot.
func Publish(t *testing.T, bus channels.Bus, publisher, i uint64) {
	t.Helper()
	if err := bus.Publish(t.Context(), Message(publisher, i)); err != nil {
		t.Fatal(err)
	}
}

// Message returns what number i of a publisher looks like, in 1 KiB.
func Message(publisher, i uint64) []byte {
	data := make([]byte, 1<<10)
	binary.BigEndian.PutUint64(data, publisher)
	binary.BigEndian.PutUint64(data[8:], i)
	return data
}

func poll(t *testing.T, what string, ok func() bool) {
	t.Helper()
	limit := time.After(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("waited %s in vain until %s", patience, what)
		}
	}
}
