package config

import (
	"bytes"
	"errors"
	"fmt"
	"os"
)

// readSmall reads a certificate or key.
func readSmall(path string) ([]byte, error) { return readRegular(path, secretMax, errLarge) }

// readRegular reads a file of at most so many bytes, or returns large. It refuses anything but a regular file, so that a
// check never waits on a pipe.
func readRegular(path string, most int64, large error) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &os.PathError{Op: "read", Path: path, Err: errNotFile}
	}
	if info.Size() > most {
		return nil, &os.PathError{Op: "read", Path: path, Err: large}
	}
	return os.ReadFile(path)
}

// byteOrderMark may begin a text in UTF-8. Only YAML ignores it; elsewhere it counts as part of the text.
const byteOrderMark = "\uFEFF"

// encodingError returns an error for a text that is not plain UTF-8, with the remedy. Its sentence follows the name of
// the text.
func encodingError(data []byte) error {
	switch {
	case bytes.HasPrefix(data, []byte("\xff\xfe")), bytes.HasPrefix(data, []byte("\xfe\xff")), bytes.IndexByte(data[:min(len(data), 512)], 0) >= 0:
		return errUTF16
	case bytes.HasPrefix(data, []byte(byteOrderMark)):
		return errMark
	}
	return nil
}

var (
	errUTF16   = encoding("is UTF-16, as some editors and PowerShell write it, or binary; save it as UTF-8 without a byte order mark")
	errMark    = encoding("begins with a byte order mark (EF BB BF), which counts as part of it; save it as UTF-8 without one")
	errNotFile = errors.New("not a file")
	errLarge   = errors.New("file is larger than 1MiB")
)

// encoding is an error whose text includes the remedy.
type encoding string

func (e encoding) Error() string { return string(e) }

func fileProblem(err error) string {
	var pe *os.PathError
	switch e, isEncoding := errors.AsType[encoding](err); {
	case !errors.As(err, &pe):
		return err.Error()
	case errors.Is(err, os.ErrNotExist):
		return "no file " + pe.Path + "; write the path of an existing file (a relative path starts from the working directory)"
	case errors.Is(err, os.ErrPermission):
		return "no permission to read " + pe.Path + "; let the user of the bridge read it"
	case errors.Is(err, errEmptyFile):
		return pe.Path + " is empty; put the secret into it"
	case isEncoding:
		return pe.Path + " " + e.Error()
	}
	return fmt.Sprintf("cannot read %s: %s; write the path of a readable file", pe.Path, pe.Err)
}
