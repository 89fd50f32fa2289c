package pulsar

import (
	"errors"
	"fmt"
	"strings"
)

// permanentError is an error that a person has to put right; asking again does not help.
type permanentError struct {
	err  error
	hint string
}

func (f *permanentError) Error() string { return fmt.Sprintf("%v (hint: %s)", f.err, f.hint) }
func (f *permanentError) Unwrap() error { return f.err }

// mayPass reports whether an error may be gone when asked again.
func mayPass(err error) bool {
	var f *permanentError
	return !errors.As(err, &f)
}

// explain says what to do about an error that a person has to put right. The client of Pulsar has no error types for
// the answers of a broker, only their text.
func (c *cluster) explain(err error, topic string) error {
	text := err.Error()
	says := func(words ...string) bool {
		for _, w := range words {
			if strings.Contains(text, w) {
				return true
			}
		}
		return false
	}
	tenant, namespace := "", ""
	if parts := strings.Split(strings.TrimPrefix(topic, "persistent://"), "/"); len(parts) == 3 {
		tenant, namespace = parts[0], parts[0]+"/"+parts[1]
	}
	var hint string
	switch {
	case says("AuthenticationError", "authentication error", "Unable to authenticate", "Failed to authenticat", "Failed to load auth credentials"):
		hint = fmt.Sprintf("queue cluster %s does not accept the token: it is missing, has expired or was signed with another key; replace what token_file holds, it is read again at the next connection", c.Name())
	case says("AuthorizationError", "not authorized"):
		hint = fmt.Sprintf("let the role of the token consume: pulsar-admin namespaces grant-permission %s --role ROLE --actions consume", namespace)
	case says("Namespace not found", "Policies not found", "Tenant does not exist", "NamespaceNotFound"):
		hint = fmt.Sprintf("queue cluster %s has no namespace %s, or no tenant %s; correct tenant and namespace in the queue section, or create them", c.Name(), namespace, tenant)
	case says("InvalidTopicName", "InvalidServiceURL", "invalid topic name", "Invalid topic name"):
		hint = "tenant, namespace and topic of the queue section make a name that Pulsar does not allow"
	default:
		return err
	}
	return &permanentError{err, hint}
}
