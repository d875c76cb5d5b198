package pemkey

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"hash"
)

// encryptedKey is EncryptedPrivateKeyInfo of RFC 5958, section 3.
type encryptedKey struct {
	Algorithm pkix.AlgorithmIdentifier
	Data      []byte
}

// pbes2 is PBES2-params of RFC 8018, appendix A.4.
type pbes2 struct {
	KeyDerivation pkix.AlgorithmIdentifier
	Encryption    pkix.AlgorithmIdentifier
}

// pbkdf2Params is PBKDF2-params of RFC 8018, appendix A.2.
type pbkdf2Params struct {
	Salt       []byte
	Iterations int
	KeyLength  int                      `asn1:"optional"`
	PRF        pkix.AlgorithmIdentifier `asn1:"optional"`
}

const maxIterations = 10_000_000 // a file that asks for more would only keep us busy

var (
	oidPBES2  = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 13}
	oidPBKDF2 = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 12}
)

// blockCiphers are the encryption schemes, by object identifier.
var blockCiphers = map[string]struct {
	keySize int
	make    func([]byte) (cipher.Block, error)
}{
	"2.16.840.1.101.3.4.1.2":  {16, aes.NewCipher},
	"2.16.840.1.101.3.4.1.22": {24, aes.NewCipher},
	"2.16.840.1.101.3.4.1.42": {32, aes.NewCipher},
	"1.2.840.113549.3.7":      {24, des.NewTripleDESCipher},
}

// hashes are the pseudo-random functions, by object identifier. The default is HMAC with SHA-1.
var hashes = map[string]func() hash.Hash{
	"":                    sha1.New,
	"1.2.840.113549.2.7":  sha1.New,
	"1.2.840.113549.2.9":  sha256.New,
	"1.2.840.113549.2.10": sha512.New384,
	"1.2.840.113549.2.11": sha512.New,
	"1.2.840.113549.2.8":  sha256.New224,
	"1.2.840.113549.2.13": sha512.New512_256,
}

func decryptPKCS8(der, password []byte) ([]byte, error) {
	var info encryptedKey
	if _, err := asn1.Unmarshal(der, &info); err != nil {
		return nil, fmt.Errorf("encrypted key: %w", err)
	}
	var scheme pbes2
	if !info.Algorithm.Algorithm.Equal(oidPBES2) {
		return nil, ErrUnsupported
	}
	if _, err := asn1.Unmarshal(info.Algorithm.Parameters.FullBytes, &scheme); err != nil {
		return nil, fmt.Errorf("encrypted key: %w", err)
	}
	c, ok := blockCiphers[scheme.Encryption.Algorithm.String()]
	if !ok {
		return nil, ErrUnsupported
	}
	key, err := deriveKey(scheme.KeyDerivation, password, c.keySize)
	if err != nil {
		return nil, err
	}
	block, err := c.make(key)
	if err != nil {
		return nil, fmt.Errorf("encrypted key: %w", err)
	}
	return decryptCBC(block, scheme.Encryption.Parameters.FullBytes, info.Data)
}

func deriveKey(kdf pkix.AlgorithmIdentifier, password []byte, size int) ([]byte, error) {
	var p pbkdf2Params
	if !kdf.Algorithm.Equal(oidPBKDF2) {
		return nil, ErrUnsupported
	}
	if _, err := asn1.Unmarshal(kdf.Parameters.FullBytes, &p); err != nil {
		return nil, fmt.Errorf("encrypted key: %w", err)
	}
	newHash, ok := hashes[p.PRF.Algorithm.String()]
	if !ok || p.Iterations < 1 || p.Iterations > maxIterations {
		return nil, ErrUnsupported
	}
	return pbkdf2.Key(newHash, string(password), p.Salt, p.Iterations, size)
}

// decryptCBC decrypts and takes the padding off (RFC 8018, section 6.1.1). A wrong password shows by its padding or by what
// comes out being no ASN.1 sequence.
func decryptCBC(block cipher.Block, params, data []byte) ([]byte, error) {
	var iv []byte
	if _, err := asn1.Unmarshal(params, &iv); err != nil {
		return nil, fmt.Errorf("encrypted key: %w", err)
	}
	size := block.BlockSize()
	if len(iv) != size || len(data) == 0 || len(data)%size != 0 {
		return nil, fmt.Errorf("encrypted key: %d bytes with an initial vector of %d are no blocks of %d", len(data), len(iv), size)
	}
	out := make([]byte, len(data))
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(out, data)
	n := int(out[len(out)-1])
	if n < 1 || n > size || !bytes.HasSuffix(out, bytes.Repeat([]byte{byte(n)}, n)) {
		return nil, ErrPassword
	}
	out = out[:len(out)-n]
	if !isSequence(out) {
		return nil, ErrPassword
	}
	return out, nil
}

// isSequence says whether der is one ASN.1 sequence, as every private key is. One in 256 wrong passwords leaves a padding that
// looks right.
func isSequence(der []byte) bool {
	var v asn1.RawValue
	rest, err := asn1.Unmarshal(der, &v)
	return err == nil && len(rest) == 0 && v.Class == asn1.ClassUniversal && v.Tag == asn1.TagSequence
}
