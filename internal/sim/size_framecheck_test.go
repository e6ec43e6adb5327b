//go:build framecheck

package sim

// transfer is smaller where every holder of a frame is written down.
const transfer = 1 << 20
