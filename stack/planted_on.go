//go:build planted_stack

package stack

const planted = true
