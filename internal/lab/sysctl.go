package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// sysctlPath accepts both spellings, net.mptcp.enabled and net/mptcp/enabled;
// an interface name with a dot in it needs the second.
func sysctlPath(key string) string {
	if !strings.Contains(key, "/") {
		key = strings.ReplaceAll(key, ".", "/")
	}
	return filepath.Join("/proc/sys", key)
}

// SetSysctl writes a sysctl of the namespace.
func (ns *NS) SetSysctl(key, value string) error {
	return ns.Do(func() error { return os.WriteFile(sysctlPath(key), []byte(value), 0) })
}

// Sysctl reads a sysctl of the namespace.
func (ns *NS) Sysctl(key string) (value string, err error) {
	err = ns.Do(func() error {
		b, err := os.ReadFile(sysctlPath(key))
		value = strings.TrimSpace(string(b))
		return err
	})
	return value, err
}

// SetBuffers sets the largest automatic TCP receive and send buffers of the
// namespace in bytes: the kernel's defaults are too small for 1 Gbit/s at 40 ms.
func (ns *NS) SetBuffers(recv, send int) error {
	if err := ns.SetSysctl("net/ipv4/tcp_rmem", fmt.Sprintf("4096 131072 %d", recv)); err != nil {
		return err
	}
	return ns.SetSysctl("net/ipv4/tcp_wmem", fmt.Sprintf("4096 65536 %d", send))
}

// SetMPTCP sets the sysctl net.mptcp.KEY, such as checksum_enabled.
func (ns *NS) SetMPTCP(key string, value int) error {
	return ns.SetSysctl("net/mptcp/"+key, strconv.Itoa(value))
}
