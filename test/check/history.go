package check

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
)

// History collects the attempts of any number of writers at once. The zero value is empty and usable.
type History struct {
	mu    sync.Mutex
	ops   []Op
	index map[string]int
}

// Record adds an attempt, or replaces the earlier record of the same id: writers record an attempt as Unknown before they send it, and again when they
// know more. So a writer that is killed leaves no commit that nobody seems to have sent.
func (h *History) Record(op Op) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.index == nil {
		h.index = make(map[string]int)
	}
	if i, ok := h.index[op.ID]; ok {
		h.ops[i] = op
		return
	}
	h.index[op.ID] = len(h.ops)
	h.ops = append(h.ops, op)
}

// Ops is a copy of what was recorded, in order of the first record of each attempt.
func (h *History) Ops() []Op {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]Op(nil), h.ops...)
}

// Acked counts the acknowledged commits.
func (h *History) Acked() int {
	n := 0
	for _, op := range h.Ops() {
		if op.Outcome == Acked {
			n++
		}
	}
	return n
}

// Last is the latest record of a writer; ok is false before its first.
func (h *History) Last(writer string) (op Op, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := len(h.ops) - 1; i >= 0; i-- {
		if h.ops[i].Writer == writer {
			return h.ops[i], true
		}
	}
	return Op{}, false
}

// ReadLines records JSON lines as a writer process prints them. An unfinished last line, as a killed process leaves, is passed over;
// any other bad line is an error that names its number.
func (h *History) ReadLines(r io.Reader) error {
	br := bufio.NewReader(r)
	for n := 1; ; n++ {
		line, err := br.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil // whatever is in line has no end
		}
		if err != nil {
			return err
		}
		var op Op
		dec := json.NewDecoder(bytes.NewReader(line))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&op); err != nil {
			return fmt.Errorf("check: line %d: %w", n, err)
		}
		h.Record(op)
	}
}
