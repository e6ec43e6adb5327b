//go:build planted_tcp

package tcp

const planted = true
