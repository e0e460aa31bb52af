package main

// envNumber chooses the change.
const envNumber = "MUTATE_NUMBER"

// helpers are what the changed code calls.
const helpers = `package %s

import (
	"os"
	"strconv"
)

var mutNumber = func() int { n, _ := strconv.Atoi(os.Getenv("MUTATE_NUMBER")); return n }()

func mutIs(id int) bool { return mutNumber == id }

type mutInteger interface {
	~int | ~int8 | ~int16 | ~int32 | ~int64 | ~uint | ~uint8 | ~uint16 | ~uint32 | ~uint64 | ~uintptr
}

func mutOne[T mutInteger](id int) T {
	if mutIs(id) {
		var zero T
		return zero - 1
	}
	return 1
}

func mutBoth(id int, x bool, y func() bool) bool {
	if mutIs(id) {
		return x || y()
	}
	return x && y()
}

func mutEither(id int, x bool, y func() bool) bool {
	if mutIs(id) {
		return x && y()
	}
	return x || y()
}

func mutAdd[T mutInteger](id int, x, y T) T {
	if mutIs(id) {
		return x - y
	}
	return x + y
}

func mutSub[T mutInteger](id int, x, y T) T {
	if mutIs(id) {
		return x + y
	}
	return x - y
}

func mutMul[T mutInteger](id int, x, y T) T {
	if mutIs(id) {
		return x / y
	}
	return x * y
}

func mutQuo[T mutInteger](id int, x, y T) T {
	if mutIs(id) {
		return x * y
	}
	return x / y
}

func mutRem[T mutInteger](id int, x, y T) T {
	if mutIs(id) {
		return x * y
	}
	return x %% y
}

func mutAnd[T mutInteger](id int, x, y T) T {
	if mutIs(id) {
		return x | y
	}
	return x & y
}

func mutOr[T mutInteger](id int, x, y T) T {
	if mutIs(id) {
		return x & y
	}
	return x | y
}

func mutXor[T mutInteger](id int, x, y T) T {
	if mutIs(id) {
		return x & y
	}
	return x ^ y
}

func mutAndNot[T mutInteger](id int, x, y T) T {
	if mutIs(id) {
		return x & y
	}
	return x &^ y
}

func mutShl[T, U mutInteger](id int, x T, y U) T {
	if mutIs(id) {
		return x >> y
	}
	return x << y
}

func mutShr[T, U mutInteger](id int, x T, y U) T {
	if mutIs(id) {
		return x << y
	}
	return x >> y
}
`
