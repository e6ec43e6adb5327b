//go:build !planted_stack

package stack

// planted makes a mistake that the fuzzers must find: send keeps frames that were sent.
// It is behind the build tag planted_stack.
const planted = false
