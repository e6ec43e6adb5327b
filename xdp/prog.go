//go:build linux

package xdp

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"
)

// What the program does with a packet. Values of enum xdp_action.
const (
	actionPass     = 2
	actionRedirect = 4
)

// maxTags and maxExtensions bound what the program walks through: two VLAN
// tags (802.1ad), and more IPv6 extension headers than any sane packet has
// (RFC 8200, 4.1 names six).
const (
	maxTags       = 2
	maxExtensions = 7
)

// The program's registers: ctx, where it is in the packet, the packet's end.
const (
	rCtx = asm.R6
	rAt  = asm.R7
	rEnd = asm.R8
)

// newProgram loads the redirect program of one interface. It sends into the
// socket of the packet's queue: ARP whose target is one of our addresses, and
// IPv4 and IPv6 packets to one of them that carry TCP or ICMP. All fragments
// of these go the same way, so the kernel never sees half a packet. Everything
// else, and everything on a queue without socket, passes to the kernel.
func newProgram(sockets *ebpf.Map, a *addresses, frags bool) (*ebpf.Program, error) {
	var p assembler
	p.ethernet()
	p.arp()
	p.ipv4()
	p.ipv6()
	p.lookup("known4", -4, a.ip4)
	p.lookup("known6", -16, a.ip6)
	p.verdict(sockets)

	spec := &ebpf.ProgramSpec{Name: "mpxd_redirect", Type: ebpf.XDP, Instructions: p.ins, License: "Dual MIT/GPL"}
	if frags {
		spec.Flags = unix.BPF_F_XDP_HAS_FRAGS
	}
	prog, err := ebpf.NewProgram(spec)
	if err != nil {
		return nil, explainBPF("the redirect program", err)
	}
	return prog, nil
}

// assembler collects instructions. A label goes to the next one added.
type assembler struct {
	ins   asm.Instructions
	label string
}

func (p *assembler) add(ins ...asm.Instruction) {
	if p.label != "" {
		ins[0] = ins[0].WithSymbol(p.label)
		p.label = ""
	}
	p.ins = append(p.ins, ins...)
}

func (p *assembler) at(label string) { p.label = label }

// need passes the packet to the kernel unless n more bytes are there.
func (p *assembler) need(n int32) {
	p.add(
		asm.Mov.Reg(asm.R2, rAt),
		asm.Add.Imm(asm.R2, n),
		asm.JGT.Reg(asm.R2, rEnd, "pass"),
	)
}

// ethernet finds the network header behind at most maxTags tags. The tag may
// be gone already (generic mode, VLAN offload); then there is none to skip.
func (p *assembler) ethernet() {
	p.add(
		asm.Mov.Reg(rCtx, asm.R1),
		asm.LoadMem(rAt, rCtx, 0, asm.Word),  // xdp_md.data
		asm.LoadMem(rEnd, rCtx, 4, asm.Word), // xdp_md.data_end
	)
	p.need(14)
	p.add(
		asm.LoadMem(asm.R3, rAt, 12, asm.Half),
		asm.HostTo(asm.BE, asm.R3, asm.Half),
		asm.Add.Imm(rAt, 14),
	)
	for i := range maxTags {
		tag := fmt.Sprint("tag", i)
		p.add(
			asm.JEq.Imm(asm.R3, unix.ETH_P_8021Q, tag),
			asm.JNE.Imm(asm.R3, unix.ETH_P_8021AD, "network"),
		)
		p.at(tag)
		p.need(4)
		p.add(
			asm.LoadMem(asm.R3, rAt, 2, asm.Half),
			asm.HostTo(asm.BE, asm.R3, asm.Half),
			asm.Add.Imm(rAt, 4),
		)
	}
	p.at("network")
	p.add(
		asm.JEq.Imm(asm.R3, unix.ETH_P_IP, "ip4"),
		asm.JEq.Imm(asm.R3, unix.ETH_P_IPV6, "ip6"),
		asm.JEq.Imm(asm.R3, unix.ETH_P_ARP, "arp"),
		asm.Ja.Label("pass"),
	)
}

// arp takes what asks for one of our addresses and what answers it: in both
// our address is the target.
func (p *assembler) arp() {
	p.at("arp")
	p.need(28)
	p.add(
		asm.LoadMem(asm.R4, rAt, 24, asm.Word),
		asm.StoreMem(asm.RFP, -4, asm.R4, asm.Word),
		asm.Ja.Label("known4"),
	)
}

// ipv4 needs neither the header's length nor the fragment offset: protocol and
// destination are in front of the options, and in every fragment.
func (p *assembler) ipv4() {
	p.at("ip4")
	p.need(20)
	p.add(
		asm.LoadMem(asm.R3, rAt, 9, asm.Byte),
		asm.LoadMem(asm.R4, rAt, 16, asm.Word),
		asm.StoreMem(asm.RFP, -4, asm.R4, asm.Word),
		asm.JEq.Imm(asm.R3, unix.IPPROTO_TCP, "known4"),
		asm.JEq.Imm(asm.R3, unix.IPPROTO_ICMP, "known4"),
		asm.Ja.Label("pass"),
	)
}

