package instance

import (
	"errors"
	"io/fs"
	"os"
)

// lentFiles are the files of the configuration that a member whose configuration lies outside of the data folder could not start
// without.
var lentFiles = []string{baseConfFile, hbaFile, identFile}

// lent is the name of a file's copy in the data folder, which a clone brings along. It is Patroni's.
func lent(name string) string { return name + ".backup" }

// borrowConfig fills in the files that are missing where the configuration lies, from the copies in the data folder, or from what initdb
// left there.
func (i *Instance) borrowConfig() error {
	if i.opt.ConfigDir == i.opt.DataDir {
		return nil
	}
	if err := i.mkdir(i.opt.ConfigDir); err != nil {
		return err
	}
	for _, name := range lentFiles {
		if exists(i.confPath(name)) || name == baseConfFile && exists(i.confPath(confFile)) {
			continue
		}
		for _, from := range []string{lent(name), name} {
			b, err := os.ReadFile(i.dataPath(from))
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return err
			}
			if err := i.writeFile(i.confPath(name), b); err != nil {
				return err
			}
			break
		}
	}
	return nil
}

// lendConfig renews the copies.
func (i *Instance) lendConfig() error {
	if i.opt.ConfigDir == i.opt.DataDir {
		return nil
	}
	for _, name := range lentFiles {
		b, err := os.ReadFile(i.confPath(name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if _, err := i.updateFile(i.dataPath(lent(name)), b); err != nil {
			return err
		}
	}
	return nil
}
