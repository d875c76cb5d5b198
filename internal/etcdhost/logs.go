package etcdhost

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Log is where the log goes and how its lines look.
type Log struct {
	Level string // as package logging has them
	// Console writes lines for people; else they are JSON, as etcd 3.5 writes them.
	Console bool
	Stdout  bool   // in place of standard error
	File    string // in place of both
	MaxSize int64  // bytes of one file before the next is begun; 0: no bound
	Keep    int    // how many old files stay
}

// logLevels are etcd's levels and ours.
var logLevels = map[string]string{
	"debug": "DEBUG", "info": "INFO", "warn": "WARNING", "error": "ERROR", "dpanic": "CRITICAL", "panic": "CRITICAL", "fatal": "CRITICAL",
}

func (v *values) logs(c *Config) error {
	debug, rotate := false, false
	if err := errors.Join(v.boolean("debug", &debug), v.boolean("enable-log-rotation", &rotate)); err != nil {
		return err
	}
	level := v.get("log-level")
	if debug {
		level = "debug"
	}
	c.Log.Level = logLevels[strings.ToLower(level)]
	if c.Log.Level == "" {
		return fmt.Errorf("--log-level is %q, expected debug, info, warn, error, panic or fatal", level)
	}
	switch form := v.get("log-format"); form {
	case "json":
		c.Log.Console = v.get("logger") == "capnslog" // etcd 3.4's older logger, which had lines for people only
	case "console", "text":
		c.Log.Console = true
	default:
		return fmt.Errorf("--log-format is %q, expected json or console", form)
	}
	if l := v.get("logger"); l != "zap" && l != "capnslog" {
		return fmt.Errorf("--logger is %q, expected zap or capnslog", l)
	}
	return errors.Join(v.logOutputs(c), v.logRotation(c, rotate))
}

// logOutputs takes one place: etcd's list may name several.
func (v *values) logOutputs(c *Config) error {
	name := "log-outputs"
	if !v.has(name) && v.has("log-output") {
		name = "log-output"
	}
	var places []string
	for s := range strings.SplitSeq(v.get(name), ",") {
		if s = strings.TrimSpace(s); s != "" {
			places = append(places, s)
		}
	}
	if len(places) > 1 {
		v.warn("--%s: only the first is used, %s", name, places[0])
	}
	if len(places) == 0 {
		return nil
	}
	switch place := places[0]; place {
	case "default", "stderr", "systemd/journal":
	case "stdout":
		c.Log.Stdout = true
	default:
		c.Log.File = place
	}
	return nil
}

// logRotation reads the settings of etcd's rotation: maxsize in MB (100), maxbackups (0: all stay).
func (v *values) logRotation(c *Config, on bool) error {
	if !on {
		return nil
	}
	if c.Log.File == "" {
		return errors.New("--enable-log-rotation requires a single file path in --log-outputs")
	}
	r := struct{ MaxSize, MaxBackups int }{100, 0}
	if s := v.get("log-rotation-config-json"); s != "" {
		if err := json.Unmarshal([]byte(s), &r); err != nil {
			return fmt.Errorf("--log-rotation-config-json: %w", err)
		}
	}
	if r.MaxSize <= 0 {
		r.MaxSize = 100
	}
	if r.MaxBackups <= 0 {
		r.MaxBackups = 1000
	}
	c.Log.MaxSize, c.Log.Keep = int64(r.MaxSize)<<20, r.MaxBackups
	return nil
}
