package tcp

// Addr is an IPv6 address, or an IPv4 address in its IPv4-mapped form
// (RFC 4291, 2.5.5.2). It holds no pointers and compares with ==.
type Addr [16]byte

// AddrFrom4 maps an IPv4 address.
func AddrFrom4(a [4]byte) Addr {
	return Addr{10: 0xff, 11: 0xff, 12: a[0], 13: a[1], 14: a[2], 15: a[3]}
}

// Is4 reports whether a is an IPv4 address.
func (a *Addr) Is4() bool {
	return *(*[12]byte)(a[:12]) == [12]byte{10: 0xff, 11: 0xff}
}

// Bytes are the 4 or 16 bytes that stand on the wire. They alias a.
func (a *Addr) Bytes() []byte {
	if a.Is4() {
		return a[12:]
	}
	return a[:]
}

// Tuple names a flow, from our side.
type Tuple struct {
	Local, Remote         Addr
	LocalPort, RemotePort uint16
}
