package manager

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Nodes is the Manager's answer for one group: its TCP nodes, sorted, each once.
type Nodes struct {
	ClusterID       int
	Addresses       []string // host:port
	MaxPacketLength int      // 0 if the answer has none
	Load            int
}

// NodeList asks getIpList/{group}. It returns an error (*Error with a hint) for an empty list, and leaves out entries
// without a usable address or with a protocol other than TCP. It blocks at most for the time-out times the number of
// Managers, and until ctx ends.
func (c *Client) NodeList(ctx context.Context, group string) (Nodes, error) {
	q := question{
		op:          fmt.Sprintf("listing the DataProxy nodes of group %q", group),
		path:        "/inlong/manager/openapi/dataproxy/getIpList/" + url.PathEscape(group),
		contentType: "application/x-www-form-urlencoded",
		body:        "protocolType=TCP&version=inlong-bridge",
	}
	var nodes Nodes
	err := c.ask(ctx, q, func(body []byte) (hint string, err error) {
		nodes, hint, err = readNodes(body, group)
		return hint, err
	})
	if err != nil {
		return Nodes{}, slashHint(err, group)
	}
	return nodes, nil
}

// slashHint names the slash in the group as the cause of an answer about a wrong path.
func slashHint(err error, group string) error {
	e, ok := errors.AsType[*Error](err)
	if ok && strings.Contains(group, "/") && (e.Status == http.StatusNotFound || e.Status == http.StatusBadRequest) {
		e.Hint = "the group's id contains a slash, which a path of the Manager cannot hold; use a group without a slash"
	}
	return err
}

const malformedHint = "an InLong Manager does not answer like this; check the URL"

// readNodes reads an answer of getIpList.
func readNodes(body []byte, group string) (nodes Nodes, hint string, err error) {
	var answer struct {
		Success *bool           `json:"success"`
		ErrMsg  text            `json:"errMsg"`
		Data    json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return Nodes{}, malformedHint, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	switch {
	case answer.Success == nil:
		return Nodes{}, malformedHint, fmt.Errorf("%w: it has no success flag", ErrMalformed)
	case !*answer.Success:
		return Nodes{}, fmt.Sprintf("group %q must exist in the Manager and be configured successfully; correct the group or create it", group),
			refusal(string(answer.ErrMsg))
	}
	var data struct {
		ClusterID       number          `json:"clusterId"`
		Load            number          `json:"load"`
		MaxPacketLength number          `json:"maxPacketLength"`
		NodeList        json.RawMessage `json:"nodeList"`
	}
	var entries []json.RawMessage
	if len(answer.Data) > 0 {
		if err := json.Unmarshal(answer.Data, &data); err != nil {
			return Nodes{}, malformedHint, fmt.Errorf("%w: data: %w", ErrMalformed, err)
		}
	}
	if len(data.NodeList) > 0 {
		if err := json.Unmarshal(data.NodeList, &entries); err != nil {
			return Nodes{}, malformedHint, fmt.Errorf("%w: nodeList: %w", ErrMalformed, err)
		}
	}
	nodes = Nodes{ClusterID: data.ClusterID.value, Load: data.Load.value, MaxPacketLength: max(data.MaxPacketLength.value, 0)}
	for _, entry := range entries {
		if addr, ok := nodeAddress(entry); ok {
			nodes.Addresses = append(nodes.Addresses, addr)
		}
	}
	slices.Sort(nodes.Addresses)
	nodes.Addresses = slices.Compact(nodes.Addresses)
	if len(nodes.Addresses) == 0 {
		hint := "register DataProxy nodes with the cluster of the group's tag in the Manager, and check that they are online"
		if len(entries) > 0 {
			hint = "none of its entries has a usable address and protocol TCP; look at the nodes of the cluster in the Manager"
		}
		return Nodes{}, hint, fmt.Errorf("%w (%d entries)", ErrNoNodes, len(entries))
	}
	return nodes, "", nil
}

// nodeAddress returns host:port of an entry of nodeList, or false if the entry has no address.
func nodeAddress(entry json.RawMessage) (string, bool) {
	var node struct {
		IP           text   `json:"ip"`
		Port         number `json:"port"`
		ProtocolType text   `json:"protocolType"`
	}
	if json.Unmarshal(entry, &node) != nil {
		return "", false
	}
	// Old Managers leave the protocol out, but the request asked for TCP.
	if node.ProtocolType != "" && !strings.EqualFold(string(node.ProtocolType), "TCP") {
		return "", false
	}
	if node.Port.value < 1 || node.Port.value > 65535 {
		return "", false
	}
	host := strings.TrimSpace(string(node.IP))
	if inner, ok := strings.CutPrefix(host, "["); ok {
		host = strings.TrimSuffix(inner, "]")
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		if ip.IsUnspecified() {
			return "", false
		}
		host = ip.String()
	} else if !isHostName(host) {
		return "", false
	}
	return net.JoinHostPort(host, strconv.Itoa(node.Port.value)), true
}

func isHostName(s string) bool {
	for _, c := range []byte(s) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '-', c == '_':
		default:
			return false
		}
	}
	return s != "" && len(s) <= 253
}
