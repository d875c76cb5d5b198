package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"quorate/internal/heard"
)

// A password is not shown on the terminal on which it is typed, and the terminal is as it was afterwards.
func TestSecretIsNotShown(t *testing.T) {
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no terminals here: %v", err)
	}
	defer master.Close()
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	terminal, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no terminals here: %v", err)
	}
	defer terminal.Close()
	echoes := func() bool {
		t.Helper()
		now, err := unix.IoctlGetTermios(int(terminal.Fd()), unix.TCGETS)
		if err != nil {
			t.Fatal(err)
		}
		return now.Lflag&unix.ECHO != 0
	}
	if !echoes() {
		t.Fatal("the terminal does not echo at all")
	}
	var out heard.Output
	done := make(chan string, 1)
	go func() {
		answer, _ := newPrompts(nil, terminal, &out).secret("Password")
		done <- answer
	}()
	out.Await(t, "Password")
	if echoes() {
		t.Fatal("what is typed is shown")
	}
	if _, err := master.WriteString("hush\n"); err != nil {
		t.Fatal(err)
	}
	if answer := <-done; answer != "hush" || !echoes() {
		t.Errorf("%q, echo afterwards: %v", answer, echoes())
	}
}

// An interrupt ends a question that nobody answers.
func TestInterruptEndsAQuestion(t *testing.T) {
	in, typing := io.Pipe()
	defer typing.Close()
	interrupted := make(chan struct{})
	var out heard.Output
	done := make(chan error, 1)
	go func() {
		_, err := newPrompts(interrupted, in, &out).ask("Primary", nil)
		done <- err
	}()
	out.Await(t, "Primary")
	close(interrupted)
	if err := <-done; !errors.Is(err, errAborted) {
		t.Errorf("%v", err)
	}
}