// ipv6 walks the extension headers to the protocol. A later fragment has only
// what stands in front of the fragment header; behind it comes payload. The
// fragment header says what the payload begins with: TCP and ICMPv6 are ours
// (RFC 8200, 4.5), and so is a further extension header, since what is behind
// it cannot be known and half a packet is of no use to the kernel.
func (p *assembler) ipv6() {
	p.at("ip6")
	p.need(40)
	p.add(asm.LoadMem(asm.R3, rAt, 6, asm.Byte))
	for i := range int16(4) {
		p.add(
			asm.LoadMem(asm.R4, rAt, 24+4*i, asm.Word),
			asm.StoreMem(asm.RFP, -16+4*i, asm.R4, asm.Word),
		)
	}
	p.add(asm.Add.Imm(rAt, 40))
	for i := range maxExtensions {
		p.extension(fmt.Sprint("extension", i), fmt.Sprint("fragment", i), fmt.Sprint("next", i))
	}
	p.add(
		asm.JEq.Imm(asm.R3, unix.IPPROTO_TCP, "known6"),
		asm.JEq.Imm(asm.R3, unix.IPPROTO_ICMPV6, "known6"),
		asm.Ja.Label("pass"),
	)
}

// extension decides on the protocol in R3, or skips one extension header and
// puts the next protocol there.
func (p *assembler) extension(extension, fragment, next string) {
	p.add(
		asm.JEq.Imm(asm.R3, unix.IPPROTO_TCP, "known6"),
		asm.JEq.Imm(asm.R3, unix.IPPROTO_ICMPV6, "known6"),
		asm.JEq.Imm(asm.R3, unix.IPPROTO_FRAGMENT, fragment),
		asm.JEq.Imm(asm.R3, unix.IPPROTO_HOPOPTS, extension),
		asm.JEq.Imm(asm.R3, unix.IPPROTO_ROUTING, extension),
		asm.JNE.Imm(asm.R3, unix.IPPROTO_DSTOPTS, "pass"),
	)
	p.at(extension)
	p.need(8)
	p.add(
		asm.LoadMem(asm.R3, rAt, 0, asm.Byte),
		asm.LoadMem(asm.R4, rAt, 1, asm.Byte), // length in 8 bytes, the first 8 not counted
		asm.LSh.Imm(asm.R4, 3),
		asm.Add.Imm(asm.R4, 8),
		asm.Add.Reg(rAt, asm.R4),
		asm.Ja.Label(next),
	)
	p.at(fragment)
	p.need(8)
	p.add(
		asm.LoadMem(asm.R3, rAt, 0, asm.Byte),
		asm.LoadMem(asm.R4, rAt, 2, asm.Half),
		asm.HostTo(asm.BE, asm.R4, asm.Half),
		asm.RSh.Imm(asm.R4, 3), // the offset, without the flags
		asm.Add.Imm(rAt, 8),
		asm.JEq.Imm(asm.R4, 0, next),
		asm.JEq.Imm(asm.R3, unix.IPPROTO_TCP, "known6"),
		asm.JEq.Imm(asm.R3, unix.IPPROTO_ICMPV6, "known6"),
		asm.JEq.Imm(asm.R3, unix.IPPROTO_ROUTING, "known6"),
		asm.JEq.Imm(asm.R3, unix.IPPROTO_DSTOPTS, "known6"),
		asm.Ja.Label("pass"),
	)
	p.at(next)
}

// lookup passes the packet to the kernel unless the key on the stack is in the
// map of our addresses.
func (p *assembler) lookup(label string, key int32, m *ebpf.Map) {
	p.at(label)
	p.add(
		asm.LoadMapPtr(asm.R1, m.FD()),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, key),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, "pass"),
		asm.Ja.Label("redirect"),
	)
}

// verdict redirects to the socket of the packet's own queue (the kernel drops
// what is redirected to another), and to the kernel where there is none.
func (p *assembler) verdict(sockets *ebpf.Map) {
	p.at("redirect")
	p.add(
		asm.LoadMapPtr(asm.R1, sockets.FD()),
		asm.LoadMem(asm.R2, rCtx, 16, asm.Word), // xdp_md.rx_queue_index
		asm.Mov.Imm(asm.R3, actionPass),
		asm.FnRedirectMap.Call(),
		asm.Return(),
	)
	p.at("pass")
	p.add(
		asm.Mov.Imm(asm.R0, actionPass),
		asm.Return(),
	)
}

func explainBPF(what string, err error) error {
	if errors.Is(err, unix.EPERM) {
		return fmt.Errorf("xdp: %s needs CAP_BPF and CAP_NET_ADMIN: %w", what, err)
	}
	return fmt.Errorf("xdp: %s: %w", what, err)
}
