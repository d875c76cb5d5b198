package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"time"

	"quorate/internal/boottime"
	"quorate/proxy"
)

// routerProcess is the router with one backend, its primary. On the address inspect, unless that is empty, it tells what it holds.
func routerProcess(ctx context.Context, listen, backend, inspect string) error {
	r, err := proxy.New(proxy.Options{Listeners: []proxy.ListenerOptions{{Name: "primary", Listen: listen, Rule: proxy.Rule{Target: proxy.TargetPrimary}}}})
	if err != nil {
		return err
	}
	if err := r.Start(ctx); err != nil {
		return err
	}
	if inspect != "" {
		web := &http.Server{Addr: inspect, ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			runtime.GC() // what is left after it is held
			_, _ = fmt.Fprintln(w, len(r.Sessions()), runtime.NumGoroutine())
		})}
		go func() { _ = web.ListenAndServe() }()
		defer web.Close()
	}
	renew := time.NewTicker(500 * time.Millisecond) // as often as a node does
	defer renew.Stop()
	for ctx.Err() == nil {
		r.Publish(proxy.Table{
			Scope: "bench", Term: proxy.Term{Cluster: 1, Rev: 1}, ValidUntil: boottime.Now().Add(3 * time.Second),
			Backends: []proxy.Backend{{Name: "one", Addr: backend, Role: proxy.RolePrimary, Running: true}},
		})
		select {
		case <-renew.C:
		case <-ctx.Done():
		}
	}
	now, cancel := context.WithCancel(context.WithoutCancel(ctx))
	cancel()
	return r.Stop(now)
}

// backendProcess greets as PostgreSQL does and then does what the session's user name says: echo, or send without end.
func backendProcess(ctx context.Context, listen string) error {
	ln, err := quiet.Listen(ctx, "tcp", listen)
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { _ = ln.Close() })()
	for {
		c, err := ln.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("accept: %w", err)
		}
		go serveBare(c)
	}
}

func serveBare(c net.Conn) {
	defer c.Close()
	var head [4]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return
	}
	body := make([]byte, min(binary.BigEndian.Uint32(head[:]), 10000)-4)
	if _, err := io.ReadFull(c, body); err != nil {
		return
	}
	if _, err := c.Write(greeting); err != nil {
		return
	}
	if strings.Contains(string(body), userSend) {
		for p := make([]byte, 256<<10); ; {
			if _, err := c.Write(p); err != nil {
				return
			}
		}
	}
	// By way of a buffer: io.Copy between sockets splices, and would hold a pipe for each idle session, two descriptors more.
	_, _ = io.CopyBuffer(struct{ io.Writer }{c}, struct{ io.Reader }{c}, make([]byte, 4<<10))
}
