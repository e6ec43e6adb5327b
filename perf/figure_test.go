//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
)

// report runs cases that give prepared values, and counts the runs.
func report(t *testing.T, runs int, values map[string][]float64) (*Report, map[string]int) {
	t.Helper()
	r := &Report{Command: "test", runs: runs}
	calls := map[string]int{}
	var order []string
	var cases []Case
	for _, name := range slices.Sorted(maps.Keys(values)) {
		cases = append(cases, Case{name, func() ([]Quantity, error) {
			v := values[name][calls[name]%len(values[name])]
			calls[name]++
			order = append(order, name)
			return []Quantity{{"rate", "1/s", higher, v}}, nil
		}})
	}
	if err := r.Measure(cases); err != nil {
		t.Fatal(err)
	}
	if len(cases) > 1 && order[0] == order[1] {
		t.Error("the cases did not take turns")
	}
	return r, calls
}

func TestMeasure(t *testing.T) {
	r, calls := report(t, 5, map[string][]float64{
		"calm": {100, 101, 99, 100, 500}, // one outlier is no spread
		"wild": {1, 10, 100, 1000, 5, 50},
	})
	if calls["calm"] != 5 || calls["wild"] != 5*(1+maxRetries) {
		t.Errorf("runs: %v", calls)
	}
	f := r.Figures[0]
	if f.Name != "test.calm.rate" || f.Value != 100 || f.Min != 99 || f.Max != 500 || f.Runs != 5 {
		t.Errorf("%+v", f)
	}
	if len(r.distrust) != 1 || !strings.Contains(r.distrust[0], "wild") {
		t.Errorf("distrusted: %q", r.distrust)
	}
}

func TestARetryHelps(t *testing.T) {
	r, calls := report(t, 3, map[string][]float64{"late": {50, 100, 100, 100, 100, 100}})
	if calls["late"] != 6 || len(r.distrust) != 0 {
		t.Errorf("%d runs, distrusted: %q", calls["late"], r.distrust)
	}
}

func TestRatioIsHowMuchBetterWeAre(t *testing.T) {
	r := &Report{Command: "test"}
	fast := r.Add("a.rate", "1/s", higher, []float64{200}).Against("kernel", []float64{100}).Judge(1.5, 3)
	cheap := r.Add("b.cost", "ns", lower, []float64{50}).Against("kernel", []float64{100}).Judge(2.5, 3)
	alone := r.Add("c.cost", "ns", lower, []float64{50}).Judge(60, 40)
	if *fast.Ratio != 2 || !*fast.Pass || *cheap.Ratio != 2 || *cheap.Pass || !*alone.Pass {
		t.Errorf("%+v %+v %+v", fast, cheap, alone)
	}
}

func TestPublish(t *testing.T) {
	r := &Report{Command: "test", Commit: "abc"}
	r.Add("a.rate", "1/s", higher, []float64{1, 2, 4})
	dir := t.TempDir()
	var table, object bytes.Buffer
	if err := r.publish(&table, false, dir); err != nil {
		t.Fatal(err)
	}
	if err := r.publish(&object, true, ""); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(table.String(), "test.a.rate") {
		t.Error(table.String())
	}
	var back map[string]any
	if err := json.Unmarshal(object.Bytes(), &back); err != nil {
		t.Fatal(err)
	}
	f := back["figures"].([]any)[0].(map[string]any)
	if f["name"] != "test.a.rate" || f["value"] != 2.0 || f["min"] != 1.0 || f["runs"] != 3.0 || f["better"] != "higher" {
		t.Error(object.String())
	}
	if _, ok := f["pass"]; ok {
		t.Error("judged without a bar")
	}
}
