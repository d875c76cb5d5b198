package pemkey

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// plainKey gives a key as PEM, not encrypted.
func plainKey(t testing.TB) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// openssl lets the program encrypt a key: it is the one that people use.
func openssl(t testing.TB, key []byte, args ...string) []byte {
	t.Helper()
	program, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("openssl is not installed")
	}
	file := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(file, key, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), program, append(args, "-in", file)...).Output()
	if err != nil {
		t.Fatalf("openssl %v: %v", args, err)
	}
	return out
}

func TestDecrypt(t *testing.T) {
	key := plainKey(t)
	want, _ := pem.Decode(key)
	for _, args := range [][]string{
		{"pkcs8", "-topk8", "-passout", "pass:geheim"},
		{"pkcs8", "-topk8", "-v2", "aes-128-cbc", "-passout", "pass:geheim"},
		{"pkcs8", "-topk8", "-v2", "aes-192-cbc", "-v2prf", "hmacWithSHA512", "-passout", "pass:geheim"},
		{"pkcs8", "-topk8", "-v2", "aes-256-cbc", "-v2prf", "hmacWithSHA1", "-passout", "pass:geheim"},
		{"pkcs8", "-topk8", "-v2", "des3", "-iter", "5", "-passout", "pass:geheim"},
		{"ec", "-aes256", "-passout", "pass:geheim"},
	} {
		encrypted := openssl(t, key, args...)
		if bytes.Contains(encrypted, []byte("BEGIN PRIVATE KEY")) {
			t.Fatalf("%v did not encrypt", args)
		}
		got, err := Decrypt(encrypted, "geheim")
		if err != nil {
			t.Errorf("%v: %v", args, err)
			continue
		}
		if block, _ := pem.Decode(got); block.Type == "PRIVATE KEY" && !bytes.Equal(block.Bytes, want.Bytes) {
			t.Errorf("%v: another key came out", args)
		} else if block.Type == "EC PRIVATE KEY" {
			if _, err := x509.ParseECPrivateKey(block.Bytes); err != nil {
				t.Errorf("%v: %v", args, err)
			}
		}
		if _, err := Decrypt(encrypted, "falsch"); err == nil {
			t.Errorf("%v: a wrong password fits", args)
		}
	}
}

func TestDecryptOther(t *testing.T) {
	key := plainKey(t)
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")})
	if got, err := Decrypt(append(cert, key...), "any"); err != nil || !bytes.Equal(got, key) {
		t.Errorf("a plain key behind a certificate: %v", err)
	}
	if _, err := Decrypt(cert, "any"); !errors.Is(err, ErrNoKey) {
		t.Errorf("no key: %v", err)
	}
	if _, err := Decrypt(openssl(t, key, "pkcs8", "-topk8", "-v1", "PBE-SHA1-3DES", "-passout", "pass:x"), "x"); !errors.Is(err, ErrUnsupported) {
		t.Errorf("an old scheme: %v", err)
	}
	if _, err := Decrypt(openssl(t, key, "pkcs8", "-topk8", "-passout", "pass:x"), "y"); !errors.Is(err, ErrPassword) {
		t.Errorf("a wrong password: %v", err)
	}
}

func FuzzDecrypt(f *testing.F) {
	block, _ := pem.Decode(openssl(f, plainKey(f), "pkcs8", "-topk8", "-v2", "aes-128-cbc", "-iter", "1", "-passout", "pass:x"))
	f.Add(block.Bytes)
	f.Fuzz(func(t *testing.T, der []byte) {
		// Whatever comes in, nothing panics and nothing runs for long.
		if plain, err := decryptPKCS8(der, []byte("x")); err == nil && len(plain) == 0 {
			t.Fatal("an empty key")
		}
	})
}
