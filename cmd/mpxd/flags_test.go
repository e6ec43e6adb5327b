//go:build linux

package main

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/mpxd/mpxd/mptcp"
	"github.com/mpxd/mpxd/tcp"
	"github.com/mpxd/mpxd/xdp"
)

// parsed is a command line as its command sees it.
func parsed(t *testing.T, line string) (*commands, string, error) {
	t.Helper()
	k, err := parse(strings.Fields(line), streams{out: &bytes.Buffer{}, err: &bytes.Buffer{}})
	if err != nil {
		return nil, "", err
	}
	return k.Model.Target.Addr().Interface().(*commands), k.Command(), nil
}

func TestServeFlags(t *testing.T) {
	c, _, err := parsed(t, "serve --interface wifi,lte --address wifi=10.0.1.2/24,10.0.2.2/24,fd00::2/64 --gateway 10.0.1.1,fd00::1 --xdp-mode generic --frames 4096 --congestion bbr --dns [fd00::53]:53 --stats 10s")
	if err != nil {
		t.Fatal(err)
	}
	s := c.Serve
	if s.Listen != 1080 || s.Frames != 4096 || s.XDPMode != xdp.Generic || s.Stats != 10*time.Second || s.Idle != 5*time.Minute || s.Congestion != (Congestion{Controller: tcp.BBR}) ||
		s.DNS != netip.MustParseAddrPort("[fd00::53]:53") || len(s.Gateway) != 2 {
		t.Errorf("%+v", s)
	}
	if err := s.check(); err != nil {
		t.Error(err)
	}
	if a := s.addresses(); len(a) != 3 || a[0].Link != 0 || a[1].Link != -1 || a[2].Prefix.String() != "fd00::2/64" {
		t.Errorf("%+v", a)
	}
	if r := s.routes(); len(r) != 2 || r[0].Prefix.String() != "0.0.0.0/0" || r[1].Prefix.String() != "::/0" {
		t.Errorf("%+v", r)
	}
}

func TestDefaults(t *testing.T) {
	c, command, err := parsed(t, "cat --interface a --address 10.0.1.2/24 --tcp 10.0.1.1:80")
	if err != nil || !strings.HasPrefix(command, "cat") {
		t.Fatal(command, err)
	}
	if c.Cat.Target != "10.0.1.1:80" || !c.Cat.TCP || c.Cat.XDPMode != xdp.Auto || c.Cat.Congestion != (Congestion{Controller: tcp.CUBIC}) || c.Cat.Frames != 65536 {
		t.Errorf("%+v", c.Cat)
	}
	if c, _, err = parsed(t, "cat --interface a --address 10.0.1.2/24 --listen 7"); err != nil || c.Cat.Listen != 7 {
		t.Error(err)
	}
}

func TestBadFlags(t *testing.T) {
	for line, want := range map[string]string{
		"serve --address 10.0.0.2/24":                                          "--interface",
		"serve --interface a":                                                  "--address",
		"serve --interface a --address 10.0.0.2":                               "as in 10.0.0.2/24",
		"serve --interface a --address fd00::2":                                "as in fd00::2/64",
		"serve --interface a --address 10.0.0.300/24":                          "not an address",
		"serve --interface a --address =10.0.0.2/24":                           "no interface",
		"serve --interface a --address 10.0.0.2/24 --listen 10.0.0.2:1080":     "on all addresses",
		"serve --interface a --address 10.0.0.2/24 --listen :0":                "1 to 65535",
		"serve --interface a --address 10.0.0.2/24 --listen :65536":            "1 to 65535",
		"serve --interface a --address 10.0.0.2/24 --xdp-mode fast":            "unknown mode",
		"serve --interface a --address 10.0.0.2/24 --gateway router":           "router",
		"serve --interface a --address 10.0.0.2/24 --congestion vegas":         "there are cubic, newreno, bbr, lia, olia, balia",
		"cat --interface a --address 10.0.0.2/24 --tcp --mptcp --listen 7":     "--tcp",
		"serve --interface a --address 10.0.0.2/24 --frames 4096 --loud":       "--loud",
		"replicate --interface a":                                              "replicate",
		"serve --interface a --address 10.0.0.2/24 --idle soon --frames 10000": "soon",
	} {
		if _, _, err := parsed(t, line); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\n\tgot  %v\n\twant %q", line, err, want)
		}
	}
}

