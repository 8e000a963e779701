package auth

import (
	"bytes"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"hash"
)

// errScheme: the key is encrypted in a way that is not known here.
var errScheme = errors.New("its key is encrypted in an unusual way; write it anew with `openssl pkcs8 -topk8`")

// maxIterations bounds the work that a file can ask for.
const maxIterations = 10_000_000

// The encodings of RFC 5958 (EncryptedPrivateKeyInfo) and RFC 8018 (PBES2 with PBKDF2).
type (
	encryptedKey struct {
		Algorithm pkix.AlgorithmIdentifier
		Data      []byte
	}
	pbes2 struct {
		Derivation pkix.AlgorithmIdentifier
		Encryption pkix.AlgorithmIdentifier
	}
	pbkdf2Params struct {
		Salt       []byte
		Iterations int
		KeyLength  int                      `asn1:"optional"`
		Function   pkix.AlgorithmIdentifier `asn1:"optional"`
	}
)

var (
	oidPBES2  = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 13}
	oidPBKDF2 = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 12}
)

// blockCipher finds a cipher in CBC mode by its identifier, and the length of its key; 0 for anything
// else. The old one is what `openssl req -newkey` still writes.
func blockCipher(id asn1.ObjectIdentifier) (int, func([]byte) (cipher.Block, error)) {
	switch id.String() {
	case "2.16.840.1.101.3.4.1.2":
		return 16, aes.NewCipher
	case "2.16.840.1.101.3.4.1.22":
		return 24, aes.NewCipher
	case "2.16.840.1.101.3.4.1.42":
		return 32, aes.NewCipher
	case "1.2.840.113549.3.7":
		return 24, des.NewTripleDESCipher
	}
	return 0, nil
}

// function finds the hash of an HMAC by its identifier; none means SHA-1.
func function(id asn1.ObjectIdentifier) func() hash.Hash {
	switch id.String() {
	case "", "1.2.840.113549.2.7":
		return sha1.New
	case "1.2.840.113549.2.9":
		return sha256.New
	case "1.2.840.113549.2.10":
		return sha512.New384
	case "1.2.840.113549.2.11":
		return sha512.New
	}
	return nil
}

// openPKCS8 decrypts a private key. It fails with errPassword, errScheme, or another error if the key
// is damaged.
func openPKCS8(der []byte, password string) (crypto.PrivateKey, error) {
	if password == "" {
		return nil, errPassword
	}
	var outer encryptedKey
	var scheme pbes2
	var derive pbkdf2Params
	var iv []byte
	if err := parseAll(der, &outer); err != nil {
		return nil, err
	}
	if !outer.Algorithm.Algorithm.Equal(oidPBES2) {
		return nil, errScheme
	}
	if err := parseAll(outer.Algorithm.Parameters.FullBytes, &scheme); err != nil {
		return nil, err
	}
	length, open := blockCipher(scheme.Encryption.Algorithm)
	if !scheme.Derivation.Algorithm.Equal(oidPBKDF2) || length == 0 {
		return nil, errScheme
	}
	if err := parseAll(scheme.Derivation.Parameters.FullBytes, &derive); err != nil {
		return nil, err
	}
	h := function(derive.Function.Algorithm)
	if h == nil || derive.Iterations < 1 || derive.Iterations > maxIterations {
		return nil, errScheme
	}
	if err := parseAll(scheme.Encryption.Parameters.FullBytes, &iv); err != nil {
		return nil, err
	}
	secret, err := pbkdf2.Key(h, password, derive.Salt, derive.Iterations, length)
	if err != nil {
		return nil, err
	}
	block, err := open(secret)
	if err != nil {
		return nil, err
	}
	size := block.BlockSize()
	if len(iv) != size || len(outer.Data) == 0 || len(outer.Data)%size != 0 {
		return nil, errors.New("encrypted key of a strange length")
	}
	plain := make([]byte, len(outer.Data))
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(plain, outer.Data)
	pad := int(plain[len(plain)-1])
	if pad < 1 || pad > size || !bytes.Equal(plain[len(plain)-pad:], bytes.Repeat([]byte{byte(pad)}, pad)) {
		return nil, errPassword
	}
	key, err := x509.ParsePKCS8PrivateKey(plain[:len(plain)-pad])
	if err != nil {
		return nil, errPassword // padding fits by chance once in 256 times
	}
	return key, nil
}

func parseAll(der []byte, into any) error {
	rest, err := asn1.Unmarshal(der, into)
	if err == nil && len(rest) > 0 {
		err = errors.New("bytes left over")
	}
	return err
}
