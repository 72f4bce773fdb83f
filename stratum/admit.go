package stratum

import (
	"net"
	"net/netip"
	"slices"
)

// admit registers a connection and starts it, or closes it when a cap is reached. When all places or all
// memory is taken, the one that has been without work for longest makes room.
func (s *Server) admit(nc net.Conn) {
	c := newConn(s, nc)
	s.counters.accepted.Add(1)
	refused := CloseNone
	if !c.proxied {
		refused = s.count(c)
	}
	var evicted *Conn
	if refused == CloseNone {
		why := CloseNone
		if s.memory.crowded() {
			why = CloseMemory
		}
		s.mu.Lock()
		if len(s.conns) >= s.opts.MaxConns {
			why = CloseFull
		}
		if why != CloseNone {
			if e := s.waiting.Front(); e != nil {
				evicted = s.waiting.Remove(e).(*Conn)
				evicted.place = nil
			} else {
				refused = why
			}
		}
		if refused == CloseNone {
			s.conns[c] = struct{}{}
			c.place = s.waiting.PushBack(c)
			c.held = costConn
			s.memory.conns.Add(costConn)
			s.wg.Add(1)
		}
		s.mu.Unlock()
	}
	if evicted != nil {
		evicted.kick(CloseEvicted)
	}
	if refused != CloseNone {
		s.uncount(c)
		s.counters.closed[refused].Add(1)
		nc.Close()
		return
	}
	go func() {
		defer s.wg.Done()
		defer s.forget(c)
		c.run()
	}()
}

// count counts a connection under its address, or says why it is not taken.
func (s *Server) count(c *Conn) Close {
	ip := origin(c.remote)
	if !ip.IsValid() {
		return CloseNone
	}
	if _, banned := s.opts.Bans.banned(c.remote.Addr(), nil, c.opened); banned {
		return CloseBanned
	}
	proven := s.opts.Bans.proven(ip)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !proven && s.perIP[ip] >= s.opts.MaxPerIP {
		return ClosePerIP
	}
	s.perIP[ip]++
	c.counted = true
	return CloseNone
}

// uncount takes back what count did.
func (s *Server) uncount(c *Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !c.counted {
		return
	}
	c.counted = false
	ip := origin(c.remote)
	if s.perIP[ip]--; s.perIP[ip] == 0 {
		delete(s.perIP, ip)
	}
}

// works says that a connection has its first job: it is not evicted any more.
func (s *Server) works(c *Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.place != nil {
		s.waiting.Remove(c.place)
		c.place = nil
	}
}

// forget removes a connection that has ended.
func (s *Server) forget(c *Conn) {
	s.works(c)
	s.uncount(c)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
}

// proxied reports whether an address is one of the trusted proxies.
func (s *Server) proxied(a netip.AddrPort) bool {
	return slices.ContainsFunc(s.opts.ProxyFrom, func(p netip.Prefix) bool { return plainPrefix(p).Contains(a.Addr()) })
}

// addrPort is a TCP address in its plain form, not valid for others.
func addrPort(a net.Addr) netip.AddrPort {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	return plainAddrPort(t.AddrPort())
}

func plainAddrPort(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
}

// origin is what a connection is counted under: an IPv4 address, or the /64 of an IPv6 one.
func origin(a netip.AddrPort) netip.Addr {
	ip := a.Addr()
	if ip.Is6() {
		p, err := ip.Prefix(64)
		if err != nil {
			return netip.Addr{}
		}
		return p.Addr()
	}
	return ip
}
