// Package cover combines the values of parameters such that few rows show many
// interactions: covering arrays, in which every feasible combination of t values
// occurs at least once, and a meter that counts which combinations any rows had.
//
// A [Space] has parameters with a few values each and combinations that are
// forbidden. What no valid row can contain is infeasible, and in no count.
// Strengths 2 and 3 are exact. Nothing here is random: every choice is a
// function of a seed, the same on every machine and in every version of Go.
package cover
