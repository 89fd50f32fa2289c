// Package manager asks InLong's Manager for the DataProxy nodes of a group and keeps the last good
// answer on disk.
package manager

import (
	"context"
	"crypto/tls"
	"errors"
	"time"
)

// Config says where the Manager is and how to speak to it.
type Config struct {
	URLs      []string // base URLs, http(s)://host:port; tried in turn
	SecretID  string
	SecretKey func() (string, error) // asked at each request, so that a rotated file takes effect; nil for none
	TLS       *tls.Config
	Timeout   time.Duration // of one request
}

// Client is safe for concurrent use.
type Client struct{}

func New(cfg Config) (*Client, error) { return nil, errors.ErrUnsupported }

// Nodes is the Manager's answer for one group: TCP nodes only, sorted, without doubles.
type Nodes struct {
	ClusterID       int
	Addresses       []string // host:port
	MaxPacketLength int      // 0 when the Manager does not say
	Load            int
}

// NodeList asks getIpList/{group}. An empty list is an error (*Error with a hint), never a value.
func (c *Client) NodeList(ctx context.Context, group string) (Nodes, error) {
	return Nodes{}, errors.ErrUnsupported
}

// QueueCluster and Topic come from getAllConfig: where a cluster of proxies puts what it accepts.
type QueueCluster struct {
	Name   string
	Type   string // KAFKA, PULSAR, ...
	Params map[string]string
}

// QueueConfig is what getAllConfig tells about the queue behind a cluster of proxies.
type QueueConfig struct {
	MD5      string
	Type     string
	Clusters []QueueCluster
	Topics   map[string]string // "group.stream" -> topic, by the rules of the proxies
}

// AllConfig asks getAllConfig for a cluster of proxies.
func (c *Client) AllConfig(ctx context.Context, clusterName, clusterTag, md5 string) (QueueConfig, error) {
	return QueueConfig{}, errors.ErrUnsupported
}

// Store keeps the last good node list of each group in one file, written atomically.
type Store struct{}

// OpenStore checks that dir can be written and reads what is there; a damaged file is an error that
// says so and is set aside, never deleted.
func OpenStore(dir string) (*Store, error) { return nil, errors.ErrUnsupported }

// Save and Load keep and return the list of a group; age is how old it is.
func (s *Store) Save(group string, n Nodes) error                           { return errors.ErrUnsupported }
func (s *Store) Load(group string) (n Nodes, age time.Duration, found bool) { return }
