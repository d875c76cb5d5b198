// Package dynamic is the configuration that a cluster shares: the value of the key /service/<scope>/config, which
// bootstrap.dcs founds, `edit-config` and PATCH /config change, and every member applies.
//
// The names, defaults, minimums and layers are Patroni 4.1's. What differs by intention: ttl, loop_wait and
// retry_timeout default to 3, 1 and 1 seconds when the cluster keeps its state in Quorate's own store; use_pg_rewind,
// check_timeline and the re-clone after a failed rewind are on (the old data folder is kept aside first).
//
// The package is pure: values in, values out. A wrong value never stops a running cluster; it is replaced by a safe one and
// reported as a [Correction] that names the setting. [Timing] derives all times of an agent from ttl alone.
package dynamic
