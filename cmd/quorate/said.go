package main

import "fmt"

// said is an error in patronictl's own words (patroni/ctl.py). Scripts look for them, so that they begin with a capital letter.
type said string

func (s said) Error() string { return string(s) }

func saidf(format string, args ...any) error { return said(fmt.Sprintf(format, args...)) }
