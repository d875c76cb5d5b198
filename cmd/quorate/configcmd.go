package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"

	"github.com/spf13/cobra"

	"quorate/internal/config/dynamic"
	"quorate/internal/ctl"
)

func newShowConfigCmd(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "show-config [CLUSTER]",
		Short: "Show the shared configuration of a cluster",
		Args:  atMost(1),
		RunE: func(c *cobra.Command, args []string) error {
			s, err := a.connect(firstOf(args))
			if err != nil {
				return err
			}
			cluster, err := s.cluster(c.Context())
			if err != nil {
				return err
			}
			shared, err := s.sharedConfig(c.Context(), cluster)
			if err != nil {
				return err
			}
			fmt.Fprintln(a.out, ctl.FormatYAML(shared, false))
			return nil
		},
	}
	a.globalFlags(c)
	return c
}

// editOptions are those of edit-config.
type editOptions struct {
	quiet, force   bool
	set, pg        []string
	apply, replace string
}

func newEditConfigCmd(a *app) *cobra.Command {
	var o editOptions
	c := &cobra.Command{
		Use:   "edit-config [CLUSTER]",
		Short: "Change the shared configuration of a cluster",
		Args:  atMost(1),
		RunE: func(c *cobra.Command, args []string) error {
			s, err := a.connect(firstOf(args))
			if err != nil {
				return err
			}
			return s.editConfig(c.Context(), o)
		},
	}
	c.Flags().BoolVarP(&o.quiet, "quiet", "q", false, "do not show the changes")
	c.Flags().StringArrayVarP(&o.set, "set", "s", nil, "set a value: name=value; null deletes it")
	c.Flags().StringArrayVarP(&o.pg, "pg", "p", nil, "set a PostgreSQL parameter: name=value")
	c.Flags().StringVar(&o.apply, "apply", "", "apply the settings of a file; - is the standard input")
	c.Flags().StringVar(&o.replace, "replace", "", "replace the configuration by a file's; - is the standard input")
	forceFlag(c, &o.force)
	a.globalFlags(c)
	return c
}

func (s *session) editConfig(ctx context.Context, o editOptions) error {
	cluster, err := s.cluster(ctx)
	if err != nil {
		return err
	}
	before, err := s.sharedConfig(ctx, cluster)
	if err != nil {
		return err
	}
	after, err := s.edited(before, o, cluster.Name)
	if err != nil {
		return err
	}
	patch := ctl.Difference(before, after)
	if len(patch) == 0 {
		if !o.quiet {
			fmt.Fprintln(s.out, "Not changed")
		}
		return nil
	}
	if !o.quiet {
		fmt.Fprint(s.out, ctl.UnifiedDiff(ctl.FormatYAML(before, false), ctl.FormatYAML(after, false)))
	}
	s.warnOfCorrections(after)
	if (o.apply == "-" || o.replace == "-") && !o.force {
		fmt.Fprintln(s.out, "Use --force option to apply changes")
		return nil
	}
	if !o.force {
		yes, err := s.prompts.confirm("Apply these changes?")
		if err != nil || !yes {
			return err
		}
	}
	return s.patchConfig(ctx, cluster, before, patch)
}

// warnOfCorrections says what the members would not use as it was written.
func (s *session) warnOfCorrections(after map[string]any) {
	_, corrections := dynamic.Parse(after, s.profile())
	for _, c := range corrections {
		fmt.Fprintf(s.err, "Warning: %s\n", c)
	}
	for _, c := range ctl.ParameterWarnings(after, s.profile()) {
		fmt.Fprintf(s.err, "Warning: postgresql.parameters.%s\n", c)
	}
}

// edited is the configuration after the changes of the command line, or of an editor when there are none.
func (s *session) edited(before map[string]any, o editOptions, cluster string) (after map[string]any, err error) {
	after = before
	changed := false
	if o.replace != "" {
		changed = true
		if after, err = s.readConfig(o.replace); err != nil {
			return nil, err
		}
	}
	if o.apply != "" {
		changed = true
		patch, err := s.readConfig(o.apply)
		if err != nil {
			return nil, err
		}
		after, _ = dynamic.Patch(after, patch)
	}
	changes := o.set
	for _, p := range o.pg {
		changes = append(changes, "postgresql.parameters."+strings.TrimSpace(p))
	}
	for _, c := range changes {
		changed = true
		if after, err = ctl.SetPath(after, c); err != nil {
			return nil, err
		}
	}
	if !changed {
		return s.editor(before, cluster)
	}
	return after, nil
}

func (s *session) readConfig(file string) (map[string]any, error) {
	var text []byte
	var err error
	if file == "-" {
		text, err = io.ReadAll(s.prompts.in)
	} else {
		text, err = os.ReadFile(file)
	}
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	return ctl.ParseConfig(text)
}

// patchConfig sends the change, unless somebody else has changed the configuration since it was read. Only what differs is sent, so
// that even a change in between is not undone.
func (s *session) patchConfig(ctx context.Context, c ctl.Cluster, before, patch map[string]any) error {
	now, err := s.sharedConfig(ctx, c)
	if err != nil {
		return err
	}
	if len(ctl.Difference(before, now)) > 0 {
		return said("Config modification aborted due to concurrent changes")
	}
	r, err := s.changeConfig(ctx, c, patch)
	if err != nil {
		return err
	}
	if r.Code != http.StatusOK {
		return fmt.Errorf("config modification failed, status code=%d, (%s)", r.Code, spoken(r))
	}
	fmt.Fprintln(s.out, "Configuration changed")
	return nil
}

// editor lets a person edit the configuration.
func (s *session) editor(before map[string]any, cluster string) (map[string]any, error) {
	name := s.env["EDITOR"]
	for _, fallback := range []string{"editor", "vi"} {
		if name == "" {
			name, _ = exec.LookPath(fallback)
		}
	}
	if name == "" {
		return nil, errors.New("no editor: set the variable EDITOR, or give the changes by -s, -p, --apply or --replace")
	}
	file, err := os.CreateTemp("", strings.ReplaceAll(cluster, "/", "_")+"-config-*.yaml")
	if err != nil {
		return nil, fmt.Errorf("file for the editor: %w", err)
	}
	defer os.Remove(file.Name())
	_, err = file.WriteString(ctl.FormatYAML(before, false))
	if err = errors.Join(err, file.Close()); err != nil {
		return nil, fmt.Errorf("file for the editor: %w", err)
	}
	words := append(strings.Fields(name), file.Name())
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = s.in, s.out, s.app.err
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("editor %s: %w", name, err)
	}
	text, err := os.ReadFile(file.Name())
	if err != nil {
		return nil, fmt.Errorf("read what was edited: %w", err)
	}
	return ctl.ParseConfig(text)
}
