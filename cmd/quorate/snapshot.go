package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	clientv3 "go.etcd.io/etcd/client/v3"

	"quorate/internal/config"
	"quorate/internal/ctl"
	"quorate/internal/etcdhost"
)

func newSnapshotCmd(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "snapshot",
		Short: "Save, look at and restore the store's data",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newSnapshotSaveCmd(a), newSnapshotStatusCmd(a), newSnapshotRestoreCmd(a))
	return c
}

func newSnapshotSaveCmd(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "save FILE",
		Short: "Save the store's data to a file, which etcd's tools read too",
		Args:  exactly(1),
		RunE: func(c *cobra.Command, args []string) error {
			s, err := a.connect("")
			if err != nil {
				return err
			}
			db, err := s.store()
			if err != nil {
				return err
			}
			defer db.Close()
			if err := answersAtAll(c.Context(), db); err != nil {
				return err
			}
			if err := saveSnapshot(c.Context(), db, args[0]); err != nil {
				return err
			}
			st, err := etcdhost.SnapshotStatus(args[0])
			if err != nil {
				return err
			}
			fmt.Fprintf(a.out, "Snapshot saved at %s, revision %d, %d bytes\n", args[0], st.Revision, st.TotalSize)
			return nil
		},
	}
	a.globalFlags(c)
	return c
}

// saveSnapshot writes beside the file and renames it: a file of that name is a whole one.
func saveSnapshot(ctx context.Context, db *clientv3.Client, path string) (err error) {
	r, err := db.Snapshot(ctx)
	if err != nil {
		return err
	}
	defer r.Close()
	part := path + ".part"
	defer os.Remove(part)
	f, err := os.OpenFile(part, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	if _, err = io.Copy(w, r); err == nil {
		err = w.Flush()
	}
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("save the snapshot: %w", err)
	}
	if err := os.Rename(part, path); err != nil {
		return err
	}
	// Until the folder is on disk too, a crash may leave the old file, or none, under a name that was said to be saved.
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

func newSnapshotStatusCmd(a *app) *cobra.Command {
	var format string
	c := &cobra.Command{
		Use:   "status FILE",
		Short: "Check a snapshot file and say what it holds",
		Args:  exactly(1),
		RunE: func(_ *cobra.Command, args []string) error {
			f, err := parseFormat(format)
			if err != nil {
				return err
			}
			st, err := etcdhost.SnapshotStatus(args[0])
			if err != nil {
				return err
			}
			if f == ctl.JSON {
				return json.NewEncoder(a.out).Encode(st)
			}
			sheet := ctl.Sheet{Title: " " + filepath.Base(args[0]) + " ", Columns: []string{"Hash", "Revision", "Total Keys", "Total Size"}}
			sheet.Rows = [][]any{{fmt.Sprintf("%x", st.Hash), st.Revision, st.TotalKey, st.TotalSize}}
			fmt.Fprint(a.out, sheet.Render(f))
			return nil
		},
	}
	formatFlag(c, &format, "pretty")
	return c
}

func newSnapshotRestoreCmd(a *app) *cobra.Command {
	var dir, addr string
	var skip bool
	c := &cobra.Command{
		Use:   "restore FILE",
		Short: "Make a new store of a snapshot file, ours or etcd's",
		Long: `Make a new store of a snapshot file: one that quorate or etcdctl saved, of Quorate's store or of an etcd 3.4 or later.
The folder becomes the only member of a new cluster. Start this host; the others, with empty store folders, join it.
Leases begin afresh. The folder must be empty; nothing is deleted.`,
		Args: exactly(1),
		RunE: func(c *cobra.Command, args []string) error {
			dir, addr, err := a.storeFolder(dir, addr)
			if err != nil {
				return err
			}
			if err := etcdhost.Restore(dir, addr, args[0], skip); err != nil {
				return err
			}
			fmt.Fprintf(a.out, "Restored to %s as the only member, %s. Start this host, then the others with empty store folders.\n", dir, addr)
			return nil
		},
	}
	c.Flags().StringVar(&dir, "data-dir", "", "the store folder (default: that of the configuration)")
	c.Flags().StringVar(&addr, "peer-address", "", "host:port under which the others will reach the peer port (default: that of the configuration)")
	c.Flags().BoolVar(&skip, "skip-hash-check", false, "the file has no hash: it was copied out of an etcd's data folder")
	a.globalFlags(c)
	return c
}

// storeFolder is this host's store folder and peer address: as given, else as configured.
func (a *app) storeFolder(dir, addr string) (string, string, error) {
	if dir != "" && addr != "" {
		return dir, addr, nil
	}
	path := a.configFile
	if path == "" {
		path = config.DefaultPath
	}
	cfg, _, err := config.Load(config.LoadOptions{Path: path, Env: a.env, Host: config.LocalHost()})
	if err != nil {
		return "", "", fmt.Errorf("where the store is: give --data-dir and --peer-address, or a configuration: %w", err)
	}
	if dir == "" {
		dir = cfg.Store.DataDir
	}
	if addr == "" {
		addr = fmt.Sprintf("%s:%d", cfg.Address, cfg.Store.PeerPort)
	}
	return dir, addr, nil
}
