package config

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"inlong-bridge/mapping/queuetopic"
	"inlong-bridge/sdk/manager"
)

// Each function returns the mistake in one value and its remedy, "" if there is none.

// unseenProblem rejects characters that a name, an id or a path almost never contains on purpose and that an editor
// does not show. A server would receive it unchanged and not know the name.
func unseenProblem(s string) string {
	const where = "remove it here, or from the variable it comes from"
	switch {
	case strings.ContainsFunc(s, unseen):
		return fmt.Sprintf("%q contains a control character, or one that no editor shows; %s", s, where)
	case strings.TrimSpace(s) != s:
		return fmt.Sprintf("%q begins or ends with white space; %s", s, where)
	}
	return ""
}

// unseen reports whether r is a control character, such as a line end, or one of format, such as a byte order mark.
func unseen(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) }

// separate splits the texts of a list at commas, semicolons and white space, none of which an address or a URL may
// hold: brokers are copied from bootstrap.servers, and hosts from tables.
func separate(list *[]string) (note string) {
	var out []string
	for _, text := range *list {
		out = append(out, strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ';' || unicode.IsSpace(r) })...)
	}
	*list = out
	return ""
}

// cutURLs splits a list of the Manager's URLs, and cuts URLs copied from the configuration of an SDK to their base.
func cutURLs(list *[]string) (note string) {
	separate(list)
	var notes []string
	for i, u := range *list {
		base, rest := manager.CutURL(u)
		if rest == "" || strings.Contains(base, "@") { // it may hold a password, so it is refused and never repeated
			continue
		}
		(*list)[i] = base
		notes = append(notes, fmt.Sprintf("%s is cut to its base %s; the bridge adds the Manager's paths itself", u, base))
	}
	return strings.Join(notes, "; ")
}

func emptyProblem(s string) string {
	if s == "" {
		return "is empty; give it a value, or remove the key"
	}
	return ""
}

func addressesProblem(addrs []string) string {
	if len(addrs) == 0 {
		return "the list is empty; add at least one entry"
	}
	for i, a := range addrs {
		if msg := addressProblem(a); msg != "" {
			return msg
		}
		if slices.Contains(addrs[:i], a) {
			return a + " is given twice; remove one"
		}
	}
	return ""
}

func addressProblem(a string) string {
	if scheme, rest, ok := strings.Cut(a, "://"); ok {
		return fmt.Sprintf("%q has a scheme; write host:port without %s://, such as %s", a, scheme, cmpOr(rest, "host:9092"))
	}
	host, port, err := net.SplitHostPort(a)
	if err != nil {
		if strings.Count(a, ":") > 1 && !strings.HasPrefix(a, "[") {
			return fmt.Sprintf("%q is not host:port; an IPv6 address goes in brackets: [::1]:9092", a)
		}
		return fmt.Sprintf("%q is not host:port; write the port after a colon, such as kafka-1:9092", a)
	}
	if host == "" || strings.ContainsAny(host, `/@"'`) || strings.ContainsFunc(host, func(r rune) bool { return unseen(r) || unicode.IsSpace(r) }) {
		return fmt.Sprintf("%q has no valid host; write host:port", a)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
		return fmt.Sprintf("%q has no valid port; write a number from 1 to 65535 after the colon", a)
	}
	return ""
}

func cmpOr(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

func listenProblem(a string) string {
	if a == "" {
		return ""
	}
	_, port, err := net.SplitHostPort(a)
	if err != nil {
		return fmt.Sprintf("%q is not an address to listen on; write host:port or :port, such as :8080", a)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return fmt.Sprintf("%q has no valid port; write a number from 0 to 65535 after the colon", a)
	}
	return ""
}

func urlsProblem(urls []string) string {
	if len(urls) == 0 {
		return "the list is empty; add at least one entry"
	}
	if slices.ContainsFunc(urls, func(s string) bool { return strings.Contains(s, "@") }) {
		return "a URL contains a user; use secret_id and secret_key_file" // the URL is not repeated, because it may hold a password
	}
	for i, s := range urls {
		u, err := url.Parse(s)
		switch {
		case err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "":
			return fmt.Sprintf("%q is not a URL; write one such as http://manager:8083", s)
		case u.RawQuery != "" || u.Fragment != "":
			return fmt.Sprintf("%q is more than a base URL; write only http://host:port", s)
		case slices.Contains(urls[:i], s):
			return s + " is given twice; remove one"
		}
	}
	return ""
}

func colonProblem(user string) string {
	if strings.Contains(user, ":") {
		return "contains a colon, which separates the id from the key, so no Manager accepts it; write only the id here, and put the key into secret_key_file"
	}
	return ""
}

func tokenURLProblem(s string) string {
	u, err := url.Parse(s)
	if err != nil || u.Hostname() == "" || u.User != nil {
		return fmt.Sprintf("%q is not a URL; write one such as https://login.example.com/oauth2/token", s)
	}
	if u.Scheme != "https" {
		return fmt.Sprintf("%q would send the client's secret in clear text; write https://", s)
	}
	return ""
}

func serviceURLProblem(s string) string {
	hosts := hostsOf(s)
	if hosts == s {
		return fmt.Sprintf("%q is not a service URL; write one such as pulsar://mq-1:6650, or pulsar+ssl://mq-1:6651", s)
	}
	for h := range strings.SplitSeq(hosts, ",") {
		if host, port, err := net.SplitHostPort(h); err != nil || port == "" || strings.ContainsFunc(host, unicode.IsSpace) {
			return fmt.Sprintf("%q is not host:port; write hosts with their ports, separated by commas without blanks, such as pulsar://mq-1:6650,mq-2:6650", h)
		}
	}
	return ""
}

// hostsOf returns a service URL without its scheme.
func hostsOf(s string) string {
	for _, scheme := range []string{"pulsar://", "pulsar+ssl://"} {
		if hosts, ok := strings.CutPrefix(s, scheme); ok {
			return strings.TrimSuffix(hosts, "/")
		}
	}
	return s
}

func adminURLProblem(s string) string {
	if s == "" {
		return ""
	}
	return urlsProblem([]string{s})
}

func nameProblem(s string) string {
	if strings.ContainsAny(s, "{}") {
		return fmt.Sprintf("%q contains braces; a tenant is the same for all streams", s)
	}
	return topicProblem(s)
}

func topicProblem(t string) string {
	name := queuetopic.Template(t)
	if p := name.Unknown(); p != "" {
		return p + " is not known here; use only {group} and {stream} in the name of a queue's topic"
	}
	if t == "" || strings.ContainsFunc(name.Plain(), func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '.' && r != '_' && r != '-'
	}) {
		return fmt.Sprintf("%q is not a topic; write letters, digits, dots, dashes and underscores with {group} and {stream}", t)
	}
	return ""
}
