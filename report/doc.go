// Package report merges results of any number of runs and writes them down for
// people (text, Markdown, HTML) and for programs (JSON, JUnit, SARIF).
//
//	var s report.Set
//	err := s.ReadFile("3.jsonl") // and more, in any order, as often as one likes
//	doc := s.Document()
//	err = doc.HTML(w)
//
// A [Set] is a set: adding is associative, commutative and idempotent, so the
// results of 64 shards come to what one process would have found. It takes the
// result files of holdshort fuzz, the JSON of holdshort matrix, and reports of
// single cases. What of a file cannot be read is named in the document, and the
// rest counts.
//
// Nothing of the results is trusted: they may come from another machine, and
// hold what a workload was called.
package report
