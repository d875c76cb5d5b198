package gather

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"quorate/internal/doctor"
	"quorate/pgctl/postgres"
)

// process is one entry of /proc.
type process struct {
	pid, parent int
	name        string // of the program file's command: the first word's base
	args        []string
}

// processes reads /proc once: the postmasters, our own processes, and who listens on our ports.
func (g *gatherer) processes() (pms []doctor.Postmaster, ours []doctor.Process, listeners []doctor.Listener) {
	all := g.allProcesses()
	fences := map[int]bool{}
	for _, p := range all {
		if len(p.args) > 1 && p.args[1] == "fence" {
			fences[p.pid] = true
		}
	}
	data := g.Config.PostgreSQL.DataDir
	for _, p := range all {
		if pm, ok := g.postmaster(p, all); ok {
			pm.Ours, pm.Fenced = sameFile(pm.DataDir, data), fences[p.parent]
			pms = append(pms, pm)
			if pm.Ours {
				ours = append(ours, g.process("postmaster", p))
			}
		}
	}
	listeners = g.listeners(all)
	for _, l := range listeners {
		if p := all[l.PID]; l.Key == "restapi.listen" && l.PID != 0 && !l.Other {
			ours = append(ours, g.process("agent", p))
		}
	}
	for pid := range fences {
		if g.guards(all[pid], data) {
			ours = append(ours, g.process("fence", all[pid]))
		}
	}
	return pms, ours, listeners
}

func (g *gatherer) guards(p process, data string) bool {
	for i, a := range p.args {
		if a == "--data-dir" && i+1 < len(p.args) {
			return sameFile(p.args[i+1], data)
		}
	}
	return false
}

func (g *gatherer) allProcesses() map[int]process {
	all := map[int]process{}
	entries, err := os.ReadDir(g.Proc)
	if err != nil {
		g.missed("the processes of this host are not known: %v", err)
		return all
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		cmdline, err := os.ReadFile(filepath.Join(g.Proc, e.Name(), "cmdline"))
		if err != nil || len(cmdline) == 0 {
			continue
		}
		args := strings.Split(strings.TrimRight(string(cmdline), "\x00"), "\x00")
		all[pid] = process{pid: pid, parent: g.parent(e.Name()), name: filepath.Base(args[0]), args: args}
	}
	return all
}

func (g *gatherer) parent(pid string) int {
	n, _ := strconv.Atoi(statusField(g.procText(pid, "status"), "PPid"))
	return n
}

