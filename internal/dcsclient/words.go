package dcsclient

import (
	"regexp"
	"strings"
)

// What gRPC says around the words of a server or of the network.
var (
	late       = regexp.MustCompile(`rpc error: code = DeadlineExceeded desc = context deadline exceeded`)
	coded      = regexp.MustCompile(`(rpc error: code = \w+ desc = )+`)
	connection = regexp.MustCompile(`connection error: desc = "(?:error reading server preface: )?(?:raw-read tcp [^ "]+: )?([^"]*)"`)
	dialling   = regexp.MustCompile(`connection error: desc = "transport: (?:Error while dialing: )?(?:dial tcp [^ "]+: )?(?:connect: )?([^"]*)"`)
)

// Words says an error of the store, which may be one for each of its hosts, on one line and without what gRPC says around each.
func Words(err error) string {
	text := late.ReplaceAllString(err.Error(), "no answer in time")
	text = coded.ReplaceAllString(text, "")
	text = dialling.ReplaceAllString(text, "$1")
	text = connection.ReplaceAllString(text, "$1")
	return strings.ReplaceAll(text, "\n", "; ")
}
