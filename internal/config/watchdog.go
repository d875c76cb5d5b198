package config

import (
	"fmt"
	"strings"
	"time"

	"quorate/internal/config/dynamic"
)

// watchdog reads the device's section.
func (p *parser) watchdog(s *section) {
	p.c.Watchdog = Watchdog{
		Mode:         read(s, "mode", "automatic", watchdogMode),
		Device:       s.textOr("device", "/dev/watchdog"),
		SafetyMargin: s.duration("safety_margin", 5*time.Second),
		Driver:       s.textOr("driver", "default"),
	}
	s.unknown()
}

// watchdogMode reads the mode. A bare off is a boolean in YAML's older version, and so means what it says.
func watchdogMode(v any) (string, error) {
	switch word := strings.ToLower(dynamic.Text(v)); word {
	case "off", "false", "disable", "disabled", "no":
		return "off", nil
	case "automatic", "auto":
		return "automatic", nil
	case "required", "require":
		return "required", nil
	}
	return "", fmt.Errorf("one of off, automatic, required")
}
