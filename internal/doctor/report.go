package doctor

import (
	"cmp"
	"slices"
)

// Level is how bad a finding is.
type Level int

// The levels, the worst first.
const (
	// Danger can lose data, lose the service at the next fault, or keep it from starting.
	Danger Level = iota
	// Warning costs time, room or redundancy when something else goes wrong.
	Warning
	// Note is worth knowing.
	Note
	// Unknown says that a rule could not look.
	Unknown
)

var levelNames = [...]string{"danger", "warning", "note", "unknown"}

// String is the level's name.
func (l Level) String() string { return levelNames[l] }

// MarshalText writes the name.
func (l Level) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// Finding is one thing that a person should know.
type Finding struct {
	Level  Level  `json:"level"`
	Code   string `json:"code"`  // the rule's, stable between versions
	Where  string `json:"where"` // a folder, a member, a setting
	Text   string `json:"text"`
	Remedy string `json:"remedy"`
}

// Report is the outcome.
type Report struct {
	Findings []Finding `json:"findings"` // in the order of danger
	Fine     []string  `json:"fine"`     // rules that looked and found nothing
}

// Worst is the level of the worst finding; Unknown when there is none.
func (r Report) Worst() Level {
	if len(r.Findings) == 0 {
		return Unknown
	}
	return r.Findings[0].Level
}

// Count is how many findings have a level.
func (r Report) Count(l Level) int {
	n := 0
	for _, f := range r.Findings {
		if f.Level == l {
			n++
		}
	}
	return n
}

// Rule looks at the facts for one kind of fault.
type Rule struct {
	Code  string
	Looks string // what it looks at, for the list of rules
	// Applies says whether there is anything to look at; nil: always.
	Applies func(*Facts) bool
	Check   func(*Facts) []Finding
}

// Diagnose applies all rules. Within a level the order is that of [Rules]: the order of danger.
func Diagnose(f *Facts) Report {
	r := Report{Findings: []Finding{}, Fine: []string{}}
	for _, rule := range Rules() {
		if rule.Applies != nil && !rule.Applies(f) {
			continue
		}
		found := rule.Check(f)
		if len(found) == 0 {
			r.Fine = append(r.Fine, rule.Code)
		}
		for _, x := range found {
			x.Code = rule.Code
			r.Findings = append(r.Findings, x)
		}
	}
	for _, g := range f.Gone {
		r.Findings = append(r.Findings, Finding{Level: Unknown, Code: "gather", Text: g})
	}
	slices.SortStableFunc(r.Findings, func(a, b Finding) int { return cmp.Compare(a.Level, b.Level) })
	return r
}

// Rules are all rules, in the order of danger.
func Rules() []Rule {
	return slices.Concat(dataRules, writerRules, storeRules, folderRules, memberRules, loginRules, reachRules, slotRules, settingRules,
		clockRules, limitRules, certificateRules, watchdogRules, kernelRules)
}

func danger(where, text, remedy string) Finding {
	return Finding{Level: Danger, Where: where, Text: text, Remedy: remedy}
}

func warning(where, text, remedy string) Finding {
	return Finding{Level: Warning, Where: where, Text: text, Remedy: remedy}
}

func note(where, text, remedy string) Finding {
	return Finding{Level: Note, Where: where, Text: text, Remedy: remedy}
}

func unknown(where, text, remedy string) Finding {
	return Finding{Level: Unknown, Where: where, Text: text, Remedy: remedy}
}