// TestMultipathFlags: what they mean, and what they do not.
func TestMultipathFlags(t *testing.T) {
	const host = " --interface a --address 10.0.0.2/24,10.0.1.2/24,fd00::2/64 "
	for line, want := range map[string]string{
		"cat" + host + "10.0.0.1:80":                                                    "0 0 0 0 0",
		"cat" + host + "--subflow 10.0.1.2 10.0.0.1:80":                                 "1 0 0 0 0",
		"cat" + host + "--subflow 10.0.1.2,10.0.1.2=10.0.1.1,fd00::2=[fd00::1]:81 a:80": "1 2 0 0 0",
		"cat" + host + "--subflow 10.0.1.2 --fullmesh --backup 10.0.0.1:80":             "1 0 8 0 0",
		"cat" + host + "--subflows 4 --accept-announced 2 10.0.0.1:80":                  "0 0 2 4 0",
		"cat" + host + "--announce 10.0.1.2,[fd00::2]:81 --listen 7":                    "2 0 0 0 2",
		"cat" + host + "--announce 10.0.3.2 --listen 7":                                 "10.0.3.2: is not one of --address",
		"cat" + host + "--announce 10.0.1.2,10.0.1.2 --listen 7":                        "given twice",
		"cat" + host + "--announce 10.0.1.2:0 --listen 7":                               "an address with a port",
		"cat" + host + "--subflow 10.0.3.2 10.0.0.1:80":                                 "10.0.3.2: is not one of --address",
		"cat" + host + "--subflow 10.0.1.2=fd00::1 10.0.0.1:80":                         "IPv4 at one end",
		"cat" + host + "--subflow wlan0 10.0.0.1:80":                                    "as in 10.0.2.2=10.0.2.1",
		"cat" + host + "--backup 10.0.0.1:80":                                           "there is none",
		"cat" + host + "--subflows 99 10.0.0.1:80":                                      "from 1 to 32",
		"cat" + host + "--max-subflows 33 10.0.0.1:80":                                  "from 1 to 32",
		"cat" + host + "--accept-announced 9 10.0.0.1:80":                               "from 0 to 8",
		"cat" + host + "--keep-pathless=-1s 10.0.0.1:80":                                "negative",
		"cat" + host + "--tcp --subflows 2 10.0.0.1:80":                                 "--tcp goes with none",
		"cat" + host + "--subflows 2 --listen 7":                                        "who connects opens the subflows",
		"serve" + host + "--announce 10.0.1.2 --deny-initial --max-subflows 4":          "0 0 0 0 1",
		"serve" + host + "--upstream-mptcp --subflow 10.0.1.2":                          "1 0 0 0 0",
		"serve" + host + "--subflow 10.0.1.2":                                           "they go with --upstream-mptcp",
		"serve" + host + "--upstream-mptcp --subflow 10.0.1.2=10.0.0.1":                 "write LOCAL only",
	} {
		c, command, err := parsed(t, line)
		got := ""
		if err == nil {
			var conf mptcp.Config
			var pairs []Pair
			if strings.HasPrefix(command, "cat") {
				conf, pairs, err = c.Cat.offer()
			} else {
				conf, err = c.Serve.offer()
			}
			got = fmt.Sprint(len(conf.Active.Endpoints), len(pairs), conf.Active.AddAddrAccepted, conf.Active.Subflows, len(conf.Passive.Endpoints))
			if err == nil && (conf.Active.Check() != nil || conf.Passive.Check() != nil) {
				t.Errorf("%s: a policy that is none", line)
			}
		}
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, want) {
			t.Errorf("%s\n\tgot  %s\n\twant %s", line, got, want)
		}
	}
}

