package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/spf13/cobra"

	"quorate/api/client"
	"quorate/internal/ctl"
)

// queryOptions are those of query.
type queryOptions struct {
	command, file      string
	format             string
	delimiter          string
	password           bool
	username, database string
	role, member       string
	watch              watchOptions
}

func newQueryCmd(a *app) *cobra.Command {
	var o queryOptions
	c := &cobra.Command{
		Use:   "query [CLUSTER]",
		Short: "Run SQL on a member",
		Args:  atMost(1),
		RunE:  func(c *cobra.Command, args []string) error { return a.query(c.Context(), firstOf(args), o) },
	}
	c.Flags().StringVarP(&o.command, "command", "c", "", "the SQL")
	c.Flags().StringVarP(&o.file, "file", "f", "", "a file with the SQL; - is the standard input")
	c.Flags().StringVar(&o.delimiter, "delimiter", "\t", "between the columns of tsv")
	c.Flags().BoolVar(&o.password, "password", false, "ask for a password")
	c.Flags().StringVarP(&o.username, "username", "U", "", "the database user")
	c.Flags().StringVarP(&o.database, "dbname", "d", "", "the database")
	roleFlag(c, &o.role, "", "a member of this role")
	c.Flags().StringVarP(&o.member, "member", "m", "", "this member")
	o.watch.flags(c)
	formatFlag(c, &o.format, "tsv")
	a.globalFlags(c)
	return c
}

func (a *app) query(ctx context.Context, scope string, o queryOptions) error {
	format, err := parseFormat(o.format)
	if err != nil {
		return err
	}
	sql, err := a.sql(o)
	if err != nil {
		return err
	}
	password := ""
	if o.password {
		if password, err = a.prompts.secret("Password"); err != nil {
			return err
		}
	}
	m, err := a.memberFor(ctx, scope, o)
	if err != nil {
		return err
	}
	failed := false
	err = a.repeat(ctx, o.watch, false, func() error {
		sheet, err := runSQL(ctx, m, o, password, sql)
		if err != nil {
			failed = true
			sheet = ctl.Sheet{Rows: [][]any{{ctl.Stamp(a.now()), err.Error()}}}
			if format != ctl.TSV { // patronictl's line has no heading
				sheet.Columns = []string{"Time", "Error"}
			}
		}
		sheet.Delimiter = o.delimiter
		fmt.Fprint(a.out, sheet.Render(format))
		return nil
	})
	if err == nil && failed {
		return errFailed
	}
	return err
}

// memberFor is the member that a query is for; nil when there is none.
func (a *app) memberFor(ctx context.Context, scope string, o queryOptions) (*client.Member, error) {
	s, err := a.connect(scope)
	if err != nil {
		return nil, err
	}
	c, err := s.cluster(ctx)
	if err != nil {
		return nil, err
	}
	return pick(c, o.role, o.member)
}

// sql is the text of --command or --file.
func (a *app) sql(o queryOptions) (string, error) {
	switch {
	case o.file != "" && o.command != "":
		return "", errors.New("--file and --command are mutually exclusive options")
	case o.command != "":
		return o.command, nil
	case o.file == "":
		return "", said("You need to specify either --command or --file")
	}
	var text []byte
	var err error
	if o.file == "-" {
		text, err = io.ReadAll(a.prompts.in)
	} else {
		text, err = os.ReadFile(o.file)
	}
	if err != nil {
		return "", fmt.Errorf("read the SQL: %w", err)
	}
	return string(text), nil
}

// runSQL runs statements on a member and gives the rows of the last one. The error is what stands in the output.
func runSQL(ctx context.Context, m *client.Member, o queryOptions, password, sql string) (ctl.Sheet, error) {
	if m == nil || m.Host == "" {
		return ctl.Sheet{}, errors.New(noConnection(o))
	}
	config, err := pgconn.ParseConfig("")
	if err != nil {
		return ctl.Sheet{}, err
	}
	config.Host, config.Port, config.Fallbacks = m.Host, uint16(m.Port), nil
	config.ConnectTimeout = 5 * time.Second
	config.RuntimeParams["application_name"] = "Quorate ctl"
	if o.username != "" {
		config.User = o.username
	}
	if o.database != "" {
		config.Database = o.database
	}
	if password != "" {
		config.Password = password
	}
	conn, err := pgconn.ConnectConfig(ctx, config)
	if err != nil {
		return ctl.Sheet{}, sqlError(err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if err := checkRecovery(ctx, conn, o.role); err != nil {
		return ctl.Sheet{}, err
	}
	results, err := conn.Exec(ctx, sql).ReadAll()
	if err != nil {
		return ctl.Sheet{}, sqlError(err)
	}
	if len(results) == 0 {
		return ctl.Sheet{}, nil
	}
	return sheetOf(results[len(results)-1]), nil
}

// checkRecovery makes sure that a member is what was asked for: its role in the cluster's view may be a moment old.
func checkRecovery(ctx context.Context, conn *pgconn.PgConn, role string) error {
	if role == "" || role == "any" || role == "leader" {
		return nil
	}
	results, err := conn.Exec(ctx, "SELECT pg_catalog.pg_is_in_recovery()").ReadAll()
	if err != nil {
		return sqlError(err)
	}
	inRecovery := string(results[0].Rows[0][0]) == "t"
	if inRecovery == (role == "primary" || role == "master") {
		return errors.New(noConnection(queryOptions{role: role}))
	}
	return nil
}

func noConnection(o queryOptions) string {
	switch {
	case o.member != "":
		return "No connection to member " + o.member + " is available"
	case o.role != "":
		return "No connection to role " + o.role + " is available"
	}
	return "No connection is available"
}

// sqlError is an error as patronictl prints it.
func sqlError(err error) error {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return fmt.Errorf("ERROR, SQLSTATE: %s (%s)", pg.Code, pg.Message)
	}
	return fmt.Errorf("ERROR, SQLSTATE: %s", strings.ReplaceAll(err.Error(), "\n", " "))
}

func sheetOf(r *pgconn.Result) ctl.Sheet {
	var sheet ctl.Sheet
	for _, f := range r.FieldDescriptions {
		sheet.Columns = append(sheet.Columns, f.Name)
	}
	for _, row := range r.Rows {
		cells := make([]any, len(row))
		for i, text := range row {
			cells[i] = sqlValue(r.FieldDescriptions[i].DataTypeOID, text)
		}
		sheet.Rows = append(sheet.Rows, cells)
	}
	return sheet
}

// The types that are more than text in the output (pg_type.dat).
const (
	oidBool = 16
	oidInt8 = 20
	oidInt2 = 21
	oidInt4 = 23
	oidOID  = 26
)

func sqlValue(oid uint32, text []byte) any {
	if text == nil {
		return nil
	}
	switch oid {
	case oidBool:
		return string(text) == "t"
	case oidInt2, oidInt4, oidInt8, oidOID:
		if n, err := strconv.ParseInt(string(text), 10, 64); err == nil {
			return n
		}
	}
	return string(text)
}
