// Package postgres is what Quorate knows about PostgreSQL, as values and functions on values: log positions, timelines and
// where two histories part, control data, connection strings, configuration files, which parameters the cluster decides and how
// they are corrected, and the list of synchronous standbys.
//
// It opens nothing, starts nothing and reads no clock, so that everything a failover decision rests on can be tested by table and
// by fuzzing. Package instance does the touching.
//
// Names are those of the PostgreSQL manual. Versions are counted as server_version_num counts them (150007 is 15.7); supported
// are the major versions from MinMajor to MaxMajor.
package postgres
