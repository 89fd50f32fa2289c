package config

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"
)

const mask = "***"

// Secret is a value that must not be shown. It prints as *** everywhere, even inside other structs. Copies share the
// value that was read from the file. A Secret is safe for concurrent use.
type Secret struct {
	value string
	file  *secretFile
}

// NewSecret returns a secret with this value.
func NewSecret(value string) Secret { return Secret{value: value} }

// SecretFromFile returns a secret whose value is the content of a file, without line ends at its end.
func SecretFromFile(path string) Secret { return Secret{file: &secretFile{path: path}} }

// Set reports whether a value or a file was given.
func (s Secret) Set() bool { return s.value != "" || s.file != nil }

// Value returns the secret. It reads a file again only when the file has changed; otherwise a call costs one stat.
func (s Secret) Value() (string, error) {
	if s.file == nil {
		return s.value, nil
	}
	return s.file.read()
}

// File returns the path of the file, "" when the value was given itself.
func (s Secret) File() string {
	if s.file == nil {
		return ""
	}
	return s.file.path
}

func (s Secret) String() string               { return mask }
func (s Secret) LogValue() slog.Value         { return slog.StringValue(mask) }
func (s Secret) MarshalText() ([]byte, error) { return []byte(mask), nil }

// Format prints *** for every verb, %d and %#v too.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, mask) }

type secretFile struct {
	path string

	mu    sync.Mutex
	info  os.FileInfo // of the file when it was read; nil before
	at    time.Time   // when it was read
	value string
}

// secretMax is far longer than any token. It keeps a wrong path from filling the memory.
const secretMax = 1 << 20

// fresh is how long after a change the modification time alone is not trusted: two writes within one tick of the
// file system's clock carry the same time.
const fresh = 2 * time.Second

func (f *secretFile) read() (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	info, err := os.Stat(f.path)
	if err != nil {
		return "", fmt.Errorf("reading secret: %w", err)
	}
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("reading secret: %w", &os.PathError{Op: "read", Path: f.path, Err: errNotFile})
	}
	if info.Size() > secretMax {
		return "", fmt.Errorf("reading secret: %w", &os.PathError{Op: "read", Path: f.path, Err: errLarge})
	}
	if f.info != nil && os.SameFile(f.info, info) && f.info.Size() == info.Size() &&
		f.info.ModTime().Equal(info.ModTime()) && f.at.Sub(info.ModTime()) > fresh {
		return f.value, nil
	}
	at := time.Now()
	data, err := os.ReadFile(f.path)
	if err != nil {
		return "", fmt.Errorf("reading secret: %w", err)
	}
	value := trimLineEnd(string(data))
	if value == "" {
		return "", fmt.Errorf("reading secret: %w", &os.PathError{Op: "read", Path: f.path, Err: errEmptyFile})
	}
	if err := encodingError(data); err != nil {
		return "", fmt.Errorf("reading secret: %w", &os.PathError{Op: "read", Path: f.path, Err: err})
	}
	f.info, f.at, f.value = info, at, value
	return value, nil
}

// trimLineEnd removes the line ends that an editor or a shell added to a secret.
func trimLineEnd(s string) string { return strings.TrimRight(s, "\r\n") }

var errEmptyFile = errors.New("file is empty")
