//go:build bench

package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// table collects figures: a row for each scenario, and one more for each that has a rejoin; a group of columns for each product, ours first.
type table struct {
	scenarios []scenario
	products  []product
	cells     map[string]*cell // by product and scenario
	failures  []string
}

// cell is what one product's runs of a scenario gave.
type cell struct {
	outages, rejoins              []time.Duration
	failed, terms, lost, violated int
}

func newTable(scenarios []scenario, products []product) *table {
	return &table{scenarios: scenarios, products: products, cells: map[string]*cell{}}
}

func (t *table) cell(p product, s scenario) *cell {
	key := p.name + "/" + s.name
	if t.cells[key] == nil {
		t.cells[key] = &cell{}
	}
	return t.cells[key]
}

func (t *table) add(p product, s scenario, m measurement) {
	c := t.cell(p, s)
	c.outages = append(c.outages, m.outage.Duration)
	c.terms += m.terms
	c.lost += m.lost
	c.violated += m.violations
	if s.rejoin > 0 {
		c.rejoins = append(c.rejoins, m.rejoin)
	}
}

func (t *table) fail(p product, s scenario, err error) {
	t.cell(p, s).failed++
	t.failures = append(t.failures, fmt.Sprintf("%s, %s: %v", p.name, s.name, err))
}

func (t *table) String() string {
	var b strings.Builder
	b.WriteString("| row, s without a commit |")
	for i, p := range t.products {
		fmt.Fprintf(&b, " %s: runs | median | worst |", p.name)
		if i == 0 {
			b.WriteString(" target | met |")
		}
	}
	b.WriteString(" more terms | lost | two primaries |\n| --- |")
	b.WriteString(strings.Repeat(" --- |", 3*len(t.products)+5) + "\n")
	for _, s := range t.scenarios {
		t.row(&b, s, s.title, s.target, func(c *cell) []time.Duration { return c.outages })
		if s.rejoin > 0 {
			t.row(&b, s, "until it follows again after its return ("+s.title+")", s.rejoin, func(c *cell) []time.Duration { return c.rejoins })
		}
	}
	if len(t.failures) > 0 {
		fmt.Fprintf(&b, "\nRuns that gave no figure:\n\n- %s\n", strings.Join(t.failures, "\n- "))
	}
	return b.String()
}

// row writes one line. The counts at its end are those of all products, ours first.
func (t *table) row(b *strings.Builder, s scenario, title string, target time.Duration, figures func(*cell) []time.Duration) {
	fmt.Fprintf(b, "| %s |", title)
	var terms, lost, violated []string
	for i, p := range t.products {
		c := t.cell(p, s)
		d := figures(c)
		fmt.Fprintf(b, " %s | %s | %s |", runsOf(c), seconds(median(d)), seconds(worst(d)))
		if i == 0 {
			fmt.Fprintf(b, " %s | %s |", seconds(target), met(d, target))
		}
		terms = append(terms, fmt.Sprint(c.terms))
		lost = append(lost, fmt.Sprint(c.lost))
		violated = append(violated, fmt.Sprint(c.violated))
	}
	for _, counts := range [][]string{terms, lost, violated} {
		fmt.Fprintf(b, " %s |", strings.Join(counts, " / "))
	}
	b.WriteString("\n")
}

// runsOf counts the runs, and says how many of them gave a figure if not all did.
func runsOf(c *cell) string {
	if c.failed == 0 {
		return fmt.Sprint(len(c.outages))
	}
	return fmt.Sprintf("%d of %d", len(c.outages), len(c.outages)+c.failed)
}

// seconds of a negative duration is a dash: there is no such figure.
func seconds(d time.Duration) string {
	if d < 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", d.Seconds())
}

// median of an even number is the greater of the two in the middle: no figure that nobody measured. Negative without any.
func median(d []time.Duration) time.Duration {
	if len(d) == 0 {
		return -1
	}
	return slices.Sorted(slices.Values(d))[len(d)/2]
}

func worst(d []time.Duration) time.Duration {
	if len(d) == 0 {
		return -1
	}
	return slices.Max(d)
}

// met says whether even the worst run reached the target; a target below what the method can see is met by what it cannot see.
func met(d []time.Duration, target time.Duration) string {
	switch {
	case len(d) == 0 || target < 0:
		return "-"
	case worst(d) <= max(target, grain):
		return "yes"
	case median(d) <= max(target, grain):
		return "median"
	}
	return "no"
}
