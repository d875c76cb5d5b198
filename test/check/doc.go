// Package check judges a database cluster by what its clients saw. Writers (package writer) record every attempt to commit as an Op; the functions here
// look at the whole history and say what it proves:
//
//   - CheckIDs: no acknowledged commit is lost, none is there twice, none is there that nobody sent;
//   - CheckTerms: no two primaries acknowledged writes at once, in whatever way the writers reached them;
//   - MeasureOutage: how long no commit was acknowledged around a fault.
//
// The checkers are functions of values. They never guess: an attempt whose outcome its client cannot know may have happened or not, and
// is a violation in neither case.
package check
