package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"quorate": main, "patronictl": main, "patroni": main, "etcd": main})
}

// TestScripts runs the command lines of testdata against a cluster of their own (lab): $PG1, $PG2, $PG3 are its members, $STORE is its store,
// and cluster.yml is how to reach it; stranger.yml has a wrong password. The command shutout leaves only the store to ask.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       os.Getenv("UPDATE_SCRIPTS") != "",
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			// shutout ends the API of all members; what they do by the store's keys goes on.
			"shutout": func(ts *testscript.TestScript, _ bool, _ []string) { ts.Value("lab").(*lab).shutOut() },
		},
		Setup: func(e *testscript.Env) error {
			l, err := newLab(e.Getenv("TMPDIR"))
			e.Defer(l.stop)
			if err != nil {
				return err
			}
			for i, n := range l.nodes {
				e.Setenv(fmt.Sprintf("PG%d", i+1), n.url)
			}
			e.Values["lab"] = l
			e.Setenv("STORE", l.url)
			e.Setenv("STORE_DCS", "etcd3"+strings.TrimPrefix(l.url, "http"))
			e.Setenv("HOME", e.WorkDir)
			e.Setenv("PATRONICTL_CONFIG_FILE", filepath.Join(e.WorkDir, "cluster.yml"))
			stranger := strings.ReplaceAll(labConfig(l), "hush", "wrong")
			if err := os.WriteFile(filepath.Join(e.WorkDir, "stranger.yml"), []byte(stranger), 0o600); err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(e.WorkDir, "cluster.yml"), []byte(labConfig(l)), 0o600)
		},
	})
}

// labConfig names one member and the store.
func labConfig(l *lab) string {
	return fmt.Sprintf("scope: demo\nrestapi: {listen: %[1]q, connect_address: %[1]q}\netcd3: {url: %[2]q}\nctl: {authentication: {username: admin, password: hush}}\n",
		l.nodes[1].url[len("http://"):], l.url)
}
