// Package config is bridge.yaml: its keys, their defaults and checks, and the ceilings that follow
// from them.
//
// One table (schema.go) names every key with its type, default, range and meaning. Reading, printing
// and the reference file are walks over that table, so they cannot disagree. Reading is strict: an
// unknown key, a value of the wrong type or outside its range, and a combination that cannot work are
// problems, and all problems of a file are returned together, each with its line:
//
//	cfg, err := config.Load("bridge.yaml")
//	// err: bridge.yaml:7: kafka.grup: unknown key; did you mean group?
//	//      bridge.yaml:12: delivery.drain: 20s is not above settle 10s + ack_timeout 15s; ...
//
// Values may hold ${VAR}, ${VAR:-default} and ${VAR:?message} of the environment; $$ is a dollar.
// Keys are never expanded. Secrets print as *** and are read again when their file changes.
//
// The package opens the files that a configuration names (certificates, secrets) to check them; it
// opens no connection.
package config
