package config

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A variable that a shell has filled from a file, or a Secret that was made with echo, ends with a line end.
func TestSecretsLoseTheirLineEndWhereverTheyComeFrom(t *testing.T) {
	const text = `kafka: {brokers: [k1:9092], group: g, sasl: {mechanism: plain, username: u, password: %s}, tls: {}}
inlong: {proxies: [dp1:46801]}
routes: [{topics: [t], group: g, stream: s}]
`
	for _, row := range []struct{ written, variable, want string }{
		{"'${P}'", "pw\n", "pw"},
		{"'${P}'", "pw\r\n\n", "pw"},
		{"'${P}'", " p w \n", " p w "},
		{`"pw\n"`, "", "pw"},
	} {
		c := parse(t, strings.Replace(text, "%s", row.written, 1), "P="+row.variable)
		if got, err := c.Kafka.SASL.Password.Value(); got != row.want || err != nil {
			t.Errorf("%s of %q: Value = %q, %v, want %q", row.written, row.variable, got, err, row.want)
		}
		if notes := c.Notes(); len(notes) > 0 {
			t.Errorf("%s of %q: notes %q", row.written, row.variable, notes)
		}
	}
	for written, want := range map[string]string{"'${P}'": "f:1: kafka.sasl.password: is empty"} {
		_, err := Parse("f", []byte(strings.Replace(text, "%s", written, 1)), env("P=\n"))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", written, err, want)
		}
	}
}

func TestQuotesAroundASecretAreNoted(t *testing.T) {
	for _, row := range []struct {
		secret string
		noted  bool
	}{
		{`"pw"`, true}, {"'pw'\n", true}, {`""`, true}, {`"pw`, false}, {`pw"`, false}, {`"`, false}, {`'pw"`, false}, {"p'w", false},
	} {
		file := filepath.Join(t.TempDir(), "key")
		if err := os.WriteFile(file, []byte(row.secret), 0o600); err != nil {
			t.Fatal(err)
		}
		text := "kafka: {brokers: [k1:9092], group: g}\ninlong:\n  cache_dir: /c\n  manager:\n    urls: [https://m:1]\n    secret_id: a\n" +
			"    secret_key%s\nroutes: [{topics: [t], group: g, stream: s}]\n"
		for written, key := range map[string]string{"_file: " + file: "secret_key_file", ": ${KEY}": "secret_key"} {
			c := parse(t, strings.Replace(text, "%s", written, 1), "KEY="+row.secret)
			var want []string
			if row.noted {
				want = []string{"inlong.manager." + key + " (line 7): the secret begins and ends with a quotation mark, and both count as part of the secret; remove them if that is not intended"}
			}
			if got := c.Notes(); !slices.Equal(got, want) {
				t.Errorf("%q in %s: notes %q, want %q", row.secret, key, got, want)
			}
			if got, err := c.InLong.ManagerSecretKey.Value(); got != strings.TrimSpace(row.secret) || err != nil {
				t.Errorf("%q in %s: Value = %q, %v", row.secret, key, got, err)
			}
		}
	}
}

// An env file of a container engine keeps quotation marks: they reach the program.
func TestQuotesAroundANameAreNoted(t *testing.T) {
	text := strings.Replace(smallest, "group: g}", "\n  group: '${G}'}", 1)
	for value, noted := range map[string]bool{`"g"`: true, "'g'": true, `g"`: false, "g": false} {
		var want []string
		if noted {
			want = []string{"kafka.group (line 2): the value begins and ends with a quotation mark, and both count as part of the value; remove them if that is not intended"}
		}
		if c := parse(t, text, "G="+value); !slices.Equal(c.Notes(), want) || c.Kafka.Group != value {
			t.Errorf("%s: group %s, notes %q, want %q", value, c.Kafka.Group, c.Notes(), want)
		}
	}
	_, err := Parse("f", []byte(strings.Replace(smallest, "[k1:9092]", "'${B}'", 1)), env("B='k1:9092,k2:9092'"))
	if err == nil || !strings.Contains(err.Error(), `f:1: kafka.brokers: "'k1:9092" has no valid host`) {
		t.Errorf("brokers: %v", err)
	}
}

