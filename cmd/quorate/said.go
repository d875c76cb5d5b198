package main

import (
	"errors"
	"fmt"

	"quorate/api/client"
	"quorate/internal/dcsclient"
)

// said is an error in patronictl's own words (patroni/ctl.py). Scripts look for them, so that they begin with a capital letter.
type said string

func (s said) Error() string { return string(s) }

func saidf(format string, args ...any) error { return said(fmt.Sprintf(format, args...)) }

// spoken is what a member said, without what gRPC says around the words of a store that the member could not reach.
func spoken(r client.Reply) string { return dcsclient.Words(errors.New(r.Text())) }
