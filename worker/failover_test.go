package worker

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/adit-pool/adit/kernels/sha256d"
)

// three pools, of which the rig knows all.
func three(t *testing.T, change func(*Options, *timing)) (pools [3]*scriptedPool, r *running) {
	t.Helper()
	for i := range pools {
		pools[i] = listen(t)
	}
	r = start(t, pools[0], func(o *Options, timing *timing) {
		o.Backups = []Pool{{URL: pools[1].url()}, {URL: pools[2].url(), User: "bob.rig", Password: "d=7"}}
		if change != nil {
			change(o, timing)
		}
	})
	return pools, r
}

// never is a probe that does not come within a test.
func never(_ *Options, t *timing) { t.probe, t.probeMost = time.Hour, time.Hour }

// A pool that refuses is followed by the next, with its own user, and a pool that
// was of use is tried once more before.
func TestFailover(t *testing.T) {
	pools, r := three(t, never)
	refuse := func(p *peer) {
		p.expect("mining.configure")
		p.send(`{"id":%s,"result":null,"error":[20,"closed",null]}`, p.expect("mining.subscribe").id)
	}
	login := func(p *peer, user, password string) {
		t.Helper()
		p.expect("mining.configure")
		p.send(`{"id":%s,"result":[[],"ab",4],"error":null}`, p.expect("mining.subscribe").id)
		c := p.expect("mining.authorize")
		if fmt.Sprint(c.params) != fmt.Sprintf("[%s %s]", user, password) {
			t.Errorf("login %v, want %s %s", c.params, user, password)
		}
		p.send(`{"id":%s,"result":true,"error":null}`, c.id)
		p.expect("mining.extranonce.subscribe")
	}
	refuse(pools[0].accept())
	refuse(pools[1].accept())
	third := pools[2].accept()
	login(third, "bob.rig", "d=7")
	third.difficulty(everyHash)
	third.notify(sampleJob("1", true))
	third.submit()
	await(t, "the accepted share", func() bool { return r.rig.stats.Counts().Accepted > 0 })
	if s := r.rig.stats.Status().Pool; s.Index != 2 || s.User != "bob.rig" || !s.LoggedIn || !s.Connected() ||
		s.Difficulty != everyHash || s.Job != "1" || s.Address != pools[2].listener.Addr().String() {
		t.Errorf("%+v", s)
	}
	_ = third.conn.Close()
	// It was of use: once more, and only then on, round to the first.
	refuse(pools[2].accept())
	first := pools[0].accept()
	login(first, "alice.rig1", "x")
	await(t, "the first pool", func() bool { s := r.rig.stats.Status().Pool; return s.Index == 0 && s.LoggedIn })
}

// While the rig mines for a backup it looks for the first pool, and goes back
// when that has work; what it had sent is answered before.
func TestReturnsToTheFirst(t *testing.T) {
	pools, r := three(t, nil)
	address := pools[0].listener.Addr().String()
	peer := pools[0].accept()
	_ = peer.conn.Close()
	backup := pools[1].accept()
	backup.login("cd", 4, "")
	backup.difficulty(everyHash)
	backup.notify(sampleJob("2", true))
	unanswered := backup.expect("mining.submit")

	// Probes: one finds a pool that knows the user no more, one finds no job.
	probe := pools[0].accept()
	probe.send(`{"id":%s,"result":[[],"01",4],"error":null}`, probe.expect("mining.subscribe").id)
	probe.send(`{"id":%s,"result":false,"error":null}`, probe.expect("mining.authorize").id)
	probe.expectClosed()
	probe = pools[0].accept()
	probe.send(`{"id":%s,"result":[[],"01",4],"error":null}`, probe.expect("mining.subscribe").id)
	probe.send(`{"id":%s,"result":true,"error":null}`, probe.expect("mining.authorize").id)
	_ = probe.conn.Close()
	if n := len(r.events.of(Disconnected)); n != 1 {
		t.Fatalf("%d disconnects for pools that are not of use", n)
	}
	probe = pools[0].accept()
	probe.send(`{"id":%s,"result":[[],"01",4],"error":null}`, probe.expect("mining.subscribe").id)
	probe.difficulty("1")
	probe.notify(sampleJob("1", true))
	probe.send(`{"id":%s,"result":true,"error":null}`, probe.expect("mining.authorize").id)
	probe.expectClosed()

	// The backup answers what is under way, slowly; nothing of it is lost.
	for unanswered.method == "mining.submit" {
		backup.send(`{"id":%s,"result":true,"error":null}`, unanswered.id)
		next, err := backup.read()
		if err != nil {
			break
		}
		unanswered = next
	}
	peer = pools[0].accept()
	peer.login("ab", 4, "")
	peer.difficulty(everyHash)
	peer.notify(sampleJob("1", true))
	peer.submit()
	if c := r.rig.stats.Counts(); c.Lost != 0 || c.Rejected != 0 {
		t.Errorf("%+v", c)
	}
	if s := r.rig.stats.Status().Pool; s.Index != 0 || s.Address != address {
		t.Errorf("%+v", s)
	}
}

