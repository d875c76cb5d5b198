package instance

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"quorate/pgctl/postgres"
)

// Config is what the cluster's configuration says about this PostgreSQL.
type Config struct {
	// Params are the parameters as they were written; Effective corrects them.
	Params postgres.Params
	// Recovery are restore_command, archive_cleanup_command, recovery_min_apply_delay and the like, for whoever is a standby.
	Recovery postgres.Params
	// HBA and Ident are the lines of pg_hba.conf and pg_ident.conf; nil leaves the files that are there.
	HBA, Ident []string
	// CustomConf is included instead of the data folder's own postgresql.base.conf.
	CustomConf string
	// BaseBackup and PGRewind are further arguments of these programs.
	BaseBackup, PGRewind []string
	// Accounts replace those of the Options; nil: they stay. Roles and passwords in the database are their owner's to change.
	Accounts *Accounts
	// Own replaces what the Options said of it; nil: it stays.
	Own *Settings
}

const (
	confFile     = "postgresql.conf"
	baseConfFile = "postgresql.base.conf"
	autoConfFile = "postgresql.auto.conf"
	hbaFile      = "pg_hba.conf"
	identFile    = "pg_ident.conf"
)

// Configure takes a new configuration, writes the files when there is a data folder, and reloads when PostgreSQL runs. It returns what
// is used otherwise than written. What needs a restart waits for one: the Monitor reports it. On ErrBadConfig PostgreSQL goes
// on with what it had; parameters that it refuses by name are left out and reported instead.
func (i *Instance) Configure(ctx context.Context, c Config) ([]postgres.Correction, error) {
	i.confMu.Lock()
	i.conf = c
	clear(i.dropped)
	i.confMu.Unlock()
	i.tellCorrections(ctx)
	if c.Own != nil {
		if err := i.setOwn(*c.Own); err != nil {
			return nil, err
		}
	}
	if c.Accounts != nil {
		if err := i.setAccounts(*c.Accounts); err != nil {
			return nil, err
		}
	}
	if m, err := i.marker(); err != nil || m != nil {
		return nil, err // the folder is being made, and gets its files at the end
	}
	if _, err := i.folderMajor(); err != nil {
		return nil, nil // nothing to write to yet
	}
	if err := i.writeConfig(ctx); err != nil {
		return i.Corrections(ctx), err
	}
	if err := i.reload(ctx); err != nil && !errors.Is(err, ErrNotRunning) {
		return i.Corrections(ctx), err
	}
	return i.Corrections(ctx), nil
}

// tellCorrections writes what is used otherwise than written into the log, once for each value.
func (i *Instance) tellCorrections(ctx context.Context) {
	_, v, err := i.tools(ctx)
	if err != nil {
		return // who needs the programs says so
	}
	i.confMu.Lock()
	_, now := postgres.Effective(i.conf.Params, v)
	before := i.told
	i.told = now
	i.confMu.Unlock()
	for _, c := range now {
		if !slices.Contains(before, c) {
			i.log.Warn("configuration corrected", "setting", "postgresql.parameters."+c.Name, "found", c.Was, "used", c.Is, "why", c.Reason)
		}
	}
}

// Corrections are the parameters that are used otherwise than they were written, and why.
func (i *Instance) Corrections(ctx context.Context) []postgres.Correction {
	_, v, _ := i.tools(ctx)
	i.confMu.Lock()
	defer i.confMu.Unlock()
	_, out := postgres.Effective(i.conf.Params, v)
	for _, name := range slices.Sorted(maps.Keys(i.dropped)) {
		out = append(out, postgres.Correction{Name: name, Was: i.conf.Params[name], Reason: i.dropped[name]})
	}
	return append(out, i.raised...)
}

// Reload makes PostgreSQL read its configuration again.
func (i *Instance) Reload(ctx context.Context) error {
	if err := i.writeConfig(ctx); err != nil {
		return err
	}
	return i.reload(ctx)
}

func (i *Instance) reload(ctx context.Context) error {
	pid, err := i.opt.Supervisor.Running(ctx)
	if err != nil {
		return err
	}
	if pid == 0 || !i.listensToSignals(pid) {
		return ErrNotRunning // it reads its configuration in a moment anyway
	}
	return i.opt.Supervisor.Signal(ctx, syscall.SIGHUP)
}

