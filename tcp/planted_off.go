//go:build !planted_tcp

package tcp

// planted makes a mistake that the fuzzers must find: take delivers what it has delivered before.
// It is behind the build tag planted_tcp.
const planted = false
