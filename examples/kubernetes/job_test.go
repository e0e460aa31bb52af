package kubernetes

import (
	"os"
	"slices"
	"strings"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

func read(t *testing.T) *batchv1.Job {
	t.Helper()
	b, err := os.ReadFile("job.yaml")
	if err != nil {
		t.Fatal(err)
	}
	j := &batchv1.Job{}
	if err := yaml.UnmarshalStrict(b, j); err != nil {
		t.Fatal(err)
	}
	return j
}

// TestJob decodes the manifest into the API's own types, which refuse what they
// do not know, and looks for what would make it another job than its comment
// says.
func TestJob(t *testing.T) {
	j := read(t)
	if j.APIVersion != "batch/v1" || j.Kind != "Job" || j.Name == "" {
		t.Errorf("%s %s %q", j.APIVersion, j.Kind, j.Name)
	}
	s := &j.Spec
	if s.CompletionMode == nil || *s.CompletionMode != batchv1.IndexedCompletion || s.Completions == nil || s.Parallelism == nil || s.BackoffLimitPerIndex == nil {
		t.Fatalf("not indexed: %+v", s)
	}
	pod := &s.Template.Spec
	if pod.RestartPolicy != "Never" { // podFailurePolicy wants it
		t.Errorf("restartPolicy %s", pod.RestartPolicy)
	}
	c := &pod.Containers[0]
	env := map[string]string{}
	for _, e := range c.Env {
		env[e.Name] = e.Value
		if e.ValueFrom != nil && e.ValueFrom.FieldRef != nil {
			env[e.Name] = e.ValueFrom.FieldRef.FieldPath
		}
	}
	if env["HOLDSHORT_SHARDS"] != "16" || *s.Completions != 16 {
		t.Errorf("%d completions and %s parts", *s.Completions, env["HOLDSHORT_SHARDS"])
	}
	// It is needed by name, to stand in an argument.
	if !strings.Contains(env["JOB_COMPLETION_INDEX"], batchv1.JobCompletionIndexAnnotation) {
		t.Errorf("the index is from %q", env["JOB_COMPLETION_INDEX"])
	}
	if i := slices.Index(c.Args, "--shard"); i < 0 || c.Args[i+1] != "auto" || !slices.Contains(c.Args, "--seed") {
		t.Errorf("arguments %q", c.Args)
	}
	for _, m := range c.VolumeMounts {
		if !slices.ContainsFunc(pod.Volumes, func(v corev1.Volume) bool { return v.Name == m.Name }) {
			t.Errorf("no volume %s", m.Name)
		}
	}
	// Each status has one rule, and those that are worth another try have none.
	ruled := map[int32]batchv1.PodFailurePolicyAction{}
	for _, r := range s.PodFailurePolicy.Rules {
		if r.OnExitCodes == nil {
			continue
		}
		if r.OnExitCodes.ContainerName == nil || *r.OnExitCodes.ContainerName != c.Name {
			t.Errorf("rule for another container: %+v", r)
		}
		for _, n := range r.OnExitCodes.Values {
			ruled[n] = r.Action
		}
	}
	for n, want := range map[int32]batchv1.PodFailurePolicyAction{1: "FailIndex", 2: "FailIndex", 3: "FailIndex", 4: "", 64: "FailJob"} {
		if ruled[n] != want {
			t.Errorf("status %d: %q, want %q", n, ruled[n], want)
		}
	}
}

// TestStrict: a member that the API does not know is no member.
func TestStrict(t *testing.T) {
	b, err := os.ReadFile("job.yaml")
	if err != nil {
		t.Fatal(err)
	}
	bad := strings.Replace(string(b), "completionMode", "completionMod", 1)
	if err := yaml.UnmarshalStrict([]byte(bad), &batchv1.Job{}); err == nil {
		t.Error("a misspelt member is accepted")
	}
}