func statusField(text, name string) string {
	for _, line := range strings.Split(text, "\n") {
		if key, value, ok := strings.Cut(line, ":"); ok && key == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// postmaster says whether a process is one, and of which folder: by the folder that it works in, which has a postmaster.pid with its number.
func (g *gatherer) postmaster(p process, all map[int]process) (doctor.Postmaster, bool) {
	if p.name != "postgres" || strings.HasPrefix(p.args[0], "postgres:") || all[p.parent].name == "postgres" {
		return doctor.Postmaster{}, false
	}
	dir, err := os.Readlink(filepath.Join(g.Proc, strconv.Itoa(p.pid), "cwd"))
	if err != nil {
		for i, a := range p.args { // another user's: its command line has to do
			if a == "-D" && i+1 < len(p.args) {
				dir = p.args[i+1]
			}
		}
	}
	return doctor.Postmaster{PID: p.pid, DataDir: dir}, true
}

func sameFile(a, b string) bool {
	x, errX := os.Stat(a)
	y, errY := os.Stat(b)
	return errX == nil && errY == nil && os.SameFile(x, y)
}

// process reads the limits of one of ours.
func (g *gatherer) process(kind string, p process) doctor.Process {
	pid := strconv.Itoa(p.pid)
	out := doctor.Process{Kind: kind, PID: p.pid, MemLock: doctor.NoLimit, NoFile: doctor.NoLimit, PidsMax: doctor.NoLimit, MemoryMax: doctor.NoLimit}
	for _, line := range strings.Split(g.procText(pid, "limits"), "\n") {
		if rest, ok := strings.CutPrefix(line, "Max locked memory"); ok {
			out.MemLock = limit(rest)
		}
		if rest, ok := strings.CutPrefix(line, "Max open files"); ok {
			out.NoFile = limit(rest)
		}
	}
	status := g.procText(pid, "status")
	uid, _, _ := strings.Cut(statusField(status, "Uid"), "\t")
	out.Root = uid == "0"
	out.OOMScore, _ = strconv.Atoi(g.procText(pid, "oom_score_adj"))
	out.Nice = nice(g.procText(pid, "stat"))
	g.group(pid, &out)
	return out
}

// nice is the nice level in /proc/PID/stat: the 19th field, the 17th after the program's name, which may hold anything (proc(5)).
func nice(stat string) int {
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(fields) < 17 {
		return 0
	}
	n, _ := strconv.Atoi(fields[16])
	return n
}

// limit is the soft limit in a line of /proc/PID/limits.
func limit(rest string) uint64 {
	fields := strings.Fields(rest)
	if len(fields) == 0 || fields[0] == "unlimited" {
		return doctor.NoLimit
	}
	n, err := strconv.ParseUint(fields[0], 10, 64)
	if err != nil {
		return doctor.NoLimit
	}
	return n
}

// group reads the limits of a process's control group (version 2) and of all above it: the one with the least room counts.
func (g *gatherer) group(pid string, out *doctor.Process) {
	_, path, ok := strings.Cut(g.procText(pid, "cgroup"), "0::")
	if !ok {
		return
	}
	path, _, _ = strings.Cut(path, "\n")
	for dir := filepath.Join(g.Sys, "fs/cgroup", path); strings.HasPrefix(dir, filepath.Join(g.Sys, "fs/cgroup")); dir = filepath.Dir(dir) {
		if most, now, ok := groupLimit(dir, "pids.max", "pids.current"); ok && most < out.PidsMax {
			out.PidsMax, out.PidsNow = most, now
		}
		if most, now, ok := groupLimit(dir, "memory.max", "memory.current"); ok && most < out.MemoryMax {
			out.MemoryMax, out.MemoryNow = most, now
		}
	}
}

func groupLimit(dir, most, now string) (limit, current uint64, ok bool) {
	read := func(name string) (uint64, error) {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return 0, err
		}
		return strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64)
	}
	limit, errLimit := read(most) // "max" is no number
	current, errNow := read(now)
	return limit, current, errLimit == nil && errNow == nil
}

// listeners says who holds each port of the configuration.
func (g *gatherer) listeners(all map[int]process) (out []doctor.Listener) {
	sockets := g.listening()
	owners := g.owners(all, sockets)
	for _, e := range g.endpoints() {
		l := doctor.Listener{Key: e.key, Addr: e.addr}
		for _, s := range sockets {
			if s.port == e.port && (s.any || e.any || s.host.Equal(e.host)) {
				l.PID = owners[s.inode]
				l.Owner, l.Other = g.ownerName(all[l.PID], e.key)
			}
		}
		out = append(out, l)
	}
	return out
}

// ownerName names the program behind a port, and says whether it is none of ours.
func (g *gatherer) ownerName(p process, key string) (name string, other bool) {
	switch {
	case p.pid == 0:
		return "a program of another user", false // nothing is said of what is not known
	case key == "postgresql.listen":
		return p.name, p.name != "postgres"
	}
	for _, a := range p.args[1:] {
		if a == "run" {
			return p.name, false
		}
	}
	return p.name, p.name != "quorate" && p.name != "patroni" // a link of ours
}

type endpoint struct {
	key, addr string
	host      net.IP
	any       bool
	port      int
}

