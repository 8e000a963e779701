package auth

import (
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"

	"software.sslmate.com/src/go-pkcs12"
)

// errPassword: the password opens the file's key not, or is missing.
var errPassword = errors.New("password")

// readCertificate reads an app's certificate with its private key from a PEM or PFX file. What can be
// wrong with it fails with Invalid and says what to do.
func readCertificate(file, password string) ([]*x509.Certificate, crypto.PrivateKey, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, nil, invalid("the certificate %s cannot be read: %s", file, reason(err))
	}
	certs, key, err := parseCertificate(data, password)
	switch {
	case errors.Is(err, errPassword) && password == "":
		return nil, nil, invalid("the certificate %s needs a password; configure auth.certificate-password", file)
	case errors.Is(err, errPassword):
		return nil, nil, invalid("auth.certificate-password does not open the certificate %s", file)
	case err != nil:
		return nil, nil, invalid("the certificate %s cannot be used: %v", file, err)
	}
	private, ok := key.(*rsa.PrivateKey)
	if !ok {
		return nil, nil, invalid("the certificate %s cannot be used: the service takes RSA keys only", file)
	}
	for _, c := range certs {
		if public, ok := c.PublicKey.(*rsa.PublicKey); ok && private.PublicKey.Equal(public) {
			return certs, key, nil
		}
	}
	return nil, nil, invalid("the private key in %s belongs to none of the certificates there", file)
}

// parseCertificate reads PEM, else PFX. Its own errors hold nothing of the file.
func parseCertificate(data []byte, password string) ([]*x509.Certificate, crypto.PrivateKey, error) {
	if block, _ := pem.Decode(data); block != nil {
		return parsePEM(data, password)
	}
	key, leaf, chain, err := pkcs12.DecodeChain(data, password)
	switch {
	case errors.Is(err, pkcs12.ErrIncorrectPassword), errors.Is(err, pkcs12.ErrDecryption):
		return nil, nil, errPassword
	case err != nil:
		return nil, nil, errors.New("it is neither PEM nor PFX with a certificate and its key")
	}
	return append([]*x509.Certificate{leaf}, chain...), key, nil
}

func parsePEM(data []byte, password string) (certs []*x509.Certificate, key crypto.PrivateKey, err error) {
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Headers["DEK-Info"] != "" {
			return nil, nil, errors.New("its key is encrypted in an old, weak way; write it anew with `openssl pkcs8 -topk8`")
		}
		var one crypto.PrivateKey
		switch block.Type {
		case "CERTIFICATE":
			c, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return nil, nil, errors.New("a certificate in it is damaged")
			}
			certs = append(certs, c)
			continue
		case "PRIVATE KEY":
			one, err = x509.ParsePKCS8PrivateKey(block.Bytes)
		case "RSA PRIVATE KEY":
			one, err = x509.ParsePKCS1PrivateKey(block.Bytes)
		case "ENCRYPTED PRIVATE KEY":
			one, err = openPKCS8(block.Bytes, password)
		default:
			continue
		}
		switch {
		case errors.Is(err, errPassword), errors.Is(err, errScheme):
			return nil, nil, err
		case err != nil:
			return nil, nil, errors.New("the private key in it is damaged")
		case key != nil:
			return nil, nil, errors.New("it holds several private keys")
		}
		key = one
	}
	switch {
	case len(certs) == 0:
		return nil, nil, errors.New("there is no certificate in it")
	case key == nil:
		return nil, nil, errors.New("there is no private key in it; put certificate and key into one file")
	}
	return certs, key, nil
}
