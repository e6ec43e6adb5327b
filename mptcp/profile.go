package mptcp

// profile is what differs between the versions of MPTCP: the hash and the
// forms of options. It is chosen by version and length of the MP_CAPABLE in
// the SYN.
type profile uint8

// v1 is RFC 8684.
const v1 profile = 1

// chosen is the profile to answer a SYN's MP_CAPABLE with; false: the option
// is ignored and the connection is plain TCP.
//
//	(1, 4)    RFC 8684
//	(>1, 4)   a later version: we answer with ours (RFC 8684, 3.1)
//	(0, 12)   RFC 6824, not spoken yet
//	(1, 12)   the unpublished one of mptcp.org 0.9x, not RFC 8684
func chosen(o *capableOption) (profile, bool) {
	if o.version < 1 || o.size != 4 {
		return 0, false
	}
	// B is an extension we do not know; without H there is no algorithm
	// (RFC 8684, 3.1).
	if o.flags&capExtension != 0 || o.flags&capSHA256 == 0 {
		return 0, false
	}
	return v1, true
}

// digest yields the token and the initial data sequence number of a key
// (RFC 8684, 3.1 and 3.2).
func (p profile) digest(key uint64) (token uint32, idsn uint64) { return digest256(key) }

// mac authenticates msg with the keys of its sender and its receiver.
func (p profile) mac(sender, receiver uint64, msg []byte) [32]byte {
	return hmac256(sender, receiver, msg)
}