// endpoints are the ports that the configuration names.
func (g *gatherer) endpoints() (out []endpoint) {
	c := g.Config
	add := func(key, addr string) {
		host, number, err := net.SplitHostPort(addr)
		port, err2 := strconv.Atoi(number)
		if err != nil || err2 != nil {
			return
		}
		ip := net.ParseIP(host)
		out = append(out, endpoint{key, addr, ip, ip == nil || ip.IsUnspecified(), port})
	}
	if c.Roles.Store {
		add("store.client_port", net.JoinHostPort(c.Store.Listen, strconv.Itoa(c.Store.ClientPort)))
		add("store.peer_port", net.JoinHostPort(c.Store.Listen, strconv.Itoa(c.Store.PeerPort)))
	}
	if c.Gossip.Enabled {
		add("gossip.listen", c.Gossip.Listen)
	}
	add("restapi.listen", c.REST.Listen)
	if c.Roles.Postgres {
		for _, h := range c.PostgreSQL.Listen {
			add("postgresql.listen", net.JoinHostPort(h, strconv.Itoa(c.PostgreSQL.Port)))
		}
	}
	for i, l := range c.Proxy.Listeners {
		if c.Roles.Proxy {
			add(fmt.Sprintf("proxy.listeners[%d].listen", i), l.Listen)
		}
	}
	return out
}

// dataDirectory is data_directory in a postgresql.conf.
func dataDirectory(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	settings, err := postgres.ParseConf(string(b))
	if err != nil {
		return ""
	}
	for _, s := range settings {
		if s.Name == "data_directory" {
			return s.Value
		}
	}
	return ""
}

// socket is a TCP port that somebody listens on.
type socket struct {
	host  net.IP
	any   bool
	port  int
	inode string
}

// listening reads /proc/net/tcp and tcp6 (proc(5)); state 0A is LISTEN.
func (g *gatherer) listening() (out []socket) {
	for _, table := range []string{"net/tcp", "net/tcp6"} {
		in := bufio.NewScanner(strings.NewReader(g.procText(table)))
		for in.Scan() {
			fields := strings.Fields(in.Text())
			if len(fields) < 10 || fields[3] != "0A" {
				continue
			}
			if ip, port, ok := hexAddr(fields[1]); ok {
				out = append(out, socket{ip, ip.IsUnspecified(), port, fields[9]})
			}
		}
	}
	return out
}

// hexAddr reads an address of /proc/net/tcp: words of four bytes in the order of this machine, which is little-endian.
func hexAddr(text string) (net.IP, int, bool) {
	host, number, ok := strings.Cut(text, ":")
	port, err := strconv.ParseUint(number, 16, 16)
	if !ok || err != nil || len(host)%8 != 0 {
		return nil, 0, false
	}
	var ip net.IP
	for i := 0; i < len(host); i += 8 {
		word, err := strconv.ParseUint(host[i:i+8], 16, 32)
		if err != nil {
			return nil, 0, false
		}
		ip = append(ip, byte(word), byte(word>>8), byte(word>>16), byte(word>>24))
	}
	return ip, int(port), true
}

// owners finds the processes behind sockets, as far as this user may look. A fork inherits sockets: the oldest of a family is meant.
func (g *gatherer) owners(all map[int]process, sockets []socket) map[string]int {
	wanted := map[string]string{}
	for _, s := range sockets {
		wanted["socket:["+s.inode+"]"] = s.inode
	}
	holders := map[string]map[int]bool{}
	for pid := range all {
		for _, target := range g.descriptors(pid) {
			if inode, ok := wanted[target]; ok {
				if holders[inode] == nil {
					holders[inode] = map[int]bool{}
				}
				holders[inode][pid] = true
			}
		}
	}
	out := map[string]int{}
	for inode, pids := range holders {
		for pid := range pids {
			if !pids[all[pid].parent] {
				out[inode] = pid
			}
		}
	}
	return out
}

// descriptors are what a process's files are links to.
func (g *gatherer) descriptors(pid int) (out []string) {
	dir := filepath.Join(g.Proc, strconv.Itoa(pid), "fd")
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	for _, e := range entries {
		if target, err := os.Readlink(filepath.Join(dir, e.Name())); err == nil {
			out = append(out, target)
		}
	}
	return out
}
