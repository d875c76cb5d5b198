package doctor

import (
	"fmt"
	"strings"
	"time"
)

var limitRules = []Rule{
	{"limits", "memory locks, descriptors, tasks and memory of our processes", hasProcesses, checkLimits},
	{"oom", "the kernel ends something else first when memory is short", hasProcesses, checkOOM},
	{"cpu", "agent and fence go before the database when the CPU is short", hasProcesses, checkNice},
}

func hasProcesses(f *Facts) bool { return len(f.Processes) > 0 }

const (
	wantedLock  = 64 << 20 // of the store's files that are kept in memory
	wantedFiles = 4096
)

func checkLimits(f *Facts) (out []Finding) {
	for _, p := range f.Processes {
		where := fmt.Sprintf("%s (process %d)", p.Kind, p.PID)
		if p.Kind == "fence" && !p.Root && p.MemLock != NoLimit {
			out = append(out, warning(where, "it may not lock all of its memory ("+size(p.MemLock)+"): a hung disk can delay the fence", "LimitMEMLOCK=infinity in the service"))
		}
		if p.Kind == "agent" && f.Roles.Store && !p.Root && p.MemLock < wantedLock {
			out = append(out, warning(where, "it may lock "+size(p.MemLock)+" in memory: the store's files are read from a disk that may hang", "LimitMEMLOCK=infinity in the service"))
		}
		if p.Kind == "agent" && p.NoFile < wantedFiles {
			out = append(out, warning(where, fmt.Sprintf("it may open %d files: a router session takes two", p.NoFile), "LimitNOFILE=1048576 in the service"))
		}
		if p.PidsMax != NoLimit && p.PidsNow*10 > p.PidsMax*8 {
			out = append(out, danger(where, fmt.Sprintf("its control group has %d of at most %d tasks: PostgreSQL cannot fork any more backends soon", p.PidsNow, p.PidsMax), "TasksMax=infinity in the service"))
		}
		if p.MemoryMax != NoLimit && p.MemoryNow*10 > p.MemoryMax*9 {
			out = append(out, warning(where, fmt.Sprintf("its control group uses %s of at most %s", size(p.MemoryNow), size(p.MemoryMax)), "raise MemoryMax=, or lower shared_buffers and work_mem"))
		}
	}
	return out
}

func checkOOM(f *Facts) []Finding {
	var first []string
	for _, p := range f.Processes {
		if p.OOMScore > -500 {
			first = append(first, fmt.Sprintf("%s (process %d): %d", p.Kind, p.PID, p.OOMScore))
		}
	}
	if len(first) == 0 {
		return nil
	}
	sortText(first)
	return []Finding{note("oom_score_adj", "when memory is short the kernel may end these first: "+strings.Join(first, ", "), "OOMScoreAdjust=-900 in the service")}
}

func checkNice(f *Facts) []Finding {
	var late []string
	for _, p := range f.Processes {
		if p.Nice >= 0 && p.Kind != "postmaster" {
			late = append(late, fmt.Sprintf("%s (process %d): %d", p.Kind, p.PID, p.Nice))
		}
	}
	if len(late) == 0 {
		return nil
	}
	sortText(late)
	return []Finding{note("nice", "when the CPU is short these wait behind the database's backends, and a lease may end: "+strings.Join(late, ", "), "LimitNICE=-10 in the service")}
}

const (
	certDanger = 3 * 24 * time.Hour
	certWarn   = 14 * 24 * time.Hour
)

var certificateRules = []Rule{
	{"certificates", "certificates are valid, fit their keys, their authority and this host's address", func(f *Facts) bool { return len(f.Files) > 0 }, checkCertificates},
}

func checkCertificates(f *Facts) (out []Finding) {
	for _, c := range f.Files {
		where := c.Key + " (" + c.Path + ")"
		if c.Err != "" {
			out = append(out, danger(where, c.Err, "put a certificate and its key in place"))
			continue
		}
		left := c.NotAfter.Sub(f.Now)
		switch {
		case left <= 0:
			out = append(out, danger(where, "it expired on "+day(c.NotAfter), "renew it; quorate reload takes it up without a restart"))
		case left < certDanger:
			out = append(out, danger(where, "it expires on "+day(c.NotAfter), "renew it; quorate reload takes it up without a restart"))
		case left < certWarn:
			out = append(out, warning(where, "it expires on "+day(c.NotAfter), "renew it; quorate reload takes it up without a restart"))
		case c.NotBefore.After(f.Now):
			out = append(out, danger(where, "it is valid from "+day(c.NotBefore)+" on only", "look at the clock, or wait"))
		}
		if c.ChainErr != "" {
			out = append(out, danger(where, "it does not verify against the authority that is configured beside it: "+c.ChainErr, "append the intermediate certificates, or name the right authority"))
		}
		if c.NameErr != "" {
			out = append(out, danger(where, "others reach this host as "+c.Wanted+", and the certificate does not hold for it: "+c.NameErr, "issue it with that name or address as subjectAltName"))
		}
		if c.KeyMode&0o007 != 0 {
			out = append(out, warning(where, fmt.Sprintf("everybody on this host may read its key (mode %04o)", c.KeyMode), "chmod o-rwx"))
		}
	}
	return out
}

func day(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 MST") }

var watchdogRules = []Rule{
	{"watchdog", "the watchdog device", hasPostgres, checkWatchdog},
}

func checkWatchdog(f *Facts) []Finding {
	w := f.Watchdog
	if w.Mode == "" || w.Mode == "off" {
		return []Finding{note("watchdog.mode", "there is no watchdog: the fence ends a primary whose lease is over, but nothing ends a host whose kernel hangs", "modprobe softdog (or a hardware device), and watchdog.mode: automatic")}
	}
	level := warning
	if w.Mode == "required" {
		level = danger
	}
	switch {
	case !w.Exists:
		return []Finding{level(w.Device, "the watchdog is "+w.Mode+", and there is no such device", "modprobe softdog (and a line in /etc/modules-load.d), or set watchdog.device")}
	case !w.Writable:
		return []Finding{level(w.Device, "the watchdog is "+w.Mode+", and the agent's user may not write to the device", "a udev rule: KERNEL==\"watchdog\", OWNER=\"postgres\", GROUP=\"postgres\"")}
	}
	return nil
}

var kernelRules = []Rule{
	{"kernel", "what the fence needs of the kernel", nil, checkKernel},
}

func checkKernel(f *Facts) (out []Finding) {
	k := f.Kernel
	if f.Roles.Postgres && !k.ListsChildren {
		out = append(out, danger("kernel "+k.Release, "/proc does not list a process's children: the fence cannot end PostgreSQL's backends ("+k.ListsErr+")", "a kernel with CONFIG_PROC_CHILDREN, and /proc not hidden"))
	}
	if f.Roles.Postgres && !k.PIDFD {
		out = append(out, danger("kernel "+k.Release, "pidfd_open does not work: a PostgreSQL that runs already cannot be taken over safely", "Linux 5.3 or newer; a seccomp profile that allows it"))
	}
	if f.Roles.Postgres && (k.Overcommit == 0 || k.Overcommit == 1) {
		out = append(out, note("vm.overcommit_memory", fmt.Sprintf("it is %d: the kernel may end a PostgreSQL process when memory is short, and all sessions with it", k.Overcommit),
			"sysctl vm.overcommit_memory=2 (PostgreSQL's manual, 19.4.4)"))
	}
	return out
}