// TestCheck: everything wrong is told at once.
func TestCheck(t *testing.T) {
	for flags, want := range map[string]string{
		"a 10.0.0.2/24":                              "",
		"a 10.0.0.2/24,10.0.0.3/24":                  "",
		"a,b 10.0.0.2/24,10.0.0.3/24":                "",
		"a 10.0.0.2/31":                              "",
		"a 10.0.0.2/24 10.0.0.1":                     "",
		"a 10.0.0.2/24,10.0.0.2/16":                  "the same address twice",
		"a,b a=10.0.0.2/24,b=10.0.0.3/24":            "overlapping subnets on two interfaces",
		"a b=10.0.0.2/24":                            "b is not one of --interface",
		"a,a 10.0.0.2/24":                            "given twice",
		"interface-of-16b 10.0.0.2/24":               "not an interface name",
		"a 10.0.0.0/24":                              "the subnet's own address",
		"a 10.0.0.255/24":                            "the subnet's broadcast address",
		"a 224.0.0.1/24":                             "not an address of a host",
		"a 127.0.0.1/8":                              "not an address of a host",
		"a ::ffff:10.0.0.2/120":                      "write the IPv4 address as such",
		"a 10.0.0.2/24 10.0.1.1":                     "in none of the subnets",
		"a 10.0.0.2/24 10.0.0.2":                     "is our own address",
		"a 10.0.0.2/24 10.0.0.1,10.0.0.3":            "one default gateway",
		"a 10.0.0.2/24 fd00::1":                      "in none of the subnets",
		"a 10.0.0.0/24,127.0.0.1/8 10.0.1.1,fd00::1": "own address|of a host|10.0.1.1|fd00::1",
	} {
		f := strings.Fields(flags)
		line := "serve --interface " + f[0] + " --address " + f[1]
		if len(f) > 2 {
			line += " --gateway " + f[2]
		}
		c, _, err := parsed(t, line)
		if err != nil {
			t.Errorf("%s: %v", line, err)
			continue
		}
		err = c.Serve.check()
		if want == "" {
			if err != nil {
				t.Errorf("%s: %v", line, err)
			}
			continue
		}
		for part := range strings.SplitSeq(want, "|") {
			if err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("%s\n\tgot  %v\n\twant %q", line, err, part)
			}
		}
	}
	n := Network{Interface: []string{"a"}, Frames: 10}
	if err := n.check(); err == nil || !strings.Contains(err.Error(), "--frames 10") {
		t.Error(err)
	}
}

func TestCheckKernel(t *testing.T) {
	mac := net.HardwareAddr{2, 0, 0, 0, 0, 1}
	v := kernelView{
		links: map[string]netlink.LinkAttrs{
			"up":   {Flags: net.FlagUp, HardwareAddr: mac},
			"down": {HardwareAddr: mac},
			"tun":  {Flags: net.FlagUp},
		},
		owner: map[netip.Addr]string{netip.MustParseAddr("10.0.0.2"): "up"},
	}
	n := Network{
		Interface: []string{"up", "down", "tun", "none"},
		Address:   []Address{{Prefix: netip.MustParsePrefix("10.0.0.2/24")}, {Prefix: netip.MustParsePrefix("10.0.0.3/24")}},
	}
	err := n.checkKernel(v)
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		"down: is down: ip link set down up", "tun: not Ethernet", "none: no such interface",
		"10.0.0.2/24: the kernel has it too, on up, and would reset our connections", "ip addr del 10.0.0.2/24 dev up",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v\n\twant %q", err, want)
		}
	}
	if got := strings.Count(err.Error(), "\n") + 1; got != 4 {
		t.Errorf("%d errors: %v", got, err)
	}
}

func TestBufferLimit(t *testing.T) {
	for frames, want := range map[int]uint32{minFrames: 128 << 10, 16384: 2 << 20, 65536: 8 << 20, 1 << 20: 8 << 20} {
		if got := bufferLimit(frames); got != want || 4*int(got>>10) > frames/2 {
			t.Errorf("%d frames: %d bytes", frames, got)
		}
	}
}

// TestExitStatus covers what needs no network.
func TestExitStatus(t *testing.T) {
	for line, want := range map[string]int{
		"version":      exitOK,
		"--help":       exitOK,
		"serve --help": exitOK,
		"":             exitUsage,
		"serve":        exitUsage,
		"cat --interface a --address 10.0.0.2/24":                        exitUsage,
		"cat --interface a --address 10.0.0.2/24 --mptcp 10.0.0.1:1":     exitUsage,
		"cat --interface a --address 10.0.0.2/24 --listen 7 10.0.0.1:80": exitUsage,
		"cat --interface a --address 10.0.0.2/24 10.0.0.1:http":          exitUsage,
		"cat --interface no-such-if --address 10.0.0.2/24 10.0.0.1:80":   exitUsage,
		"serve --interface no-such-if --address 10.0.0.2/24 --frames 99": exitUsage,
	} {
		var out, errs bytes.Buffer
		if got := start(strings.Fields(line), strings.NewReader(""), &out, &errs); got != want {
			t.Errorf("mpxd %s: status %d, %s", line, got, errs.String())
		}
		if want == exitOK && out.Len() == 0 || want != exitOK && errs.Len() == 0 {
			t.Errorf("mpxd %s: no word", line)
		}
	}
}
