package main

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A command that is watched repeats itself at its interval until it is interrupted, and goes on when the cluster does not answer for a
// moment; only its first failure ends it.
func TestRepeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var errs bytes.Buffer
		a := &app{stdio: stdio{out: new(bytes.Buffer), err: &errs}}
		ctx, cancel := context.WithCancel(t.Context())
		began := time.Now()
		var at []time.Duration
		err := a.repeat(ctx, watchOptions{every2: true}, true, func() error {
			at = append(at, time.Since(began))
			switch len(at) {
			case 2:
				return errors.New("failover")
			case 4:
				cancel()
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		for i, d := range at {
			if want := time.Duration(i) * 2 * time.Second; d != want {
				t.Errorf("time %d at %v, want %v", i+1, d, want)
			}
		}
		if len(at) != 4 || strings.Count(errs.String(), "Error: failover") != 1 {
			t.Errorf("%d times, %q", len(at), errs.String())
		}
	})
}

func TestRepeatFailsTheFirstTime(t *testing.T) {
	a := &app{}
	times := 0
	failure := errors.New("no such cluster")
	err := a.repeat(t.Context(), watchOptions{every: 0.01}, false, func() error { times++; return failure })
	if !errors.Is(err, failure) || times != 1 {
		t.Errorf("%v after %d times", err, times)
	}
}

func TestInterval(t *testing.T) {
	for _, c := range []struct {
		w    watchOptions
		want time.Duration
	}{
		{watchOptions{}, 0},
		{watchOptions{every2: true}, 2 * time.Second},
		{watchOptions{every: 0.5}, 500 * time.Millisecond},
		{watchOptions{every: 5, every2: true}, 5 * time.Second},
	} {
		if got := c.w.interval(); got != c.want {
			t.Errorf("%+v: %v", c.w, got)
		}
	}
}
