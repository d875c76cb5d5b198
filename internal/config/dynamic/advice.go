package dynamic

import (
	"fmt"
	"time"
)

// longTTL is from where on a ttl on our own store is pointed out.
const longTTL = 10 * time.Second

// Advice is what is allowed and unwise in a configuration, a sentence each with its remedy; for the log at start and for `list`.
func (c Config) Advice(own bool) []string {
	var out []string
	if own && c.TTL > longTTL {
		out = append(out, fmt.Sprintf("ttl is %s s: so long writes stop when a primary's host is lost. On Quorate's own store 3 s is enough: "+
			"quorate edit-config -s ttl=3 -s loop_wait=1 -s retry_timeout=1", seconds(c.TTL)))
	}
	if c.SynchronousModeStrict && !c.SynchronousMode.Enabled() {
		out = append(out, "synchronous_mode_strict has no effect while synchronous_mode is off: quorate edit-config -s synchronous_mode=on")
	}
	if !c.PostgreSQL.UseSlots {
		out = append(out, "use_slots is off: a replica that was away too long needs a new copy: quorate edit-config -s postgresql.use_slots=true")
	}
	return out
}
