// Package fuzz draws requests at random: case i of a campaign is a pure
// function of a seed, i, and what the machine can do, so that any process can
// compute any case, and a seed and a number are all that a reproducer needs.
//
// Every request that is drawn can be fulfilled on the machine that it was drawn
// for: one that is refused, or not seen to hold, is a bug of the launcher, the
// observer, the oracle, or of this package.
package fuzz
