package config

import (
	"errors"
	"fmt"
	"os"
)

// readSmall reads a certificate or key. It refuses what is no file, so that a check never waits on a pipe.
func readSmall(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &os.PathError{Op: "read", Path: path, Err: errNotFile}
	}
	if info.Size() > secretMax {
		return nil, &os.PathError{Op: "read", Path: path, Err: errLarge}
	}
	return os.ReadFile(path)
}

var (
	errNotFile = errors.New("not a file")
	errLarge   = errors.New("file is larger than 1MiB")
)

func fileProblem(err error) string {
	var pe *os.PathError
	switch {
	case !errors.As(err, &pe):
		return err.Error()
	case errors.Is(err, os.ErrNotExist):
		return "no file " + pe.Path + "; write the path of one that exists (a relative path starts from the working directory)"
	case errors.Is(err, os.ErrPermission):
		return "may not read " + pe.Path + "; let the user of the bridge read it"
	case errors.Is(err, errEmptyFile):
		return pe.Path + " is empty; put the secret into it"
	}
	return fmt.Sprintf("cannot read %s: %s; write the path of a readable file", pe.Path, pe.Err)
}
