package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// DefaultPath is the configuration of a host when the command line names none.
const DefaultPath = "/etc/quorate/quorate.yml"

// LoadOptions say where a configuration is.
type LoadOptions struct {
	// Path is a file, or a folder whose *.yml and *.yaml are merged in the order of their names. If there is neither, the
	// environment alone is the configuration: PATRONI_CONFIGURATION with YAML text, else the other variables.
	Path            string
	Env             map[string]string // nil: this process's
	RolesFlag       []string
	CalledAsPatroni bool
	// EtcdFirst makes an etcd section count although there is a section store: the variables of a command's --dcs-url, beside a host's own file.
	EtcdFirst bool
	Host      Host
}

// Load finds the texts of a configuration and parses them. The error is an *[Error], or wraps [ErrNotFound] or what the file
// system said.
func Load(o LoadOptions) (*Config, []Warning, error) {
	in, err := input(o)
	if err != nil {
		return nil, nil, err
	}
	return Parse(in)
}

func input(o LoadOptions) (Input, error) {
	if o.Env == nil {
		o.Env = Environ(os.Environ())
	}
	in := Input{Env: o.Env, RolesFlag: o.RolesFlag, CalledAsPatroni: o.CalledAsPatroni, EtcdFirst: o.EtcdFirst, Host: o.Host}
	var err error
	in.Texts, err = readTexts(o.Path)
	if !errors.Is(err, fs.ErrNotExist) {
		return in, err
	}
	if text, ok := o.Env[textVariable]; ok {
		in.Texts, in.Env = []Text{{Source: textVariable, Content: []byte(text)}}, nil
		return in, nil
	}
	for name := range o.Env {
		if IsVariable(name) && name != "QUORATE_ROLES" {
			return in, nil
		}
	}
	return in, fmt.Errorf("%w: %s does not exist, and no PATRONI_ or QUORATE_ variable is set", ErrNotFound, o.Path)
}

// Environ is an environment as a map.
func Environ(environ []string) map[string]string {
	m := make(map[string]string, len(environ))
	for _, e := range environ {
		name, value, _ := strings.Cut(e, "=")
		m[name] = value
	}
	return m
}

// readTexts reads a file, or the YAML files of a folder.
func readTexts(path string) ([]Text, error) {
	if path == "" {
		return nil, fs.ErrNotExist
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	files := []string{path}
	if info.IsDir() {
		if files, err = yamlFiles(path); err != nil {
			return nil, err
		}
	}
	var texts []Text
	for _, f := range files {
		content, err := os.ReadFile(f)
		if err != nil {
			return nil, fmt.Errorf("read configuration: %w", err)
		}
		texts = append(texts, Text{Source: f, Content: content})
	}
	return texts, nil
}

func yamlFiles(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	var files []string
	for _, e := range entries {
		if ext := filepath.Ext(e.Name()); (ext == ".yml" || ext == ".yaml") && !e.IsDir() {
			files = append(files, filepath.Join(dir, e.Name()))
		}
	}
	slices.Sort(files)
	if len(files) == 0 {
		return nil, fmt.Errorf("%w: the folder %s has no *.yml or *.yaml", ErrNotFound, dir)
	}
	return files, nil
}
