//go:build !framecheck && !race

package sim

// transfer is how many bytes the transfers carry each way.
const transfer = 10 << 20
