package instance

import "fmt"

// Files of the data folder by which PostgreSQL is told, or remembers, what it is.
const (
	standbySignal  = "standby.signal"
	recoverySignal = "recovery.signal"
	promoteSignal  = "promote"
	backupLabel    = "backup_label"
)

// atRest sees to it that whatever starts PostgreSQL on the folder starts a standby.
func (i *Instance) atRest() error {
	if exists(i.dataPath(standbySignal)) || !exists(i.dataPath("PG_VERSION")) {
		return nil
	}
	if err := i.writeFile(i.dataPath(standbySignal), nil); err != nil {
		return fmt.Errorf("the folder at rest would start as a primary: %w", err)
	}
	return nil
}

// notAtRest takes the signal away, for as long as a primary starts or a program runs that refuses it.
func (i *Instance) notAtRest() error { return removeFile(i.dataPath(standbySignal)) }
