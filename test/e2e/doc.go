// Package e2e runs clusters on hosts of their own (package lab) through the faults of a data centre, under writers (package rig) whose history
// must stay clean. Nothing here fails for being slow: the outages are printed, and bounds only end a wait in vain.
//
// The tests need root and carry the build tag e2e: go test -tags e2e ./test/e2e
package e2e
