package manager

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"
)

const (
	storeFile    = "proxies.json"
	storeVersion = 1
)

// Store keeps the last good node list of each group in one file, written atomically. It is safe for
// concurrent use in one process; if two processes use one directory, the last to write wins.
type Store struct {
	dir string

	mu     sync.Mutex // also held while a file is written, so that files are written in order
	groups map[string]storedNodes
}

type storedNodes struct {
	Saved           time.Time `json:"saved"`
	ClusterID       int       `json:"clusterId"`
	Addresses       []string  `json:"addresses"`
	MaxPacketLength int       `json:"maxPacketLength,omitempty"`
	Load            int       `json:"load,omitempty"`
}

type storedFile struct {
	Version int                    `json:"version"`
	Groups  map[string]storedNodes `json:"groups"`
}

// DamagedError is a file of node lists that cannot be read. The file was renamed, not deleted.
type DamagedError struct {
	Path     string // of the file
	SetAside string // its new path
	Err      error  // what is wrong with it
}

func (e *DamagedError) Error() string {
	return fmt.Sprintf("reading the saved DataProxy nodes in %s: %v; hint: it was renamed to %s, and a new one begins empty",
		e.Path, e.Err, e.SetAside)
}

func (e *DamagedError) Unwrap() error { return e.Err }

// OpenStore checks that dir can be written, and reads the file in it. It creates the directory if it does not exist. It
// renames a damaged file and returns a *DamagedError; it never deletes one.
//
// Only with a *DamagedError it returns both the error and a store, which is empty and may be used.
func OpenStore(dir string) (*Store, error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("making the directory for the DataProxy nodes: %w; hint: give a directory that can be written", err)
	}
	probe, err := os.CreateTemp(dir, storeFile+".probe-*")
	if err != nil {
		return nil, fmt.Errorf("writing into the directory for the DataProxy nodes: %w; hint: give a directory that can be written", err)
	}
	if err := errors.Join(probe.Close(), os.Remove(probe.Name())); err != nil {
		return nil, fmt.Errorf("writing into the directory for the DataProxy nodes: %w", err)
	}

	s := &Store{dir: dir, groups: map[string]storedNodes{}}
	path := filepath.Join(dir, storeFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the saved DataProxy nodes: %w; hint: make the file readable or remove it", err)
	}
	groups, err := readStored(text)
	if err != nil {
		aside, renameErr := setAside(path)
		if renameErr != nil {
			return nil, fmt.Errorf("setting aside the damaged file %s (%w): %w", path, err, renameErr)
		}
		return s, &DamagedError{Path: path, SetAside: aside, Err: err}
	}
	s.groups = groups
	return s, nil
}

func readStored(text []byte) (map[string]storedNodes, error) {
	var file storedFile
	if err := json.Unmarshal(text, &file); err != nil {
		return nil, err
	}
	if file.Version != storeVersion {
		return nil, fmt.Errorf("version %d of the file, want %d", file.Version, storeVersion)
	}
	for group, nodes := range file.Groups {
		if len(nodes.Addresses) == 0 {
			return nil, fmt.Errorf("group %q has no addresses", group)
		}
		for _, addr := range nodes.Addresses {
			if host, port, err := net.SplitHostPort(addr); err != nil || host == "" || port == "" {
				return nil, fmt.Errorf("address %q of group %q is not host:port", addr, group)
			}
		}
	}
	if file.Groups == nil {
		return nil, errors.New("no groups")
	}
	return file.Groups, nil
}

// setAside renames the file to a new name that contains the time.
func setAside(path string) (string, error) {
	base := path + ".damaged-" + time.Now().UTC().Format("20060102T150405Z")
	for i := range 100 {
		aside := base
		if i > 0 {
			aside = fmt.Sprintf("%s-%d", base, i)
		}
		if _, err := os.Lstat(aside); errors.Is(err, fs.ErrNotExist) {
			return aside, os.Rename(path, aside)
		}
	}
	return "", fmt.Errorf("too many files named %s", base)
}

// Save keeps the list of a group. It returns when the list is on disk. It refuses an empty list, and the last good one
// stays. If the file cannot be written, it keeps the list in memory, and Load returns it.
func (s *Store) Save(group string, n Nodes) error {
	if len(n.Addresses) == 0 {
		return fmt.Errorf("saving the DataProxy nodes of group %q: the list is empty; the last good one is kept", group)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.groups[group] = storedNodes{
		Saved:           time.Now().UTC().Round(0),
		ClusterID:       n.ClusterID,
		Addresses:       slices.Clone(n.Addresses),
		MaxPacketLength: n.MaxPacketLength,
		Load:            n.Load,
	}
	if err := s.write(); err != nil {
		return fmt.Errorf("saving the DataProxy nodes of group %q: %w", group, err)
	}
	return nil
}

// Load returns the list of a group that was saved last, by this process or an earlier one, and its age. The caller owns
// the list.
func (s *Store) Load(group string) (n Nodes, age time.Duration, found bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	saved, found := s.groups[group]
	if !found {
		return Nodes{}, 0, false
	}
	n = Nodes{
		ClusterID:       saved.ClusterID,
		Addresses:       slices.Clone(saved.Addresses),
		MaxPacketLength: saved.MaxPacketLength,
		Load:            saved.Load,
	}
	// After the clock was set back, the time of saving may be in the future.
	return n, max(time.Since(saved.Saved), 0), true
}

// Groups returns the names of all groups with a list, sorted.
func (s *Store) Groups() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.groups))
}

// write puts all groups into a new file and renames it over the old one: after a crash one of them is there and whole.
func (s *Store) write() (err error) {
	text, err := json.MarshalIndent(storedFile{Version: storeVersion, Groups: s.groups}, "", "  ")
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(s.dir, storeFile+".new-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(tmp.Name()) // the first error is the one to report
		}
	}()
	_, err = tmp.Write(append(text, '\n'))
	if err == nil {
		err = tmp.Sync()
	}
	if err = errors.Join(err, tmp.Close()); err != nil {
		return err
	}
	if err = os.Rename(tmp.Name(), filepath.Join(s.dir, storeFile)); err != nil {
		return err
	}
	return syncDir(s.dir)
}

// syncDir makes a rename durable. Some network file systems cannot do that and say so.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported) {
		err = nil
	}
	return errors.Join(err, d.Close())
}
