package demo

import (
	"context"
	"os"

	"golang.org/x/sys/unix"
)

func isTerminal(f *os.File) bool {
	if f == nil {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// single has each key arrive at once and unseen. Ctrl-C stays a signal.
func single(f *os.File) (restore func(), err error) {
	fd := int(f.Fd())
	was, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return nil, err
	}
	now := *was
	now.Lflag &^= unix.ICANON | unix.ECHO
	now.Cc[unix.VMIN], now.Cc[unix.VTIME] = 1, 0
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, &now); err != nil {
		return nil, err
	}
	return func() { _ = unix.IoctlSetTermios(fd, unix.TCSETS, was) }, nil
}

// keys reads keys until ctx ends or the terminal does.
func keys(ctx context.Context, f *os.File, press func(byte)) {
	poll := []unix.PollFd{{Fd: int32(f.Fd()), Events: unix.POLLIN}}
	buf := make([]byte, 1)
	for ctx.Err() == nil {
		n, err := unix.Poll(poll, 200)
		if err == unix.EINTR || n == 0 {
			continue
		}
		if k, err := f.Read(buf); err != nil || k == 0 {
			return
		}
		press(buf[0])
	}
}

// terminalSize is 80 by 24 unless the terminal says otherwise.
func terminalSize(f *os.File) (width, height int) {
	ws, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil || ws.Col == 0 || ws.Row == 0 {
		return 80, 24
	}
	return int(ws.Col), int(ws.Row)
}
