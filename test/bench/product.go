//go:build bench

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"quorate/test/lab"
	"quorate/test/lab/patronistack"
	"quorate/test/lab/quoratestack"
	"quorate/test/rig"
)

// product is something that keeps PostgreSQL available.
type product struct {
	name  string
	start func(context.Context, kind, []*lab.Host, *lab.Host) (rig.Breakable, error)
	// watch is how long after a fault that need not interrupt anything an interruption may still begin: the time until a lease ends, and some more.
	watch time.Duration
	// patience bounds each part of a run: the preparation, the outage, the way back to a healthy cluster. A sound cluster never comes near it.
	patience time.Duration
}

// kind is what a fault needs of its cluster.
type kind struct {
	synchronous bool
	disk        bool // a file system of its own under each database, and room for much WAL in it
}

func (k kind) String() string {
	name := "async"
	if k.synchronous {
		name = "sync"
	}
	if k.disk {
		name += "-disk"
	}
	return name
}

// diskMB holds the database and the WAL of the largest fault.
const diskMB = 6000

// disk is the size of a database's own file system, and PostgreSQL's settings that let a gigabyte of WAL gather without a checkpoint.
func (k kind) ownDisk() (megabytes int, parameters map[string]string) {
	if !k.disk {
		return 0, nil
	}
	return diskMB, map[string]string{"max_wal_size": "8GB", "checkpoint_timeout": "1h"}
}

func quorate(binary string) product {
	return product{
		name: "Quorate", watch: 5 * time.Second, patience: 2 * time.Minute,
		start: func(ctx context.Context, k kind, hosts []*lab.Host, client *lab.Host) (rig.Breakable, error) {
			megabytes, parameters := k.ownDisk()
			return quoratestack.Start(ctx, quoratestack.Options{
				Binary: binary, Hosts: hosts, Router: client, Synchronous: k.synchronous, DiskMB: megabytes, Parameters: parameters,
			})
		},
	}
}

func patroni() product {
	return product{
		name: "Patroni", watch: 40 * time.Second, patience: 3 * time.Minute,
		start: func(ctx context.Context, k kind, hosts []*lab.Host, client *lab.Host) (rig.Breakable, error) {
			megabytes, parameters := k.ownDisk()
			return patronistack.Start(ctx, patronistack.Options{
				Hosts: hosts, Router: client, Synchronous: k.synchronous, DiskMB: megabytes, Parameters: parameters,
			})
		},
	}
}

// programName is what the lab looks for when it strikes an agent or a fence.
const programName = "quorate"

// products builds ours if need be and names the peer. The returned path is the program that is measured; done removes what was built.
func products(ctx context.Context, o options) (all []product, program string, done func(), err error) {
	done = func() {}
	program = o.binary
	if program == "" {
		dir, err := os.MkdirTemp("", "quorate-bench")
		if err != nil {
			return nil, "", done, err
		}
		done = func() { _ = os.RemoveAll(dir) }
		if program, err = quoratestack.Build(ctx, dir, "-buildvcs=auto", "-trimpath", "-ldflags=-s -w"); err != nil {
			return nil, "", done, err
		}
	}
	if program, err = filepath.Abs(program); err != nil {
		return nil, "", done, err
	}
	if filepath.Base(program) != programName { // by which faults find its processes
		return nil, "", done, fmt.Errorf("%s: the program must be named %s", program, programName)
	}
	all = []product{quorate(program)}
	switch o.peer {
	case "":
	case "patroni":
		all = append(all, patroni())
		err = patronistack.Available()
	default:
		err = fmt.Errorf("no peer is named %q; patroni is", o.peer)
	}
	return all, program, done, errors.Join(err, lab.Available())
}
