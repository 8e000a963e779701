package graphtest_test

import (
	"bytes"
	"testing"

	"github.com/duskfs/duskfs/graph/graphtest"
)

// Items that nobody can make any more are there all the same, each found by its id, and twins by their spelling.
func TestNamesOfOlderDays(t *testing.T) {
	c := start(t, graphtest.Options{})
	d := c.s.Me().Drive()
	c.put("/caf\u00e9", "first")
	for n, name := range []string{"cafe\u0301", "CAF\u00c9", "", "half \xed\xa0\x80 of \xed\xb0\x81\U0001F389", "bytes \xff"} {
		p := string(rune('a' + n))
		c.put("/"+p, "second")
		i, err := d.Misname("/"+p, name)
		if err != nil || i.Name != name {
			t.Fatalf("%q: %+v, %v", name, i, err)
		}
		if _, err := d.Misname("/caf\u00e9", name); err == nil {
			t.Errorf("two are spelled %q", name)
		}
		if n > 1 {
			continue
		}
		equal(t, name, c.want(200, "GET", "/me/drive/root:/"+name, nil).at("id"), i.ID)
		c.want(409, "PUT", "/me/drive/root:/"+name+":/content?@microsoft.graph.conflictBehavior=fail", "x")
		c.want(200, "PUT", "/me/drive/items/"+i.ID+"/content", "other bytes")
	}
	first, err := d.Read("/caf\u00e9")
	equal(t, "the first", string(first), "first")
	if err != nil {
		t.Error(err)
	}
	raw := c.want(200, "GET", "/me/drive/root/children", nil).raw
	for _, name := range []string{"\"cafe\u0301\"", "\"CAF\u00c9\"", `""`, "\"half \\ud800 of \\udc01\U0001F389\"", `"bytes \ufffd"`} {
		if !bytes.Contains(raw, []byte(`"name":`+name)) {
			t.Errorf("%s is not listed: %s", name, raw)
		}
	}
	if err := d.Delete("/caf\u00e9"); err != nil {
		t.Fatal(err)
	}
	// The others stay, and what is found by a name in no spelling of theirs is none of them.
	c.want(200, "GET", "/me/drive/root:/cafe\u0301", nil)
	c.want(404, "GET", "/me/drive/root:/caf\u00e9", nil)
}