// listensToSignals says whether the postmaster has come so far that SIGHUP does not end it: before it writes its pid file it
// has not installed its handlers (postmaster.c, PostmasterMain).
func (i *Instance) listensToSignals(pid int) bool {
	p, err := i.readPIDFile()
	return err == nil && p.PID == pid && p.Status != ""
}

// wanted are the parameters as they shall be in force, with confMu held.
func (i *Instance) wanted(v postgres.Version) postgres.Params {
	p, _ := postgres.Effective(i.conf.Params, v)
	maps.DeleteFunc(p, func(name, _ string) bool { return i.dropped[name] != "" })
	for name, value := range merged(i.conf.Recovery, i.upstream.Recovery) {
		if !slices.Contains(postgres.Reserved, name) && postgres.KnownIn(name, v) {
			p[name] = value
		}
	}
	if i.restoring != nil {
		maps.Copy(p, i.restoring.params)
	}
	if c := p["restore_command"]; c != "" {
		p["restore_command"] = postgres.LimitCommand(c, int(i.opt.RestoreLimit.Seconds()))
	}
	if i.closed || i.cut && v.RestoreCommandReloads() {
		p["restore_command"] = ""
	}
	p["listen_addresses"] = i.settings().Listen
	p["port"] = strconv.Itoa(i.settings().Port)
	p["cluster_name"] = i.opt.ClusterName
	if p["unix_socket_directories"] == "" {
		p["unix_socket_directories"] = i.opt.SocketDir
	}
	p["synchronous_standby_names"] = i.names.String()
	p["primary_conninfo"] = ""
	if i.upstream.Host != "" {
		p["primary_conninfo"] = i.upstream.Conninfo(v).String()
	}
	p["primary_slot_name"] = i.upstream.Slot
	for name, file := range map[string]string{"hba_file": hbaFile, "ident_file": identFile} {
		if p[name] == "" && i.ownsFile(file) {
			p[name] = i.confPath(file)
		}
	}
	return p
}

// ownsFile says whether PostgreSQL has to be told where the file is: the agent writes it, or it lies beside a postgresql.conf outside of the
// data folder, where PostgreSQL would not look for it.
func (i *Instance) ownsFile(name string) bool {
	written := map[string]bool{hbaFile: i.conf.HBA != nil, identFile: i.conf.Ident != nil}
	return written[name] || i.opt.ConfigDir != i.opt.DataDir && exists(i.confPath(name))
}

// writeConfig makes the files of the configuration, and takes out of postgresql.auto.conf what would win over them.
func (i *Instance) writeConfig(ctx context.Context) error {
	_, v, err := i.tools(ctx)
	if err != nil {
		return err
	}
	i.confMu.Lock()
	defer i.confMu.Unlock()
	if err := i.borrowConfig(); err != nil {
		return err
	}
	if err := i.keepBaseConf(); err != nil {
		return err
	}
	if err := i.cleanAutoConf(); err != nil {
		return err
	}
	if err := i.writeHBA(v); err != nil {
		return err
	}
	if err := i.writeChecked(ctx, v); err != nil {
		return err
	}
	return i.lendConfig()
}

// rewrite writes postgresql.conf after a change of what the agent alone decides, and reloads. It starts no other program: it lies on
// the way of every failover.
func (i *Instance) rewrite(ctx context.Context) error {
	_, v, err := i.tools(ctx)
	if err != nil {
		return err
	}
	i.confMu.Lock()
	defer i.confMu.Unlock()
	if err := i.cleanAutoConf(); err != nil {
		return err
	}
	if _, err := i.writeMain(v); err != nil {
		return err
	}
	return i.reload(ctx)
}

// writeMain writes postgresql.conf without waiting for the disk, which a failover must not hang on: each start writes it again.
func (i *Instance) writeMain(v postgres.Version) (changed bool, err error) {
	text, err := postgres.RenderConf(i.includeFile(), i.wanted(v))
	if err != nil {
		return false, fmt.Errorf("%w: %w", ErrBadConfig, err)
	}
	path := i.confPath(confFile)
	if have, err := os.ReadFile(path); err == nil && string(have) == text {
		return false, nil
	}
	return true, i.replaceFile(path, []byte(text), func(*os.File) error { return nil })
}

