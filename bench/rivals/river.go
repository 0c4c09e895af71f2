package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

type job struct {
	ID string `json:"id"`
}

func (job) Kind() string { return "job" }

type jobWorker struct {
	river.WorkerDefaults[job]
	work func(id string)
}

func (w *jobWorker) Work(_ context.Context, j *river.Job[job]) error {
	w.work(j.Args.ID)
	return nil
}

type riverSubject struct {
	pool   *pgxpool.Pool
	client *river.Client[pgx.Tx]
}

func openRiver(durable bool) func(ctx context.Context, url string, work func(id string)) (subject, error) {
	return func(ctx context.Context, url string, work func(id string)) (subject, error) {
		cfg, err := pgxpool.ParseConfig(url)
		if err != nil {
			return nil, err
		}
		cfg.MaxConns = 50
		if !durable {
			cfg.ConnConfig.RuntimeParams["synchronous_commit"] = "off"
		}
		pool, err := pgxpool.NewWithConfig(ctx, cfg)
		if err != nil {
			return nil, err
		}
		driver := riverpgxv5.New(pool)
		migrator, err := rivermigrate.New(driver, nil)
		if err != nil {
			return nil, err
		}
		if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
			return nil, err
		}
		workers := river.NewWorkers()
		river.AddWorker(workers, &jobWorker{work: work})
		client, err := river.NewClient(driver, &river.Config{
			Queues: map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: concurrency}}, Workers: workers,
			FetchCooldown: time.Millisecond, Logger: slog.New(slog.DiscardHandler), // the fastest that it allows: its default of 100 ms would bound the no-op row
		})
		if err != nil {
			return nil, err
		}
		return &riverSubject{pool, client}, client.Start(ctx)
	}
}

func (s *riverSubject) submit(ctx context.Context, id string) error {
	_, err := s.client.Insert(ctx, job{ID: id}, nil)
	return err
}

func (s *riverSubject) settled(ctx context.Context, n int) error {
	for {
		var done int
		if err := s.pool.QueryRow(ctx, "SELECT count(*) FROM river_job WHERE state = 'completed'").Scan(&done); err != nil || done >= n {
			return err
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func (s *riverSubject) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	err := s.client.Stop(ctx)
	s.pool.Close()
	return err
}
