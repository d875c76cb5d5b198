package etcdhost

import (
	"fmt"
	"io"
)

// Help lists the options: first those that do something here.
func Help(w io.Writer) {
	fmt.Fprint(w, "Usage: etcd [flags]\n\nA store host of Quorate that is configured as etcd is. Each flag is also a variable, as ETCD_DATA_DIR.\n\n")
	for _, o := range options {
		if o.note == "" {
			fmt.Fprintf(w, "  --%s '%s'\n", o.name, o.def)
		}
	}
	fmt.Fprint(w, "\nAccepted, without meaning here:\n\n")
	for _, o := range options {
		if o.note != "" && o.note != noDiscovery && o.note != noSettings && o.name != "proxy" {
			fmt.Fprintf(w, "  --%s  (%s)\n", o.name, o.note)
		}
	}
}
