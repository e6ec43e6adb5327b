//go:build framecheck || race

package sim

// transfer is smaller where every holder of a frame, or every access, is
// written down.
const transfer = 4 << 20
