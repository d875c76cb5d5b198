package main

import (
	"context"
	"fmt"
	"os"

	"quorate/test/lab"
	"quorate/test/lab/patronistack"
	"quorate/test/lab/quoratestack"
	"quorate/test/rig"
)

// bench is a cluster under measurement.
type bench struct {
	rig.Breakable
	lab    *lab.Lab
	hosts  []*lab.Host
	client *lab.Host // with the router, and nothing else but the clients
	bin    string    // folder of the built program; removed at the end
	ours   bool      // it has a fence and a store that can be asked

	synchronous bool
}

type benchOptions struct {
	stack       string
	synchronous bool
	logs        string
}

// largeWAL lets a gigabyte of WAL gather without a checkpoint; it changes nothing for the other faults.
var largeWAL = map[string]string{"max_wal_size": "8GB", "checkpoint_timeout": "1h"}

// diskMB holds the database and the WAL of the largest fault.
const diskMB = 6000

func newBench(ctx context.Context, o benchOptions) (*bench, error) {
	if err := lab.Available(); err != nil {
		return nil, err
	}
	l, err := lab.New(lab.Options{Logs: o.logs})
	if err != nil {
		return nil, err
	}
	b := &bench{lab: l, synchronous: o.synchronous}
	if err := b.start(ctx, o); err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

func (b *bench) start(ctx context.Context, o benchOptions) error {
	for _, name := range []string{"pg1", "pg2", "pg3", "app"} {
		h, err := b.lab.AddHost(name)
		if err != nil {
			return err
		}
		b.hosts = append(b.hosts, h)
	}
	b.hosts, b.client = b.hosts[:3], b.hosts[3]
	switch o.stack {
	case "patroni":
		return b.startPatroni(ctx, o)
	case "quorate":
		return b.startQuorate(ctx, o)
	}
	return fmt.Errorf("no stack is named %q; quorate and patroni are", o.stack)
}

func (b *bench) startPatroni(ctx context.Context, o benchOptions) error {
	if err := patronistack.Available(); err != nil {
		return err
	}
	s, err := patronistack.Start(ctx, patronistack.Options{
		Hosts: b.hosts, Router: b.client, Synchronous: o.synchronous, DiskMB: diskMB, Parameters: largeWAL,
	})
	b.Breakable = s
	return err
}

func (b *bench) startQuorate(ctx context.Context, o benchOptions) error {
	dir, err := os.MkdirTemp("", "qbench")
	if err != nil {
		return err
	}
	b.bin = dir
	program, err := quoratestack.Build(ctx, dir, "-trimpath", "-ldflags=-s -w")
	if err != nil {
		return err
	}
	s, err := quoratestack.Start(ctx, quoratestack.Options{
		Binary: program, Hosts: b.hosts, Router: b.client, Synchronous: o.synchronous, DiskMB: diskMB, Parameters: largeWAL,
	})
	b.Breakable, b.ours = s, true
	return err
}

func (b *bench) close() error {
	err := b.lab.Close()
	if b.bin != "" {
		_ = os.RemoveAll(b.bin)
	}
	return err
}
