package main

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"

	"quorate/internal/config"
	"quorate/internal/ctl"
)

func newValidateConfigCmd(a *app) *cobra.Command {
	var ignoreListen, show bool
	c := &cobra.Command{
		Use:   "validate-config [CONFIG]",
		Short: "Check a configuration without starting anything",
		Args:  atMost(1),
		RunE: func(_ *cobra.Command, args []string) error {
			path := config.DefaultPath
			if a.configFile != "" {
				path = a.configFile
			}
			if len(args) > 0 {
				path = args[0]
			}
			return a.validate(path, ignoreListen, show)
		},
	}
	c.Flags().BoolVarP(&ignoreListen, "ignore-listen-port", "i", false, "do not check whether ports are free")
	c.Flags().BoolVarP(&show, "print", "p", false, "show the whole configuration: with defaults, what was derived, and without passwords")
	a.globalFlags(c)
	return c
}

// validate prints every warning and every error; any error fails the command.
func (a *app) validate(path string, ignoreListen, show bool) error {
	c, warnings, err := config.Load(config.LoadOptions{
		Path: path, Env: a.env, Host: config.LocalHost(), CalledAsPatroni: a.calledAs == "patroni",
	})
	for _, w := range warnings {
		kind := "warning"
		if w.Note {
			kind = "note"
		}
		fmt.Fprintf(a.err, "%s: %s\n", kind, w)
	}
	if err == nil {
		for _, w := range ctl.ParameterWarnings(c.Bootstrap.DCS, c.Profile()) {
			const at = "bootstrap.dcs.postgresql.parameters."
			fmt.Fprintf(a.err, "warning: %s: %s%s\n", c.At(at+w.Name), at, w)
		}
		err = c.CheckFiles()
		if !ignoreListen {
			err = errors.Join(err, c.CheckPorts())
		}
	}
	if err != nil {
		if errors.Is(err, config.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
			return err
		}
		fmt.Fprintln(a.err, err)
		return errFailed
	}
	if show {
		fmt.Fprint(a.out, ctl.FormatYAML(c.Show(), false))
	}
	return nil
}
