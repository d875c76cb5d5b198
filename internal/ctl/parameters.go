package ctl

import (
	"slices"

	"quorate/internal/config/dynamic"
	"quorate/pgctl/postgres"
)

// ParameterWarnings are the parameters of a shared configuration that members use otherwise than they are written, whatever version of PostgreSQL they
// have.
func ParameterWarnings(shared map[string]any, p dynamic.Profile) []postgres.Correction {
	const version postgres.Version = postgres.MaxMajor * 10000
	set, _ := dynamic.Parse(shared, p)
	_, list := postgres.Effective(set.PostgreSQL.Parameters, version)
	return slices.DeleteFunc(list, func(c postgres.Correction) bool { return c.Is == "" && !slices.Contains(postgres.Reserved, c.Name) })
}
