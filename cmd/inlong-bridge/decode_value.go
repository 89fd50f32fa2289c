package main

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"

	"inlong-bridge/connector/confirm"
)

// maxValue is the most bytes that decode reads from a file: a message of the queue has some MiB at most.
const maxValue = 64 << 20

// single stands for the partition of a message that is not from a queue.
const single = -2

// decodeValue gives the one message of --hex or of a file to d.
func (f *decodeFlags) decodeValue(d *decoder, files []string) error {
	value := []byte(f.hex)
	if len(files) > 0 {
		var err error
		if value, err = readValue(files[0]); err != nil {
			return err
		}
	}
	if len(files) == 0 || !startsAsMessage(value) {
		dump, err := parseHex(value)
		switch {
		case err == nil:
			value = dump
		case len(files) == 0:
			return usagef("--hex: %w", err)
		}
	}
	return d.take(&confirm.Message{Value: value, Place: confirm.Place{Partition: single}})
}

// readValue reads a file or, as -, standard input.
func readValue(path string) ([]byte, error) {
	in := os.Stdin
	if path != "-" {
		var err error
		if in, err = os.Open(path); err != nil {
			return nil, usagef("%w", err)
		}
		defer func() { _ = in.Close() }()
	}
	value, err := io.ReadAll(io.LimitReader(in, maxValue+1))
	if err == nil && len(value) > maxValue {
		err = usagef("%s has more than %d bytes; a message of the queue is smaller", path, maxValue)
	}
	return value, err
}

// startsAsMessage reports whether value begins as an InLongMsg does: with a byte that no hex dump has.
func startsAsMessage(value []byte) bool { return len(value) > 0 && value[0] == 0x0f }

var errNoHex = errors.New("not a hex dump")

// The first lines of the dumps that parseHex reads.
var (
	xxdLine     = regexp.MustCompile(`^[0-9a-fA-F]{4,16}: `)
	hexdumpLine = regexp.MustCompile(`^[0-9a-fA-F]{4,16} .*\|`)
)

// parseHex reads hex digits with any white space between, or what xxd or hexdump -C print.
func parseHex(text []byte) (out []byte, err error) {
	text = bytes.TrimSpace(text)
	isXxd := xxdLine.Match(text)
	isHexdump := !isXxd && hexdumpLine.Match(bytes.SplitN(text, []byte{'\n'}, 2)[0])
	for i, line := range strings.Split(string(text), "\n") {
		line = strings.TrimRight(line, " \r\t")
		digits, offset := line, ""
		switch {
		case isHexdump && line == "*":
			return nil, fmt.Errorf("line %d: the dump leaves out lines that repeat; hint: use hexdump -Cv", i+1)
		case isHexdump:
			offset, digits, _ = strings.Cut(line, " ")
			digits, _, _ = strings.Cut(digits, "|")
		case isXxd:
			offset, digits, _ = strings.Cut(line, ":")
			digits, _, _ = strings.Cut(strings.TrimLeft(digits, " "), "  ")
		case i == 0:
			digits = strings.TrimPrefix(strings.TrimPrefix(digits, "0x"), "0X")
		}
		if isXxd || isHexdump {
			if at, err := strconv.ParseUint(offset, 16, 64); err != nil || at != uint64(len(out)) {
				return nil, fmt.Errorf("line %d begins at offset %s, want %08x: %w", i+1, offset, len(out), errNoHex)
			}
		}
		bytes, err := hex.DecodeString(strings.Join(strings.Fields(digits), ""))
		if err != nil {
			return nil, fmt.Errorf("line %d: %w: %w", i+1, errNoHex, err)
		}
		out = append(out, bytes...)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("no digits: %w", errNoHex)
	}
	return out, nil
}