func TestTextsOfAnotherEncodingAreNamed(t *testing.T) {
	const text = "kafka: {brokers: [k1:9092], group: g}\ninlong:\n  manager: {urls: [https://m:1], secret_id: a, secret_key%s}\nroutes: [{topics: [t], group: g, stream: s}]\n"
	in := func(data []byte) string {
		path := filepath.Join(t.TempDir(), "key")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	whole := strings.Replace(text, "%s", ": k", 1)
	for _, row := range []struct{ name, text, want string }{
		{"a file with a byte order mark", byteOrderMark + whole, ""},
		{"a file in UTF-16", string(utf16([]byte(whole))), "f:1: the file is UTF-16, as some editors and PowerShell write it, or binary; save it as UTF-8"},
		{"big end first", "\xfe\xff\x00k", "f:1: the file is UTF-16"},
		{"without a mark", string(utf16([]byte(whole))[2:]), "f:1: the file is UTF-16"},
		{"a secret's file in UTF-16", strings.Replace(text, "%s", "_file: "+in(utf16([]byte("key\r\n"))), 1), "f:3: inlong.manager.secret_key_file: "},
		{"a secret's file with a mark", strings.Replace(text, "%s", "_file: "+in([]byte(byteOrderMark+"key\n")), 1), "begins with a byte order mark (EF BB BF), which counts as part of it; save it as UTF-8 without one"},
		{"a secret with a mark", strings.Replace(text, "%s", ": '${KEY}'", 1), "f:3: inlong.manager.secret_key: begins with a byte order mark"},
	} {
		c, err := Parse("f", []byte(row.text), env("KEY="+byteOrderMark+"key"))
		if row.want == "" {
			if err != nil || c.Kafka.Group != "g" {
				t.Errorf("%s: %v", row.name, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), row.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want one problem with %q", row.name, err, row.want)
		}
	}

	// A rotation that brings such a file fails the authentication that reads it, and says why.
	path := in([]byte("key\n"))
	secret := SecretFromFile(path)
	if v, err := secret.Value(); v != "key" || err != nil {
		t.Fatal(v, err)
	}
	if err := os.WriteFile(path, utf16([]byte("next")), 0o600); err != nil {
		t.Fatal(err)
	}
	if v, err := secret.Value(); v != "" || err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "UTF-16") {
		t.Errorf("rotated: %q, %v", v, err)
	}
}

func TestNamesFromTheEnvironmentHaveNothingUnseen(t *testing.T) {
	for value, bad := range map[string]bool{"g": false, "g\n": true, " g": true, "g\u00a0": true, "g\u200b": true, "a b": false, "größe": false} {
		_, err := Parse("f", []byte(strings.Replace(smallest, "group: g}", "\n  group: '${G}'}", 1)), env("G="+value))
		if got := err != nil && strings.HasPrefix(err.Error(), "f:2: kafka.group: "); got != bad {
			t.Errorf("%q: %v, want a mistake in line 2: %v", value, err, bad)
		}
	}
}

func TestExpressionsThatReadLikePatternsForFilesAreNoted(t *testing.T) {
	c := parse(t, "kafka: {brokers: [k1:9092], group: g}\ninlong: {cache_dir: /c, manager: {urls: [https://m:1]}}\nroutes:\n  - {topics: ['logs-*', 'web.*'], group: a/b, stream: s}\n")
	want := []string{
		`routes (line 4): rule 1: "logs-*" is a regular expression whose star repeats the "-" before it; write .* to match any text`,
		`routes send records to group "a/b"; a path of the Manager cannot hold a slash, so the Manager never lists proxies for this group; use a group without a slash`,
	}
	if got := c.Notes(); !slices.Equal(got, want) {
		t.Errorf("notes %q, want %q", got, want)
	}
}

func TestPasswordInAURLIsNotRepeated(t *testing.T) {
	for _, u := range []string{"http://u:hunter2@m:1", "http://u:hun;ter2@m:1", "http://u:hun ter2@m:1/inlong/manager", "http://u:hunter2%@m:x"} {
		_, err := Parse("f", []byte(strings.Replace(smallest, "{proxies: [dp1:46801]}", "{manager: {urls: ['"+u+"']}}", 1)), env())
		if err == nil || err.Error() != "f:2: inlong.manager.urls: a URL contains a user; use secret_id and secret_key_file" {
			t.Errorf("%s: %v", u, err)
		}
	}
}
