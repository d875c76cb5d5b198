// Package ctl is what the commands for operators show and ask, apart from doing it: tables in patronictl's look, its machine-readable
// formats, differences of configurations, points in time. It is pure: values in, text out.
package ctl
