package graphtest_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"testing"
	"time"

	"github.com/duskfs/duskfs/graph/graphtest"
)

// A script can build a tenant of its own, and see what became of it.
func TestScriptsBuildATenant(t *testing.T) {
	c := start(t, graphtest.Options{})
	admin := func(want int, method, what string, body any) answer {
		t.Helper()
		return c.want(want, method, c.s.GraphURL()+"/_emulator/"+what, body)
	}
	u := admin(200, "POST", "user?upn=carol@contoso.example&name=Carol&type=personal", nil)
	equal(t, "carol's drive", c.s.Drive("carol@contoso.example").ID(), u.at("drive"))
	equal(t, "its type", c.s.Drive("carol@contoso.example").Type(), graphtest.Personal)
	admin(400, "POST", "user?upn=carol@contoso.example", nil)
	admin(400, "POST", "user?upn=d@contoso.example&type=odd", nil)
	admin(200, "POST", "site?path=sites/Ops&title=Ops&library=Documents&library=Plans", nil)
	admin(400, "POST", "site?path=sites/None", nil)
	equal(t, "site", c.want(200, "GET", "/sites/"+graphtest.SharePointHost+":/sites/Ops:/drives", nil).names(), "Documents,Plans")

	admin(200, "POST", "seeded?path=/huge.bin&size=107374182400", nil)
	equal(t, "size", admin(200, "GET", "stat?path=/huge.bin", nil).at("size"), "107374182400")
	admin(400, "POST", "seeded?path=/huge.bin&size=-1", nil)
	admin(200, "PUT", "file?path=/f.txt", []byte("one"))
	admin(200, "PUT", "file?path=/f.txt", []byte("two"))
	equal(t, "bytes", string(admin(200, "GET", "file?path=/f.txt", nil).raw), "two")
	equal(t, "old bytes", string(admin(200, "GET", "file?path=/f.txt&version=0", nil).raw), "one")
	admin(404, "GET", "file?path=/none", nil)
	admin(404, "GET", "file?path=/f.txt&version=7", nil)
	admin(404, "GET", "file?drive=nobody&path=/f.txt", nil)
	admin(200, "PUT", "file?drive=sites/Ops%23Plans&path=/shared/x.txt", []byte("x"))
	admin(200, "POST", "shortcut?path=/plans&target=sites/Ops%23Plans&to=/shared", nil)
	equal(t, "shortcut", c.want(200, "GET", "/me/drive/root:/plans", nil).at("remoteItem/parentReference/driveId"), c.s.Drive("sites/Ops#Plans").ID())
	admin(404, "POST", "shortcut?path=/more&target=nobody&to=/shared", nil)

	admin(200, "POST", "manners", object{"list_page": 2, "session_life": "2h", "units_per_minute": 9999})
	m := c.s.Manners()
	equal(t, "manners", fmt.Sprint(m.ListPage, time.Duration(m.SessionLife), m.UnitsPerMinute, m.FeedPage), "2 2h0m0s 9999 0")
	equal(t, "page", len(c.want(200, "GET", "/me/drive/root/children", nil).list()), 2)
	equal(t, "manners told", admin(200, "GET", "manners", nil).at("session_life"), "2h0m0s")
	admin(400, "POST", "manners", []byte("{"))

	const app = "22222222-0000-0000-0000-000000000000"
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	admin(200, "POST", "app?client="+app+"&secret=s", nil)
	admin(400, "POST", "app", nil)
	admin(200, "POST", "certificate?client="+app, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	admin(400, "POST", "certificate?client="+app, []byte("nonsense"))
	admin(200, "POST", "federation?client="+app+"&issuer=i&subject=s", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}))
	admin(400, "POST", "federation?client="+app, []byte("nonsense"))
	admin(200, "POST", "managed-identity?client="+app, nil)
	admin(200, "POST", "permissions?client="+app+"&permission=Files.Read.All", nil)
	admin(404, "POST", "decline?code=none", nil)
	admin(200, "GET", "claims", nil)
}
