//go:build planted_mptcp

package mptcp

const planted = true
