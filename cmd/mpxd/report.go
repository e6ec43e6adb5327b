//go:build linux

package main

import (
	"fmt"
	"io"
	"strings"
)

// report is what the demo found; its JSON form is for programs and stable.
type report struct {
	XDPMode     string           `json:"xdp_mode"`
	Paths       []pathReport     `json:"paths"`
	Both        rates            `json:"both"`
	Efficiency  float64          `json:"efficiency"`
	Cut         cutReport        `json:"cut"`
	SHA256OK    bool             `json:"sha256_ok"`
	KernelMPTCP map[string]int64 `json:"kernel_mptcp"`
	Emulator    emulatorReport   `json:"emulator"`
}

type rates struct {
	DownMbps float64 `json:"down_mbps"`
	UpMbps   float64 `json:"up_mbps"`
}

type pathReport struct {
	Name     string  `json:"name"`
	RateMbps float64 `json:"rate_mbps"`
	RTTms    float64 `json:"rtt_ms"`
	rates
}

type cutReport struct {
	StallMs     float64 `json:"stall_ms"`
	LostBytes   int64   `json:"lost_bytes"`
	BackInUseMs float64 `json:"back_in_use_ms"`
}

type emulatorReport struct {
	LateP99us int64 `json:"late_p99_us"`
}

// table prints the report for a newcomer.
func (r *report) table(w io.Writer) {
	fmt.Fprintf(w, "\n  %-22s %12s %12s\n", "Mbit/s of payload", "download", "upload")
	for _, p := range r.Paths {
		name := fmt.Sprintf("%s  %g/%g ms", p.Name, p.RateMbps, p.RTTms)
		fmt.Fprintf(w, "  %-22s %12.0f %12.0f\n", name, p.DownMbps, p.UpMbps)
	}
	fmt.Fprintf(w, "  %-22s %12.0f %12.0f\n", "both", r.Both.DownMbps, r.Both.UpMbps)
	fmt.Fprintf(w, "\n  efficiency    %.2f of the sum of the paths (download)\n", r.Efficiency)
	fmt.Fprintf(w, "  wifi cut      the download stood still for %.0f ms, %d bytes lost; wifi in use again %.0f ms after its return\n",
		r.Cut.StallMs, r.Cut.LostBytes, r.Cut.BackInUseMs)
	sum := "every byte as sent"
	if !r.SHA256OK {
		sum = "BYTES DIFFER"
	}
	fmt.Fprintf(w, "  SHA-256       %s\n", sum)
	fmt.Fprintf(w, "  kernel client %s\n", r.kernel())
	fmt.Fprintf(w, "  mode          %s on veth; emulator's lateness p99 %d us\n", r.XDPMode, r.Emulator.LateP99us)
	fmt.Fprintln(w, "\n  A demonstration on virtual links, not a measurement of a NIC.")
}

// shown are the kernel's counters that a newcomer can make sense of.
var shown = []struct{ name, text string }{
	{"MPCapableSYNTX", "MPTCP offered"},
	{"MPCapableSYNACKRX", "accepted"},
	{"MPJoinSynAckRx", "subflows joined"},
}

func (r *report) kernel() string {
	var parts []string
	for _, s := range shown {
		parts = append(parts, fmt.Sprintf("%s %d", s.text, r.KernelMPTCP[s.name]))
	}
	return strings.Join(parts, ", ")
}
