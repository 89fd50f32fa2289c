package config

import (
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// What is wrong with one value; what would be right. "" when nothing is.

func emptyProblem(s string) string {
	if s == "" {
		return "is empty; give it a value, or take the key out"
	}
	return ""
}

func addressesProblem(addrs []string) string {
	for i, a := range addrs {
		if msg := addressProblem(a); msg != "" {
			return msg
		}
		if slices.Contains(addrs[:i], a) {
			return a + " is given twice; take one out"
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
		return fmt.Sprintf("%q is not host:port; write the port behind a colon, such as kafka-1:9092", a)
	}
	if host == "" || strings.ContainsAny(host, " \t/@") {
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
	for i, s := range urls {
		u, err := url.Parse(s)
		switch {
		case err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "":
			return fmt.Sprintf("%q is not a URL; write one such as http://manager:8083", s)
		case u.User != nil:
			return "a URL holds a user; use secret_id and secret_key_file"
		case u.RawQuery != "" || u.Fragment != "":
			return fmt.Sprintf("%q has more than a base; write only http://host:port", s)
		case slices.Contains(urls[:i], s):
			return s + " is given twice; take one out"
		}
	}
	return ""
}

func tokenURLProblem(s string) string {
	u, err := url.Parse(s)
	if err != nil || u.Hostname() == "" || u.User != nil {
		return fmt.Sprintf("%q is not a URL; write one such as https://login.example.com/oauth2/token", s)
	}
	if u.Scheme != "https" {
		return fmt.Sprintf("%q would send the client's secret in clear; write https://", s)
	}
	return ""
}

func serviceURLProblem(s string) string {
	hosts := hostsOf(s)
	if hosts == s {
		return fmt.Sprintf("%q is not a service URL; write one such as pulsar://mq-1:6650, or pulsar+ssl://mq-1:6651", s)
	}
	for h := range strings.SplitSeq(hosts, ",") {
		if _, port, err := net.SplitHostPort(h); err != nil || port == "" {
			return fmt.Sprintf("%q is not host:port; write hosts with their ports, such as pulsar://mq-1:6650,mq-2:6650", h)
		}
	}
	return ""
}

// hostsOf takes the scheme off a service URL.
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
		return fmt.Sprintf("%q holds braces; a tenant is the same for all streams", s)
	}
	return topicProblem(s)
}

var placeholder = regexp.MustCompile(`\{[^{}]*\}`)

func topicProblem(t string) string {
	for _, p := range placeholder.FindAllString(t, -1) {
		if p != "{group}" && p != "{stream}" {
			return p + " is not known here; a queue's topic is made from {group} and {stream}"
		}
	}
	plain := placeholder.ReplaceAllString(t, "")
	if t == "" || strings.ContainsFunc(plain, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '.' && r != '_' && r != '-'
	}) {
		return fmt.Sprintf("%q is not a topic; write letters, digits, dots, dashes and underscores with {group} and {stream}", t)
	}
	return ""
}
