package main

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// envFirst makes this test's program the first process of a container, of the shell script that it holds.
const envFirst = "QUORATE_TEST_FIRST"

func init() {
	script := os.Getenv(envFirst)
	if script == "" {
		return
	}
	c := exec.Command("sh", "-c", script)
	c.Stdout = os.Stdout
	var code exitError
	switch err := asFirstProcess(c); {
	case err == nil:
		os.Exit(0)
	case errors.As(err, &code):
		os.Exit(int(code))
	default:
		os.Stderr.WriteString(err.Error())
		os.Exit(1)
	}
}

// As process 1 it collects orphans, passes signals on, and ends as what it runs does.
func TestFirstProcess(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("a process namespace needs root")
	}
	for _, c := range []struct {
		name, script string
		signal       syscall.Signal // when the script has said something
		code         int
	}{
		// A process that has ended and was not collected can still be signalled.
		{"orphans", `orphan=$(sh -c 'sleep 0.1 >/dev/null & echo $!'); n=0; while kill -0 $orphan; do sleep 0.1; n=$((n + 1)); [ $n -lt 100 ] || exit 1; done; exit 7`, 0, 7},
		{"signals", `trap 'exit 9' TERM; echo ready; while :; do sleep 0.1; done`, syscall.SIGTERM, 9},
		{"killed", `kill -9 $$`, 0, 1},
		{"done", `exit 0`, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), "/proc/self/exe")
			cmd.Env = append(os.Environ(), envFirst+"="+c.script)
			cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); errors.Is(err, syscall.EPERM) {
				t.Skip("this machine refuses new process namespaces")
			} else if err != nil {
				t.Fatal(err)
			}
			if c.signal != 0 && bufio.NewScanner(out).Scan() {
				_ = cmd.Process.Signal(c.signal)
			}
			_ = cmd.Wait()
			if code := cmd.ProcessState.ExitCode(); code != c.code {
				t.Errorf("it ended with %d, not %d", code, c.code)
			}
		})
	}
}
