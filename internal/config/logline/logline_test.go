package logline_test

import (
	"os/exec"
	"strings"
	"testing"
	"time"

	"quorate/internal/config/logline"
)

func TestFormat(t *testing.T) {
	values := map[string]any{"levelname": "INFO", "message": "hello", "msecs": 7.5, "lineno": 12}
	for format, want := range map[string]string{
		"%(levelname)s: %(message)s":        "INFO: hello",
		"[%(levelname)-8s] %(message)s 5%%": "[INFO    ] hello 5%",
		"%(msecs)03d %(msecs)s %(msecs).2f": "007 7.5 7.50",
		"%(lineno)5d|%(lineno)s":            "   12|12",
		"plain":                             "plain",
		"":                                  "",
	} {
		f, err := logline.Parse(format)
		if err != nil {
			t.Fatalf("%q: %v", format, err)
		}
		if got := string(f.Append(nil, func(name string) any { return values[name] })); got != want {
			t.Errorf("%q is %q, want %q", format, got, want)
		}
	}
}

func TestFormatRefusals(t *testing.T) {
	for format, want := range map[string]string{
		"%(levelnam)s":    "there is no field levelnam",
		"%s":              "no field of the form",
		"100%":            "no field of the form",
		"%(message)":      "no field of the form",
		"%(message)q or ": "no field of the form",
	} {
		if _, err := logline.Parse(format); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", format, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("%(asctime)s %(levelname)-8s %%")
	f.Fuzz(func(t *testing.T, format string) {
		p, err := logline.Parse(format)
		if err == nil {
			p.Append(nil, func(string) any { return "x" })
		}
	})
}

// Time is compared with strftime itself, by date(1), which takes the same directives.
func TestTimeAsStrftime(t *testing.T) {
	date, err := exec.LookPath("date")
	if err != nil {
		t.Skip(err)
	}
	for _, at := range []time.Time{
		time.Date(2026, 11, 26, 19, 5, 9, 0, time.UTC), time.Date(2027, 1, 3, 0, 0, 0, 0, time.UTC), time.Date(2024, 12, 30, 12, 0, 0, 0, time.UTC),
	} {
		for _, format := range []string{"%a %A %b %B %d %D %e %F %h %H %I %j %m %M %p %R %S %T %y %Y %z %Z %s %u %w %G %V %%", "%Y-%m-%dT%H:%M:%S%z"} {
			cmd := exec.Command(date, "-u", "-d", at.Format(time.RFC3339), "+"+format)
			cmd.Env = []string{"LC_ALL=C"}
			out, err := cmd.Output()
			if err != nil {
				t.Skip(err)
			}
			if got, want := string(logline.AppendTime(nil, at, format)), strings.TrimSuffix(string(out), "\n"); got != want {
				t.Errorf("%s is\n%s, want\n%s", format, got, want)
			}
		}
	}
}
