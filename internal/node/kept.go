package node

import (
	"context"

	"quorate/internal/config"
	"quorate/pgctl/instance"
)

// Folder looks at a host's data folder without taking charge of it: the agent may run beside.
func Folder(ctx context.Context, c *config.Config) (instance.Folder, error) {
	return instance.Look(ctx, instanceOptions(c))
}

// Aside is something kept aside, and what was lost with it.
type Aside = instance.Kept

// Kept are the data folders and the pieces of WAL that were kept aside on this host, oldest first.
func Kept(c *config.Config) ([]Aside, error) { return instance.ListKept(instanceOptions(c)) }

// RemoveKept removes something kept aside, by the last element of its path; [fs.ErrNotExist] when there is nothing of that name.
func RemoveKept(c *config.Config, name string) error {
	return instance.RemoveKept(instanceOptions(c), name)
}
