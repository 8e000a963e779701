package auth

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
)

// A sealed file is a line that says what it is and who holds its key, a nonce, and the AES-256-GCM
// of the content. The line and the name of the file are sealed with it: a file that was moved, cut
// or changed does not open.
const (
	sealTitle = "duskfs sign-in 1 key in "
	keySize   = 32
)

// holder says where the key of a sealed file is.
type holder string

const (
	inKeychain holder = "keychain"
	inFile     holder = "file"
)

var errDamaged = errors.New("damaged")

func newKey() []byte {
	key := make([]byte, keySize)
	_, _ = rand.Read(key) // it cannot fail
	return key
}

func aead(key []byte) (cipher.AEAD, error) {
	if len(key) != keySize {
		return nil, errDamaged
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return cipher.NewGCM(block)
}

// seal makes the bytes of a sealed file.
func seal(content, key []byte, name string, h holder) ([]byte, error) {
	box, err := aead(key)
	if err != nil {
		return nil, err
	}
	head := []byte(sealTitle + string(h) + "\n")
	nonce := make([]byte, box.NonceSize())
	_, _ = rand.Read(nonce) // it cannot fail
	out := append(bytes.Clone(head), nonce...)
	return box.Seal(out, nonce, content, append(head, name...)), nil
}

// keyHolder reads from a sealed file who holds its key. It fails with errDamaged.
func keyHolder(sealed []byte) (holder, error) {
	line, _, ok := bytes.Cut(sealed, []byte("\n"))
	text, ours := bytes.CutPrefix(line, []byte(sealTitle))
	if h := holder(text); ok && ours && (h == inKeychain || h == inFile) {
		return h, nil
	}
	return "", errDamaged
}

// unseal opens a sealed file. It fails with errDamaged, also for another key or name.
func unseal(sealed, key []byte, name string) ([]byte, error) {
	box, err := aead(key)
	if err != nil {
		return nil, err
	}
	line, rest, ok := bytes.Cut(sealed, []byte("\n"))
	if !ok || len(rest) < box.NonceSize() {
		return nil, errDamaged
	}
	head := append(bytes.Clone(line), '\n')
	content, err := box.Open(nil, rest[:box.NonceSize()], rest[box.NonceSize():], append(head, name...))
	if err != nil {
		return nil, errDamaged
	}
	return content, nil
}
