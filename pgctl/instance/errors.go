package instance

import "errors"

// Errors that a caller acts on; they arrive wrapped, with the place and the remedy.
var (
	// ErrBusy says that another operation is under way.
	ErrBusy = errors.New("another operation on this PostgreSQL is under way")
	// ErrLocked says that another process works with the same state folder.
	ErrLocked = errors.New("another agent works on this data folder")
	// ErrRunning says that the operation wants PostgreSQL stopped.
	ErrRunning = errors.New("PostgreSQL is running")
	// ErrNotRunning says that the operation wants PostgreSQL running.
	ErrNotRunning = errors.New("PostgreSQL is not running")
	// ErrNotReady says that the postmaster lives but had not begun to accept connections when the context ended.
	ErrNotReady = errors.New("PostgreSQL does not accept connections yet")
	// ErrExited says that the postmaster ended while something was waited for.
	ErrExited = errors.New("PostgreSQL has ended")
	// ErrNotStopped says that PostgreSQL did not end in time, not even by an immediate shutdown.
	ErrNotStopped = errors.New("PostgreSQL does not stop")
	// ErrNotStandby says that the operation wants a server in recovery.
	ErrNotStandby = errors.New("PostgreSQL is not in recovery")

	// ErrNoBinaries says that PostgreSQL's programs are not installed where they were looked for.
	ErrNoBinaries = errors.New("PostgreSQL's programs are not found")

	// ErrNoData says that the data folder is missing or empty.
	ErrNoData = errors.New("there is no data folder")
	// ErrHasData says that the data folder is not empty.
	ErrHasData = errors.New("the data folder is not empty")
	// ErrUsed says that PostgreSQL has run on a folder after the agent gave it up as half made.
	ErrUsed = errors.New("somebody has worked on the folder after the agent gave it up as half made")
	// ErrForeign says that the folder holds something that is no data folder of PostgreSQL.
	ErrForeign = errors.New("the folder holds files, but no PostgreSQL data")
	// ErrIncomplete says that the folder lacks files that PostgreSQL cannot start without: a copy that was broken off.
	ErrIncomplete = errors.New("the data folder is incomplete")
	// ErrWrongVersion says that the folder belongs to another major version than the programs.
	ErrWrongVersion = errors.New("the data folder is of another major version")
	// ErrWrongOwner says that the folder belongs to another user than the one that runs PostgreSQL.
	ErrWrongOwner = errors.New("the data folder belongs to another user")
	// ErrPermissions says that others may read the folder, which PostgreSQL refuses.
	ErrPermissions = errors.New("the data folder is open to other users")
	// ErrUnfinished says that an operation was broken off that leaves the folder unusable.
	ErrUnfinished = errors.New("an operation on the data folder was broken off")

	// ErrRewindImpossible says that pg_rewind cannot work on this folder, so that it must be cloned again.
	ErrRewindImpossible = errors.New("pg_rewind cannot be used")
	// ErrNotSameCluster says that the two servers are of different clusters.
	ErrNotSameCluster = errors.New("the two servers belong to different clusters")
	// ErrNoSpace says that what is to be kept aside does not fit.
	ErrNoSpace = errors.New("not enough space to keep aside what would be lost")
	// ErrKept says that an earlier diverged folder is still kept, and only an operator may remove it.
	ErrKept = errors.New("an earlier diverged data folder is still kept")
	// ErrBadConfig says that PostgreSQL refuses the configuration.
	ErrBadConfig = errors.New("PostgreSQL refuses the configuration")
)
