package nats

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/toolboxai/orchestrator/internal/fault"
)

// Generations names, for each tenant, the generation of what all processes keep in their caches. The name is part of what an entry is
// found by: once the next generation has begun, nobody finds what is of an earlier one, not even a process that was away meanwhile, for
// each one asks the broker at each use. What is kept under an earlier name goes with its age.
//
// Names do not repeat, also when the broker has lost its buckets. A tenant has one document of less than 100 bytes, for ever. It is safe for
// concurrent use and has nothing to close.
type Generations struct{ docs *Documents[generation] }

type generation struct {
	Name string `json:"name"`
}

// NewGenerations returns the generations on the broker that js speaks to. It sends nothing yet.
func NewGenerations(js jetstream.JetStream) (*Generations, error) {
	docs, err := NewDocuments[generation](js, BucketCaches, nil)
	if err != nil {
		return nil, err
	}
	return &Generations{docs}, nil
}

// Current returns the name of a tenant's present generation, and begins one where there is none. It sees every Next that returned before
// the call. Errors are Unavailable and Timeout, and Invalid for what is no tenant.
func (g *Generations) Current(ctx context.Context, tenant string) (string, error) {
	found, _, err := g.docs.Get(ctx, tenant)
	if !fault.Is(err, fault.NotFound) {
		return found.Name, err
	}
	begun := generation{uuid.NewString()}
	_, err = g.docs.Put(ctx, tenant, begun, 0)
	if !fault.Is(err, fault.Conflict) {
		return begun.Name, err
	}
	found, _, err = g.docs.Get(ctx, tenant) // another process has begun it at the same time
	return found.Name, err
}

// Next ends a tenant's present generation.
func (g *Generations) Next(ctx context.Context, tenant string) error {
	if err := checkKey(tenant); err != nil {
		return err
	}
	_, err := g.docs.overwrite(ctx, tenant, generation{uuid.NewString()})
	return err
}

// Begun returns when a tenant's present generation began, or NotFound where nothing was ever kept.
func (g *Generations) Begun(ctx context.Context, tenant string) (time.Time, error) {
	doc, err := g.docs.get(ctx, tenant)
	return doc.At, err
}
