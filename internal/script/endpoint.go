package script

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/mpxd/mpxd/mptcp"
)

// pathCommand obeys `ip mptcp ...`. Before the host runs it is the policy of all
// connections; then it is done to the connection that a call named last:
//
//	ip mptcp limits set [subflows N] [add_addr_accepted N]
//	ip mptcp endpoint add ADDR [id N] [port N] [signal] [subflow] [backup] [fullmesh]
//	ip mptcp endpoint delete id N
//	ip mptcp endpoint change id N backup|nobackup
//
// The first address is id 0.
func (r *runner) pathCommand(words []string) error {
	what := strings.Join(words, " ")
	args := map[string]string{}
	for i := 2; i < len(words); i++ {
		switch w := words[i]; w {
		case "id", "port", "subflows", "add_addr_accepted", "dev":
			if i+1 < len(words) {
				args[w] = words[i+1]
			}
			i++
		default:
			args[w] = ""
		}
	}
	number := func(name string, bits int) (n uint64, err error) {
		if v, ok := args[name]; ok {
			n, err = strconv.ParseUint(v, 10, bits)
		}
		return n, err
	}
	id, err := number("id", 8)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	has := func(name string) bool { _, ok := args[name]; return ok }
	switch {
	case strings.HasPrefix(what, "limits set") && r.host == nil:
		return r.limits(number)
	case strings.HasPrefix(what, "endpoint add"):
		port, err := number("port", 16)
		if err != nil || len(words) < 3 {
			return fmt.Errorf("%s: %v", what, err)
		}
		e := mptcp.Endpoint{ID: uint8(id), Port: uint16(port)}
		for name, flag := range map[string]mptcp.EndpointFlags{"signal": mptcp.Signal, "subflow": mptcp.Subflow, "backup": mptcp.Backup, "fullmesh": mptcp.Fullmesh} {
			if has(name) {
				e.Flags |= flag
			}
		}
		return r.addEndpoint(words[2], e)
	case r.host == nil || r.last == nil || !r.last.opened:
		return needs("`ip mptcp %s` before there is a connection", what)
	case strings.HasPrefix(what, "endpoint delete"):
		return r.shard.Withdraw(r.last.conn, uint8(id))
	case strings.HasPrefix(what, "endpoint change"):
		r.shard.EachSubflow(r.last.conn, func(f mptcp.Flow, i mptcp.SubflowInfo) {
			if i.LocalID == uint8(id) {
				err = r.shard.SetBackup(f, has("backup"))
			}
		})
		return err
	}
	return needs("`ip mptcp %s`", what)
}

func (r *runner) limits(number func(string, int) (uint64, error)) error {
	subflows, err := number("subflows", 5)
	accepted, err2 := number("add_addr_accepted", 5)
	if err != nil || err2 != nil {
		return fmt.Errorf("limits: %v, %v", err, err2)
	}
	r.conf.MPTCP.MaxSubflows = int(subflows) + 1 // Linux does not count the first
	r.conf.MPTCP.Active.AddAddrAccepted = int(accepted)
	return nil
}

func (r *runner) addEndpoint(addr string, e mptcp.Endpoint) error {
	a, err := r.address(End{Addr: addr}, netip.Addr{})
	if err != nil {
		return err
	}
	e.Addr = a.As16()
	if r.host == nil {
		for _, p := range []*mptcp.Policy{&r.conf.MPTCP.Active, &r.conf.MPTCP.Passive} {
			p.Endpoints = append(p.Endpoints, e)
		}
		return nil
	}
	if r.last == nil || !r.last.opened {
		return needs("`ip mptcp endpoint add` before there is a connection")
	}
	if e.Flags&mptcp.Signal != 0 {
		if _, err := r.shard.Announce(r.last.conn, netip.AddrPortFrom(a, e.Port), e.ID); err != nil {
			return err
		}
	}
	if e.Flags&mptcp.Subflow != 0 {
		_, remote := r.shard.Peer(r.last.conn)
		return r.shard.OpenSubflow(r.last.conn, a, remote, e.ID, e.Flags&mptcp.Backup != 0)
	}
	return nil
}

// pathCommands takes the `ip mptcp` lines out of a command and obeys them.
func (r *runner) pathCommands(text string) (rest string, err error) {
	var left []string
	for _, line := range strings.FieldsFunc(text, func(c rune) bool { return c == '\n' || c == ';' }) {
		words := strings.Fields(line)
		if len(words) < 4 || words[0] != "ip" || words[1] != "mptcp" {
			left = append(left, line)
		} else if err := r.pathCommand(words[2:]); err != nil {
			return "", err
		}
	}
	if r.host != nil {
		_, err = r.settle()
	}
	return strings.Join(left, "\n"), err
}
