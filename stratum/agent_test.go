package stratum

import "testing"

func TestKindOf(t *testing.T) {
	f := func(agent string, size int, least float64) {
		t.Helper()
		if k := kindOf(agent); k.maxCoinbase != size || float64(k.least) != least {
			t.Errorf("%s: %d bytes, least difficulty %v", agent, k.maxCoinbase, k.least)
		}
	}
	f("", 730, 0)
	f("cgminer/4.11.1", 730, 0)
	f("Antminer S19k Pro/Tue Apr", 730, 0)
	f("Antminer S21/Fri Apr 12 2024", 2250, 0)
	f("Antminer S21 Pro/Fri", 730, 0) // not tested with more
	f("NiceHash/1.0.0", 500, 524288)
	f("whatsminer/v1.1", 6500, 0)
	f("bosminer-plus-tuner 0.9", 2250, 0)
	f("BOSminer/0.2", 2250, 0)
	f("bitaxe/BM1370/v2.10.0", 16384, 0)
	f("PowerPlay-BM/1.16", 16384, 0)
	f("xminer-1.2.6", 16384, 0)
	f("NerdMinerV2/V1.8.3", 1400, 0)
}
