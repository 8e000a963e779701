package auth

import "testing"

// Whatever a sealed file holds, it opens to what was sealed or not at all.
func FuzzSeal(f *testing.F) {
	key := make([]byte, keySize)
	good, err := seal([]byte("content"), key, "name", inFile)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(sealTitle + "file\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		_, herr := keyHolder(data)
		content, err := unseal(data, key, "name")
		if err == nil && (string(content) != "content" || herr != nil) {
			t.Errorf("opened to %q, %v", content, herr)
		}
	})
}
