// Package matchers has Gomega matchers for suites that test how processes are
// confined, those of this project or of an engine's authors. It is made to be
// imported with a dot:
//
//	c, err := runner.Run(ctx, req, nil)
//	Expect(err).NotTo(HaveOccurred())
//	Expect(c).To(BeConstrained())
//	Expect(c).To(HaveNoCapabilities())
//	Expect(c).To(BeInNewNamespaces("pid", "net"))
//	Expect(c).To(HavePosture("ids.uid", BeEquivalentTo(1000)))
//
// Matchers take a [harness.Case] or a [harness.Report], most of them also a
// [posture.Posture]. What they say of a posture is about the workload's first
// instruction: the latest snapshot before it ran. A field that could not be
// read is an error, not a mismatch, so that it passes neither To nor NotTo.
package matchers
