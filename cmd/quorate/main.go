// Command quorate keeps a PostgreSQL cluster writable: consensus store, failover manager and router in one binary, and the commands
// to look at a cluster and change it.
//
// Called through a link named patroni, patronictl or etcd, it takes that program's command line.
package main

import "os"

func main() {
	os.Exit(run(os.Args, stdio{in: os.Stdin, out: os.Stdout, err: os.Stderr}, os.Environ()))
}
