//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
)

const (
	// maxSpread: a figure whose middle half of runs is spread over more than
	// this part of its median says nothing about anything.
	maxSpread = 0.25
	// maxRetries bounds how many times the planned runs are added to a case
	// that is spread too wide.
	maxRetries = 2
)

// Report is what a command found out.
type Report struct {
	Command string      `json:"command"`
	Commit  string      `json:"commit"`
	Env     Environment `json:"env"`
	Figures []*Figure   `json:"figures"`

	runs     int
	distrust []string
}

// Figure is one number with what it was made of: the median, the extremes and
// the number of runs. Ratio is how much better than the peer we were in the
// same run (above 1 we win); Bar and Aim are of the ratio where there is a
// peer, else of the value.
type Figure struct {
	Name      string   `json:"name"` // command.case.quantity
	Unit      string   `json:"unit"`
	Value     float64  `json:"value"`
	Min       float64  `json:"min"`
	Max       float64  `json:"max"`
	Runs      int      `json:"runs"`
	Peer      string   `json:"peer,omitempty"`
	PeerValue *float64 `json:"peer_value,omitempty"`
	Ratio     *float64 `json:"ratio,omitempty"`
	Bar       *float64 `json:"bar,omitempty"`
	Aim       *float64 `json:"aim,omitempty"`
	Better    string   `json:"better"`
	Pass      *bool    `json:"pass,omitempty"`
}

// What is better, for Figure.Better.
const (
	higher      = "higher"
	lower       = "lower"
	higherRatio = "higher ratio"
)

// Quantity is one number of one run of a case.
type Quantity struct {
	Name, Unit, Better string
	Value              float64
}

// Case is something to be run several times. Each run makes the same
// quantities in the same order; the first is the one that must be steady.
type Case struct {
	Name string
	Run  func() ([]Quantity, error)
}

func newReport(command string, runs int) *Report {
	return &Report{Command: command, Commit: commit(), Env: environment(), runs: max(1, runs)}
}

// Measure runs the cases in turns, so that a slow minute of the machine hits
// all of them, and adds their figures. A case that is spread too wide is run
// again; if that does not help the report is not to be trusted.
func (r *Report) Measure(cases []Case) error {
	runs := make([][][]Quantity, len(cases))
	for range 1 + maxRetries {
		var turn []int
		for i := range cases {
			if len(runs[i]) == 0 || !steady(runs[i]) {
				turn = append(turn, i)
			}
		}
		for range r.runs {
			for _, i := range turn {
				q, err := cases[i].Run()
				if err != nil {
					return fmt.Errorf("%s: %w", cases[i].Name, err)
				}
				runs[i] = append(runs[i], q)
			}
		}
	}
	for i, c := range cases {
		r.figures(c.Name, runs[i])
		if !steady(runs[i]) {
			r.Distrust("%s.%s is spread too wide after %d runs", r.Command, c.Name, len(runs[i]))
		}
	}
	return nil
}

func (r *Report) figures(name string, runs [][]Quantity) {
	for j, q := range runs[0] {
		values := column(runs, j)
		r.Add(name+"."+q.Name, q.Unit, q.Better, values)
	}
}

// Add makes a figure of the values of several runs.
func (r *Report) Add(name, unit, better string, values []float64) *Figure {
	f := &Figure{
		Name: r.Command + "." + name, Unit: unit, Better: better, Runs: len(values),
		Value: median(values), Min: slices.Min(values), Max: slices.Max(values),
	}
	r.Figures = append(r.Figures, f)
	return f
}

// Against compares with a peer that was measured in the same runs. What is
// better of the values was given to Add; of the ratio it is always more.
func (f *Figure) Against(peer string, values []float64) *Figure {
	p := median(values)
	ratio := f.Value / p
	if f.Better == lower {
		ratio = p / f.Value
	}
	f.Peer, f.PeerValue, f.Ratio, f.Better = peer, &p, &ratio, higherRatio
	return f
}

// Judge sets what must be and what should be reached.
func (f *Figure) Judge(bar, aim float64) *Figure {
	got := f.Value
	if f.Ratio != nil {
		got = *f.Ratio
	}
	pass := got >= bar
	if f.Better == lower {
		pass = got <= bar
	}
	f.Bar, f.Aim, f.Pass = &bar, &aim, &pass
	return f
}

// Distrust says why the report is not to be trusted.
func (r *Report) Distrust(format string, args ...any) {
	r.distrust = append(r.distrust, fmt.Sprintf(format, args...))
}

// publish prints the report, and writes it to dir if there is one.
func (r *Report) publish(w io.Writer, asJSON bool, dir string) error {
	object, err := json.Marshal(r)
	if err != nil {
		return err
	}
	object = append(object, '\n')
	if dir != "" {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, r.Command+".json"), object, 0o644); err != nil {
			return err
		}
	}
	if asJSON {
		_, err = w.Write(object)
		return err
	}
	return r.table(w)
}

func (r *Report) table(w io.Writer) error {
	fmt.Fprintf(w, "%s at %s: %s\n\n", r.Command, r.Commit, r.Env)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	compared := slices.ContainsFunc(r.Figures, func(f *Figure) bool { return f.Peer != "" || f.Bar != nil })
	head := []string{"figure", "median", "min", "max", "runs", "unit", ""}
	if compared {
		head = append(head[:6], "peer", "peer's", "ratio", "bar", "aim", "pass", "")
	}
	fmt.Fprintln(t, strings.Join(head, "\t"))
	wide := 0
	for _, f := range r.Figures {
		wide = max(wide, len(f.Name))
	}
	for _, f := range r.Figures {
		name := fmt.Sprintf("%-*s", wide, f.Name) // names to the left, numbers to the right
		row := []string{name, number(&f.Value), number(&f.Min), number(&f.Max), fmt.Sprint(f.Runs), f.Unit}
		if compared {
			row = append(row, f.Peer, number(f.PeerValue), number(f.Ratio), number(f.Bar), number(f.Aim), verdict(f.Pass))
		}
		fmt.Fprintln(t, strings.Join(append(row, ""), "\t"))
	}
	return t.Flush()
}

func number(v *float64) string {
	switch {
	case v == nil:
		return ""
	case *v >= 100 || *v <= -100:
		return fmt.Sprintf("%.0f", *v)
	}
	return fmt.Sprintf("%.3g", *v)
}

func verdict(pass *bool) string {
	switch {
	case pass == nil:
		return ""
	case *pass:
		return "yes"
	}
	return "NO"
}

func column(runs [][]Quantity, j int) []float64 {
	values := make([]float64, len(runs))
	for i := range runs {
		values[i] = runs[i][j].Value
	}
	return values
}

// steady reports whether the middle half of the runs is close together.
func steady(runs [][]Quantity) bool {
	values := column(runs, 0)
	slices.Sort(values)
	n := len(values)
	return values[n-1-n/4]-values[n/4] <= maxSpread*median(values)
}

func median(values []float64) float64 {
	v := slices.Sorted(slices.Values(values))
	if n := len(v); n%2 == 0 {
		return (v[n/2-1] + v[n/2]) / 2
	}
	return v[len(v)/2]
}
