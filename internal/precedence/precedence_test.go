package precedence

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// What is tried changes the whole process, and so runs in one of its own.
const (
	asChild = "PRECEDENCE_TEST"
	nobody  = 65534
)

func TestMain(m *testing.M) {
	switch os.Getenv(asChild) {
	case "raised":
		raised()
	case "refused":
		refused()
	default:
		os.Exit(m.Run())
	}
}

func levels(pid int) string {
	tasks, _ := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/[0-9]*")
	seen := map[string]bool{}
	var out []string
	for _, t := range tasks {
		tid, _ := strconv.Atoi(filepath.Base(t))
		if n, err := nice(tid); err == nil && !seen[strconv.Itoa(n)] {
			seen[strconv.Itoa(n)] = true
			out = append(out, strconv.Itoa(n))
		}
	}
	return strings.Join(out, " ")
}

func raised() {
	if err := Raise(); err != nil {
		fail(err.Error())
	}
	if got := levels(os.Getpid()); got != "-10" {
		fail("the threads' levels are " + got)
	}
	if group, err := os.ReadFile("/proc/self/autogroup"); err == nil && !strings.HasSuffix(strings.TrimSpace(string(group)), "nice -10") {
		fail("the session's is " + string(group))
	}
	child := exec.Command("sleep", "60")
	child.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	if err := child.Start(); err != nil {
		fail(err.Error())
	}
	defer child.Process.Kill() //nolint:errcheck // it ends by itself as well
	if got := levels(child.Process.Pid); got != "-10" {
		fail("a child does not inherit it, so that the rest says nothing: " + got)
	}
	if Ordinary(child.Process.Pid); levels(child.Process.Pid) != "0" {
		fail("the child's level is " + levels(child.Process.Pid))
	}
}

func refused() {
	if err := Raise(); err == nil {
		fail("it was allowed")
	}
	if got := levels(os.Getpid()); got != "0" {
		fail("the threads' levels are " + got)
	}
}

func fail(why string) {
	os.Stderr.WriteString(why + "\n")
	os.Exit(1)
}

func TestRaise(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("it needs root")
	}
	if n, _ := nice(0); n != ordinary {
		t.Skip("the tests run at a level of their own")
	}
	for _, c := range []struct {
		name string
		attr *syscall.SysProcAttr
		nice int // the limit, as RLIMIT_NICE counts it; -1 for none
	}{
		{"raised", &syscall.SysProcAttr{Setsid: true}, -1},
		{"refused", &syscall.SysProcAttr{Setsid: true, Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}, -1},
		{"raised", &syscall.SysProcAttr{Setsid: true, Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}, 20 - Level},
	} {
		if c.nice >= 0 {
			was := unix.Rlimit{}
			if err := unix.Prlimit(0, unix.RLIMIT_NICE, &unix.Rlimit{Cur: uint64(c.nice), Max: 40}, &was); err != nil {
				t.Logf("%s with a limit of %d is not tried: this root may not set limits: %v", c.name, c.nice, err)
				continue
			}
			defer unix.Prlimit(0, unix.RLIMIT_NICE, &was, nil) //nolint:errcheck // the test's own process
		}
		cmd := exec.Command("/proc/self/exe") // by any user: the go tool's folders may be closed to others
		cmd.Env, cmd.SysProcAttr, cmd.Dir = append(os.Environ(), asChild+"="+c.name), c.attr, "/"
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s with a limit of %d: %v: %s", c.name, c.nice, err, out)
		}
	}
}
