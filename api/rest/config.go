package rest

import (
	"context"
	"fmt"
	"net/http"
	"reflect"
	"time"

	"quorate/internal/config/dynamic"
	"quorate/pgctl/postgres"
	"quorate/raftstore/dcs"
)

// patchConfig merges a change into the shared configuration.
func (s *Server) patchConfig(w http.ResponseWriter, r *http.Request) {
	s.configAnswer(w, r, s.mergeConfig, s.page)
}

// putConfig replaces the shared configuration, whatever it was.
func (s *Server) putConfig(w http.ResponseWriter, r *http.Request) {
	s.configAnswer(w, r, s.replaceConfig, s.page)
}

// configAnswer reads the body, changes the configuration and answers with the new one; fail tells an error in the form of the
// API that was asked.
func (s *Server) configAnswer(w http.ResponseWriter, r *http.Request,
	change func(context.Context, map[string]any) (map[string]any, *answer), fail func(http.ResponseWriter, int, string),
) {
	body, bad := s.readObject(w, r, maxConfigBody, false)
	var config map[string]any
	if bad == nil {
		config, bad = change(r.Context(), body)
	}
	if bad != nil {
		fail(w, bad.code, bad.text)
		return
	}
	for _, warning := range s.warnings(config) {
		w.Header().Add("X-Quorate-Warning", headerText(warning))
	}
	s.json(w, http.StatusOK, config)
}

// warnings name what of a configuration is used otherwise than it is written. What PostgreSQL itself refuses is told by each member's log.
func (s *Server) warnings(config map[string]any) []string {
	var out []string
	parsed, corrections := dynamic.Parse(config, s.opt.Profile)
	for _, c := range corrections {
		out = append(out, c.String())
	}
	v := postgres.Version(s.opt.Backend.Status().Postgres.ServerVersion)
	if v == 0 {
		return out // of which version PostgreSQL will be is not known yet
	}
	_, parameters := postgres.Effective(parsed.PostgreSQL.Parameters, v)
	for _, c := range parameters {
		out = append(out, "postgresql.parameters."+c.String())
	}
	return out
}

// mergeConfig writes only if nobody else changed the configuration meanwhile, and not at all when the change makes no difference.
func (s *Server) mergeConfig(ctx context.Context, patch map[string]any) (map[string]any, *answer) {
	c, bad := s.readForWrite(ctx)
	for until := time.Now().Add(foundingWait); bad == nil && founding(c) && time.Now().Before(until) && ctx.Err() == nil; c, bad = s.readForWrite(ctx) {
		select {
		case <-ctx.Done():
		case <-time.After(readAgain):
		}
	}
	if bad != nil {
		return nil, bad
	}
	if c.ConfigRev == 0 {
		return nil, &answer{http.StatusServiceUnavailable, "The cluster has no configuration that could be changed; PUT one."}
	}
	now, err := dynamic.Decode(c.Config)
	if err != nil {
		return nil, &answer{http.StatusServiceUnavailable, "The configuration in the store cannot be read; PUT another one: " + err.Error()}
	}
	merged, changed := dynamic.Patch(now, patch)
	if changed {
		if bad := s.commitConfig(ctx, merged, http.StatusConflict, dcs.Unchanged(s.opt.Keys.Config(), c.ConfigRev)); bad != nil {
			return nil, bad
		}
	}
	s.opt.Backend.Wake()
	return merged, nil
}

// foundingWait bounds how long a change waits for the configuration of a cluster that is being made.
const foundingWait = 10 * time.Second

// founding says whether a cluster has a leader and no configuration yet. Patroni takes the leader key last, here it stands first, because PostgreSQL
// opens under its term only; who waits for a leader and changes a setting then must not have to know of it.
func founding(c *dcs.Cluster) bool { return c.ConfigRev == 0 && c.Initialize == "" && c.Leader != nil }

func (s *Server) replaceConfig(ctx context.Context, next map[string]any) (map[string]any, *answer) {
	c, bad := s.readForWrite(ctx)
	if bad != nil {
		return nil, bad
	}
	if now, err := dynamic.Decode(c.Config); err == nil && reflect.DeepEqual(now, next) {
		return next, nil
	}
	if bad := s.commitConfig(ctx, next, http.StatusBadGateway); bad != nil {
		return nil, bad
	}
	s.opt.Backend.Wake()
	return next, nil
}

// commitConfig writes the configuration. lost is the code for a compare that did not hold.
func (s *Server) commitConfig(ctx context.Context, next map[string]any, lost int, conditions ...dcs.Compare) *answer {
	value, err := dynamic.Encode(next)
	if err != nil {
		return &answer{http.StatusBadRequest, err.Error()}
	}
	done, err := s.commit(ctx, dcs.Txn{If: conditions, Then: []dcs.Op{dcs.Put(s.opt.Keys.Config(), string(value), 0)}})
	switch {
	case err != nil:
		return &answer{http.StatusBadGateway,
			"The store did not confirm the write; read the configuration to see whether it was made: " + err.Error()}
	case !done:
		return &answer{lost, "The configuration was changed by somebody else meanwhile; read it and try again."}
	}
	return nil
}

// headerText makes text fit into a header: one line of printable ASCII.
func headerText(text string) string {
	b := []byte(text)
	for i, c := range b {
		if c < ' ' || c > '~' {
			b[i] = '?'
		}
	}
	return string(b)
}

// readAgain is the pause between two attempts to read the store. An election of its leader takes a fraction of a second, and nobody who asks
// for a change should have to know of it.
const readAgain = 50 * time.Millisecond

// readForWrite reads the cluster for a change: a cached view will not do.
func (s *Server) readForWrite(ctx context.Context) (*dcs.Cluster, *answer) {
	ctx, cancel := context.WithTimeout(ctx, s.opt.ReadTimeout)
	defer cancel()
	c, err := s.opt.Backend.ReadCluster(ctx)
	for err != nil {
		select {
		case <-ctx.Done():
			return nil, &answer{http.StatusServiceUnavailable, fmt.Sprintf("DCS is not accessible: %v", err)}
		case <-time.After(readAgain):
		}
		var again error
		if c, again = s.opt.Backend.ReadCluster(ctx); again == nil || ctx.Err() == nil {
			err = again // else the reason stays: that the time is over is known
		}
	}
	return c, nil
}

// commit writes in bounded time, whether or not the client stays.
func (s *Server) commit(ctx context.Context, txn dcs.Txn) (bool, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.opt.WriteTimeout)
	defer cancel()
	done, err := s.opt.Backend.Commit(ctx, txn)
	if err != nil {
		s.opt.Logger.Warn("write to the store not confirmed", "error", err)
	}
	return done, err
}
