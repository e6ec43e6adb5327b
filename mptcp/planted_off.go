//go:build !planted_mptcp

package mptcp

// planted makes a mistake that the fuzzers must find: deliver keeps the frames of what came before.
// It is behind the build tag planted_mptcp.
const planted = false
