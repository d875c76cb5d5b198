package rest

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/expfmt"
)

// nodeMetric is one of Patroni's metrics. Value reports false when the metric is not shown.
type nodeMetric struct {
	name, help string
	kind       string // gauge or counter
	value      func(s *NodeStatus, fresh bool) (float64, bool)
}

// getMetrics shows the node's status as Patroni's metrics, in its order, and after it what the process measures of itself.
func (s *Server) getMetrics(w http.ResponseWriter, _ *http.Request) {
	var page bytes.Buffer
	status := s.opt.Backend.Status()
	writeNodeMetrics(&page, status, status.View.Fresh(s.opt.Now()))
	if err := s.writeOwnMetrics(&page); err != nil {
		s.opt.Logger.Error("not all metrics can be shown", "error", err)
	}
	s.reply(w, http.StatusOK, string(expfmt.NewFormat(expfmt.TypeTextPlain)), page.Bytes())
}

// writeNodeMetrics writes the numbers as Patroni writes them, all digits and no exponent: there are scripts that take a position or a time
// out of the page and calculate with it. Prometheus's library writes 8.5e+07.
func writeNodeMetrics(page *bytes.Buffer, s *NodeStatus, fresh bool) {
	escape := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)
	labels := fmt.Sprintf(`{scope="%s",name="%s"}`, escape.Replace(s.Scope), escape.Replace(s.Name))
	for _, m := range nodeMetrics {
		if v, ok := m.value(s, fresh); ok {
			fmt.Fprintf(page, "# HELP %s %s\n# TYPE %s %s\n%s%s %s\n", m.name, m.help, m.name, m.kind, m.name, labels, m.text(v))
		}
	}
}

// text is a value in decimal. A version has two digits for each part, the first one's included.
func (m nodeMetric) text(v float64) string {
	if m.name == versionName {
		return fmt.Sprintf("%06.0f", v)
	}
	return strconv.FormatFloat(v, 'f', -1, 64)
}

// writeOwnMetrics writes what can be had, whatever error it returns: one family that cannot be shown takes no other along.
func (s *Server) writeOwnMetrics(page *bytes.Buffer) error {
	if s.opt.Gatherer == nil {
		return nil
	}
	families, err := s.opt.Gatherer.Gather()
	for _, f := range families {
		whole := page.Len()
		if _, failed := expfmt.MetricFamilyToText(page, f); failed != nil {
			page.Truncate(whole)
			err = errors.Join(err, fmt.Errorf("%s: %w", f.GetName(), failed))
		}
	}
	return err
}

func gauge(name, help string, value func(s *NodeStatus, fresh bool) float64) nodeMetric {
	return nodeMetric{name, help, "gauge", func(s *NodeStatus, fresh bool) (float64, bool) { return value(s, fresh), true }}
}

func flag(name, help string, value func(s *NodeStatus, fresh bool) bool) nodeMetric {
	return gauge(name, help, func(s *NodeStatus, fresh bool) float64 { return number01(value(s, fresh)) })
}

// counter shows a position of the WAL, which only an answering PostgreSQL tells.
func counter(name, help string, value func(p Postgres) uint64) nodeMetric {
	return nodeMetric{name, help, "counter", func(s *NodeStatus, _ bool) (float64, bool) {
		if !s.Postgres.Answering {
			return 0, true
		}
		return float64(value(s.Postgres)), true
	}}
}

func number01(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func unixSeconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMicro()) / 1e6
}

// versionName is the metric whose value is a version.
const versionName = "patroni_version"

// versionMetric turns 4.1.4 into 40104.
func versionMetric(version string) float64 {
	n := 0
	for part := range strings.SplitSeq(version, ".") {
		digits, err := strconv.Atoi(part)
		if err != nil {
			return 0
		}
		n = n*100 + digits
	}
	return float64(n)
}
