// Package compare launches the same requests on several kernels and says in
// what the kernels differ: the differential oracle.
//
//	record (in each guest)                    compare (on the host)
//	PortableCase(seed, i) ──▶ launch twice ──▶ lines ──▶ Compare ──▶ Differences
//
// A case is compared on the kernels on which it came to the same request, of
// which a hash is written down. What is compared is whether it was refused and
// where, the verdict, the findings, and of every field how it stands to what was
// expected and, if it is no identifier, its value. What differs between two
// launches on one kernel is left out, and counted.
//
// A difference is explained if a fact of [Facts] is about it and the feature
// that the fact names, which was probed on each kernel, is another wherever the
// values are. All others are findings.
package compare
