//go:build bench

package main

import (
	"debug/buildinfo"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// calmLoad is the load average of the last minute above which other work is taken to be in the way.
const calmLoad = 1.5

// calm refuses a machine that does something else, unless it is allowed.
func calm(allowed bool) error {
	load, err := loadAverage()
	if err != nil || load <= calmLoad || allowed {
		return err
	}
	return fmt.Errorf("the load of this machine is %.1f, over %.1f: figures would be those of the other work; wait for it to end, or measure all the same with --busy",
		load, calmLoad)
}

func loadAverage() (float64, error) {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 0, err
	}
	first, _, _ := strings.Cut(string(text), " ")
	return strconv.ParseFloat(first, 64)
}

// head is what stands above a table: whoever doubts it must be able to repeat it.
type head struct {
	command, program, machine string
	begun                     time.Time
	loadBefore, loadAfter     float64
	long                      time.Duration
}

func describe(program string, args []string) *head {
	h := &head{
		command: "scripts/bench " + strings.Join(args, " "), program: builtFrom(program), begun: time.Now(),
		machine: fmt.Sprintf("%d cores, %s, Linux %s, %s", runtime.NumCPU(), processor(), firstLine("uname", "-r"), firstLine("postgres", "--version")),
	}
	h.loadBefore, _ = loadAverage()
	return h
}

// end notes what the machine was like at the end.
func (h *head) end() {
	h.loadAfter, _ = loadAverage()
	h.long = time.Since(h.begun)
}

func (h *head) String() string {
	text := fmt.Sprintf("- command: `%s`\n- program: %s\n- machine: %s\n- %s, %s long; load %.1f at the start, %.1f at the end\n",
		h.command, h.program, h.machine, h.begun.UTC().Format("2006-01-02 15:04 MST"), h.long.Round(time.Second), h.loadBefore, h.loadAfter)
	if h.loadBefore > calmLoad {
		text += "- **other work ran on the machine: figures are upper bounds, not results**\n"
	}
	return text
}

// builtFrom is the commit that the program itself says it was built from: as Go noted it, else in the version that it prints.
func builtFrom(program string) string {
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		return "unknown: " + err.Error()
	}
	commit, changed := "an unknown commit", ""
	if said := strings.Fields(firstLine(program, "version")); len(said) > 0 && said[len(said)-1] != "(devel)" {
		commit = said[len(said)-1]
	}
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision" && len(s.Value) >= 12:
			commit = "commit " + s.Value[:12]
		case s.Key == "vcs.modified" && s.Value == "true":
			changed = " with changes that are not committed"
		}
	}
	return commit + changed + ", " + info.GoVersion
}

func processor() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown processor"
	}
	for line := range strings.Lines(string(text)) {
		if name, ok := strings.CutPrefix(line, "model name"); ok {
			return strings.Trim(name, " \t:\n")
		}
	}
	return runtime.GOARCH
}

// firstLine of what a command prints; empty when it cannot run.
func firstLine(name string, args ...string) string {
	out, err := exec.Command(name, args...).Output()
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return line
}