// A pool that answers nothing does not hold up the return for ever.
func TestReturnsFromASilentBackup(t *testing.T) {
	pools, r := three(t, func(_ *Options, t *timing) { t.leave = 30 * time.Millisecond })
	_ = pools[0].accept().conn.Close()
	backup := pools[1].accept()
	backup.login("cd", 4, "")
	backup.difficulty(everyHash)
	backup.notify(sampleJob("2", true))
	backup.expect("mining.submit")
	probe := pools[0].accept()
	probe.send(`{"id":%s,"result":[[],"01",4],"error":null}`, probe.expect("mining.subscribe").id)
	probe.notify(sampleJob("1", true))
	probe.send(`{"id":%s,"result":true,"error":null}`, probe.expect("mining.authorize").id)
	probe.expectClosed()
	peer := pools[0].accept()
	peer.login("ab", 4, "")
	backup.expectClosed()
	if r.rig.stats.Counts().Lost == 0 {
		t.Error("no share was lost with the silent pool")
	}
}

// A pool that logs the rig in and has no work is left.
func TestPoolWithoutWork(t *testing.T) {
	pools, r := three(t, func(o *Options, t *timing) { never(o, t); t.work = 50 * time.Millisecond })
	pools[0].accept().login("ab", 4, "")
	pools[1].accept().login("cd", 4, "")
	if d := r.events.of(Disconnected); len(d) == 0 || !strings.Contains(d[0].Text, "no job") {
		t.Errorf("%+v", d)
	}
}

func TestSuggestsDifficulty(t *testing.T) {
	f := func(d float64, want string) {
		t.Helper()
		p := listen(t)
		start(t, p, func(o *Options, _ *timing) { o.Suggest = d; o.NoRolling = true })
		peer := p.accept()
		peer.send(`{"id":%s,"result":[[],"ab",4],"error":null}`, peer.expect("mining.subscribe").id) // no configure
		login := peer.expect("mining.authorize")
		peer.expect("mining.extranonce.subscribe")
		peer.send(`{"id":%s,"result":true,"error":null}`, login.id)
		text, err := peer.reader.ReadString('\n')
		if err != nil || !strings.Contains(text, `"mining.suggest_difficulty","params":[`+want+`]`) {
			t.Errorf("suggestion %q, %v; want %s", text, err, want)
		}
	}
	f(1024, "1024")
	f(0.00000015, "0.00000015")
	f(3e21, "3000000000000000000000")
}

func TestBackupsRefused(t *testing.T) {
	_, err := newRig(Options{
		Pool: "stratum+tcp://pool.example:1", User: "a", Kernel: sha256d.Kernel{}, Backups: []Pool{{URL: "pool.example"}},
	})
	if err == nil || !strings.Contains(err.Error(), `pool address "pool.example"`) {
		t.Error(err)
	}
}
