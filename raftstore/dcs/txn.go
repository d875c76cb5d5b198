package dcs

// Target is what a Compare looks at. All comparisons are for equality, as Patroni's are.
type Target int

const (
	// Create compares the revision in which the key was made; 0 means that there is no such key.
	Create Target = iota
	// Mod compares the revision of the key's last change; 0 means that there is no such key.
	Mod
	// Value compares the content. It is false for a key that does not exist.
	Value
)

// Compare is one condition of a Txn.
type Compare struct {
	Key    string
	Target Target
	Rev    int64  // for Create and Mod
	Value  string // for Value
}

// Op is one write: a put, or a delete of a key or of all keys with a prefix.
type Op struct {
	Key    string
	Value  string
	Lease  int64 // the key goes when this lease ends; 0: the key stays
	Delete bool
	Prefix bool // with Delete: every key that begins with Key
}

// Txn changes all or nothing: Then is applied when every Compare holds, and nothing happens otherwise. Every change that was
// decided on a revision carries the compares that make it fail if what it depended on has changed since (invariant I9).
type Txn struct {
	If   []Compare
	Then []Op
}

// Put writes a key.
func Put(key, value string, lease int64) Op { return Op{Key: key, Value: value, Lease: lease} }

// Delete removes a key.
func Delete(key string) Op { return Op{Key: key, Delete: true} }

// Absent holds while the key does not exist.
func Absent(key string) Compare { return Compare{Key: key, Target: Create} }

// CreatedAt holds while the key is the one that was made in revision rev.
func CreatedAt(key string, rev int64) Compare { return Compare{Key: key, Target: Create, Rev: rev} }

// Unchanged holds while the key has not been written since revision rev; rev 0 means that it still does not exist.
func Unchanged(key string, rev int64) Compare { return Compare{Key: key, Target: Mod, Rev: rev} }

// Holds holds while the key's content is value.
func Holds(key, value string) Compare { return Compare{Key: key, Target: Value, Value: value} }
