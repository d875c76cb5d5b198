package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// errAborted is the end of the input, or a person's no, in the middle of a question.
var errAborted = errors.New("aborted")

// prompts asks a person, one line an answer.
type prompts struct {
	in       *bufio.Reader
	terminal io.Reader // what in reads
	out      io.Writer
	done     <-chan struct{} // closed by an interrupt
}

func newPrompts(done <-chan struct{}, in io.Reader, out io.Writer) *prompts {
	return &prompts{in: bufio.NewReader(in), terminal: in, out: out, done: done}
}

// ask reads a line; an empty one is the default. Without a default it asks until there is an answer.
func (p *prompts) ask(question string, def *string) (string, error) {
	for {
		fmt.Fprint(p.out, question)
		if def != nil {
			fmt.Fprintf(p.out, " [%s]", *def)
		}
		fmt.Fprint(p.out, ": ")
		answer, err := p.line()
		switch {
		case err != nil:
			return "", err
		case answer != "":
			return answer, nil
		case def != nil:
			return *def, nil
		}
	}
}

// secret is ask for what nobody is to read on the screen.
func (p *prompts) secret(question string) (string, error) {
	if f, ok := p.terminal.(*os.File); ok {
		if shown, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS); err == nil {
			hidden := *shown
			hidden.Lflag &^= unix.ECHO
			if err := unix.IoctlSetTermios(int(f.Fd()), unix.TCSETS, &hidden); err == nil {
				defer func() {
					_ = unix.IoctlSetTermios(int(f.Fd()), unix.TCSETS, shown)
					fmt.Fprintln(p.out)
				}()
			}
		}
	}
	return p.ask(question, nil)
}

// confirm asks for a yes; no is the default.
func (p *prompts) confirm(question string) (bool, error) {
	for {
		fmt.Fprintf(p.out, "%s [y/N]: ", question)
		answer, err := p.line()
		if err != nil {
			return false, err
		}
		switch strings.ToLower(answer) {
		case "y", "yes":
			return true, nil
		case "n", "no", "":
			return false, nil
		}
		fmt.Fprintln(p.out, "Error: invalid input")
	}
}

// line reads an answer, unless an interrupt comes first: the command ends then, and the read is left behind with the process.
func (p *prompts) line() (string, error) {
	typed := make(chan string, 1)
	go func() {
		answer, err := p.in.ReadString('\n')
		if err != nil && answer == "" {
			close(typed)
			return
		}
		typed <- answer
	}()
	select {
	case answer, ok := <-typed:
		if ok {
			return strings.TrimSpace(answer), nil
		}
	case <-p.done:
	}
	if isTerminal(p.out) {
		fmt.Fprintln(p.out)
	}
	return "", errAborted
}

// isTerminal says whether a stream is a terminal.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
