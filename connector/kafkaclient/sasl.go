package kafkaclient

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"inlong-bridge/connector/config"
)

// mechanism returns nil if s names none. It reads secrets at each authentication.
func mechanism(s config.SASL, t config.TLS) (sasl.Mechanism, error) {
	password := func() (string, error) {
		p, err := s.Password.Value()
		if err != nil {
			return "", fmt.Errorf("authenticating as %s: %w", s.Username, err)
		}
		return p, nil
	}
	scramAuth := func(context.Context) (scram.Auth, error) {
		p, err := password()
		return scram.Auth{User: s.Username, Pass: p}, err
	}
	switch s.Mechanism {
	case "":
		return nil, nil
	case "plain":
		return plain.Plain(func(context.Context) (plain.Auth, error) {
			p, err := password()
			return plain.Auth{User: s.Username, Pass: p}, err
		}), nil
	case "scram-sha-256":
		return scram.Sha256(scramAuth), nil
	case "scram-sha-512":
		return scram.Sha512(scramAuth), nil
	case "oauthbearer":
		token := func(context.Context) (string, error) { return s.Token.Value() }
		if s.TokenURL != "" {
			grant, err := newGrant(s, t)
			if err != nil {
				return nil, err
			}
			token = grant.token
		}
		return tokenMechanism{oauth.Oauth(func(ctx context.Context) (oauth.Auth, error) {
			v, err := token(ctx)
			if err != nil {
				return oauth.Auth{}, fmt.Errorf("authenticating with a token: %w", err)
			}
			return oauth.Auth{Token: v}, nil
		})}, nil
	}
	return nil, fmt.Errorf("choosing SASL mechanism: %q is not known; use plain, scram-sha-256, scram-sha-512 or oauthbearer", s.Mechanism)
}

// tokenMechanism explains an answer that the client cannot read: a broker that refuses a token sends the reason where a
// broker that accepts it sends nothing, and the client only says that there was something.
type tokenMechanism struct{ sasl.Mechanism }

func (m tokenMechanism) Authenticate(ctx context.Context, host string) (sasl.Session, []byte, error) {
	s, first, err := m.Mechanism.Authenticate(ctx, host)
	if err != nil {
		return nil, nil, err
	}
	return tokenSession{s}, first, nil
}

type tokenSession struct{ sasl.Session }

func (s tokenSession) Challenge(answer []byte) (bool, []byte, error) {
	done, next, err := s.Session.Challenge(answer)
	if err != nil {
		return done, next, refusedToken{fmt.Errorf("the broker refuses the token; check whether it has expired, and its issuer and audience: it answered %.200q: %w", answer, err)}
	}
	return done, next, nil
}