// writeChecked writes postgresql.conf and asks PostgreSQL whether it would take it, leaving out what it refuses by name.
func (i *Instance) writeChecked(ctx context.Context, v postgres.Version) error {
	before, _ := os.ReadFile(i.confPath(confFile))
	for {
		changed, err := i.writeMain(v)
		if err != nil || !changed {
			return err
		}
		bad, words, err := i.checkConfig(ctx)
		if err == nil {
			return nil
		}
		_, known := i.conf.Params[bad]
		if bad == "" || !known || i.dropped[bad] != "" {
			return errors.Join(err, i.restoreMain(before))
		}
		i.dropped[bad] = words
		i.log.Warn("parameter is left out: PostgreSQL refuses it", "parameter", bad, "value", i.conf.Params[bad], "reason", words)
	}
}

// restoreMain puts the former file back, so that a restart does not fail by what a reload would have refused.
func (i *Instance) restoreMain(before []byte) error {
	if before == nil {
		return nil
	}
	return i.writeFile(i.confPath(confFile), before)
}

// checkConfig lets PostgreSQL read the files as a start would, without starting. When it complains about a parameter, that is
// returned with its words.
func (i *Instance) checkConfig(ctx context.Context) (param, words string, err error) {
	program, err := i.program(ctx, "postgres")
	if err != nil {
		return "", "", err
	}
	_, err = i.run(ctx, command{
		path: program, args: []string{"-D", i.opt.DataDir, "--config_file=" + i.confPath(confFile), "-C", "data_directory"},
		line: func(l string) {
			if p := postgres.ConfigErrorParam(l); p != "" && param == "" {
				param, words = p, l
				if _, after, ok := strings.Cut(l, ":  "); ok {
					words = after
				}
			}
		},
	})
	var refused *toolError
	if errors.As(err, &refused) {
		return param, words, fmt.Errorf("%w: %w", ErrBadConfig, err)
	}
	return "", "", err
}

// includeFile is the user's own configuration: the custom one, else what the folder came with.
func (i *Instance) includeFile() string {
	if i.conf.CustomConf != "" {
		return i.conf.CustomConf
	}
	if exists(i.confPath(baseConfFile)) {
		return baseConfFile
	}
	if own := i.dataPath(confFile); own != i.confPath(confFile) && exists(own) {
		return own // initdb's, when the configuration lies elsewhere
	}
	return ""
}

// confPath is a file of the configuration.
func (i *Instance) confPath(name string) string { return filepath.Join(i.opt.ConfigDir, name) }

// keepBaseConf renames the folder's first postgresql.conf, so that it is included and not lost.
func (i *Instance) keepBaseConf() error {
	if exists(i.confPath(baseConfFile)) || !exists(i.confPath(confFile)) {
		return nil
	}
	if err := os.Rename(i.confPath(confFile), i.confPath(baseConfFile)); err != nil {
		return err
	}
	return syncDir(i.opt.ConfigDir)
}

// recoveryNames are the settings that only the agent makes; ALTER SYSTEM and pg_basebackup -R leave them in postgresql.auto.conf.
var recoveryNames = append([]string{
	"recovery_target", "recovery_target_lsn", "recovery_target_name", "recovery_target_time", "recovery_target_xid",
	"recovery_target_inclusive", "recovery_target_action", "recovery_target_timeline", "restore_command", "archive_cleanup_command", "recovery_end_command",
	"recovery_min_apply_delay",
}, postgres.Reserved...)

func (i *Instance) cleanAutoConf() error {
	if i.restoring != nil && i.restoring.keepAuto {
		return nil
	}
	b, err := os.ReadFile(i.dataPath(autoConfFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	text, changed := postgres.StripConf(string(b), recoveryNames)
	if !changed {
		return nil
	}
	i.log.Warn("settings that the agent makes are taken out of " + autoConfFile)
	return i.writeFile(i.dataPath(autoConfFile), []byte(text))
}

// args are the postmaster's arguments: what must not be overridden by any file. The second result is what a standby needs more of than
// the configuration says.
func (i *Instance) args(v postgres.Version, r role, c postgres.ControlData) ([]string, []postgres.Correction) {
	p := i.wanted(v)
	var raised []postgres.Correction
	if r == roleStandby || i.restoring != nil { // a copy's recovery needs what its primary had
		p, raised = postgres.StandbyMinimums(p, c)
	}
	out := []string{"-D", i.opt.DataDir, "--config_file=" + i.confPath(confFile)}
	for _, name := range argNames {
		out = append(out, "--"+name+"="+p[name])
	}
	return out, raised
}

// argNames are the parameters given as arguments.
var argNames = append([]string{"listen_addresses", "port", "cluster_name", "hot_standby", "restart_after_crash"}, postgres.Clusterwide...)
