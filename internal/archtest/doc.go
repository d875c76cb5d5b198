// Package archtest holds what no linter knows of this tree: who may import whom, which packages are pure, who may end the process and how long
// files and functions are (docs/design.md, section 3). It has tests only.
package archtest
