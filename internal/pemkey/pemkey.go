// Package pemkey decrypts private keys in PEM form with their password, as the settings keyfile_password ask for. It knows what
// openssl writes: PKCS #8 (RFC 5958) with PBES2 (RFC 8018: PBKDF2, AES or 3DES in CBC mode), and the older form with the header
// Proc-Type (RFC 1423).
package pemkey

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
)

var (
	// ErrNoKey means that there is no private key in the text.
	ErrNoKey = errors.New("there is no private key in it")
	// ErrPassword means that the password does not decrypt the key.
	ErrPassword = errors.New("the password does not fit the key")
	// ErrUnsupported means that the key is encrypted in a way that is not known here.
	ErrUnsupported = errors.New("unsupported encryption of the key (convert it with: openssl pkcs8 -topk8 -v2 aes-256-cbc)")
)

// Decrypt gives the first private key in text, without encryption, as PEM. A key that is not encrypted is given as it is.
func Decrypt(text []byte, password string) ([]byte, error) {
	for {
		var block *pem.Block
		block, text = pem.Decode(text)
		switch {
		case block == nil:
			return nil, ErrNoKey
		case block.Type == "ENCRYPTED PRIVATE KEY":
			der, err := decryptPKCS8(block.Bytes, []byte(password))
			if err != nil {
				return nil, err
			}
			return encode("PRIVATE KEY", der), nil
		//lint:ignore SA1019 deprecated because it is weak, and still in people's files
		case x509.IsEncryptedPEMBlock(block):
			//lint:ignore SA1019 ditto
			der, err := x509.DecryptPEMBlock(block, []byte(password))
			if err != nil {
				return nil, fmt.Errorf("%w: %w", ErrPassword, err)
			}
			if !isSequence(der) {
				return nil, ErrPassword
			}
			return encode(block.Type, der), nil
		case isKey(block.Type):
			return encode(block.Type, block.Bytes), nil
		}
	}
}

func isKey(blockType string) bool {
	switch blockType {
	case "PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY":
		return true
	}
	return false
}

func encode(blockType string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: blockType, Bytes: der})
}
