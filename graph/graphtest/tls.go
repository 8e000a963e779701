package graphtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"os"
	"time"
)

// authority is a certificate authority that vouches for the emulator alone.
type authority struct {
	file string
	cert *x509.Certificate
	leaf tls.Certificate
}

// loadAuthority reads a CA from two files, or makes it, and signs a certificate for loopback.
func loadAuthority(certFile, keyFile string, hosts []string) (*authority, error) {
	key, cert, err := readCA(certFile, keyFile)
	if errors.Is(err, os.ErrNotExist) {
		key, cert, err = makeCA(certFile, keyFile)
	}
	if err != nil {
		return nil, err
	}
	leafKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make certificate key: %w", err)
	}
	tmpl := template("duskfs emulator")
	tmpl.KeyUsage = x509.KeyUsageDigitalSignature
	tmpl.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	tmpl.DNSNames = append([]string{"localhost", memGraph, memLogin, memStorage, "graph.microsoft.com", "login.microsoftonline.com"}, hosts...)
	tmpl.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	for i := byte(2); i < 10; i++ {
		tmpl.IPAddresses = append(tmpl.IPAddresses, net.IPv4(127, 0, 0, i))
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, cert, &leafKey.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("sign certificate: %w", err)
	}
	return &authority{file: certFile, cert: cert, leaf: tls.Certificate{Certificate: [][]byte{der, cert.Raw}, PrivateKey: leafKey}}, nil
}

func template(name string) *x509.Certificate {
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		serial = big.NewInt(time.Now().UnixNano())
	}
	return &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: time.Now().Add(800 * 24 * time.Hour), BasicConstraintsValid: true}
}

func readCA(certFile, keyFile string) (*ecdsa.PrivateKey, *x509.Certificate, error) {
	read := func(name string) ([]byte, error) {
		raw, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		block, _ := pem.Decode(raw)
		if block == nil {
			return nil, fmt.Errorf("no PEM in %s", name)
		}
		return block.Bytes, nil
	}
	certDER, err := read(certFile)
	if err != nil {
		return nil, nil, fmt.Errorf("read CA: %w", err)
	}
	keyDER, err := read(keyFile)
	if err != nil {
		return nil, nil, fmt.Errorf("read CA key: %w", err)
	}
	cert, err := x509.ParseCertificate(certDER)
	if err != nil {
		return nil, nil, fmt.Errorf("read CA: %w", err)
	}
	key, err := x509.ParseECPrivateKey(keyDER)
	if err != nil {
		return nil, nil, fmt.Errorf("read CA key: %w", err)
	}
	return key, cert, nil
}

func makeCA(certFile, keyFile string) (*ecdsa.PrivateKey, *x509.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("make CA key: %w", err)
	}
	tmpl := template("duskfs emulator CA")
	tmpl.IsCA, tmpl.KeyUsage = true, x509.KeyUsageCertSign
	tmpl.NotAfter = time.Now().Add(3650 * 24 * time.Hour)
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		return nil, nil, fmt.Errorf("make CA: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, nil, fmt.Errorf("make CA: %w", err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, nil, fmt.Errorf("make CA key: %w", err)
	}
	for _, f := range []struct {
		name, kind string
		der        []byte
	}{{keyFile, "EC PRIVATE KEY", keyDER}, {certFile, "CERTIFICATE", der}} {
		if err := os.WriteFile(f.name, pem.EncodeToMemory(&pem.Block{Type: f.kind, Bytes: f.der}), 0o600); err != nil {
			return nil, nil, fmt.Errorf("write CA: %w", err)
		}
	}
	return key, cert, nil
}

// listen opens a TLS listener. HTTP/1.1 only: a connection can then be broken at will.
func (a *authority) listen(addr string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	return tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{a.leaf}, NextProtos: []string{"http/1.1"},
		MinVersion: tls.VersionTLS12}), nil
}

// quietLog swallows what net/http says about connections that clients or faults broke.
func quietLog() *log.Logger { return log.New(io.Discard, "", 0) }
