package config

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"inlong-bridge/connector/startfile"
)

// checkStart looks at kafka.start and reads the file that it names.
func (d *decoder) checkStart(c *Config) {
	k := &c.Kafka
	switch given := d.lines["kafka.start_file"] > 0; {
	case d.dead["kafka.start"] || d.dead["kafka.start_file"]:
	case given && k.Start != "file":
		d.combined("given without start: file, so it would not be read; write start: file, or remove it", "kafka.start_file")
	case given:
		d.readStartFile(c)
	case k.Start == "file":
		d.combined("file needs start_file; add start_file: PATH with lines such as orders:vPf8kzHgQ9q2cOZ1TGWf1A/0@980 (inlong-bridge offsets prints them)", "kafka.start")
	}
}

func (d *decoder) readStartFile(c *Config) {
	k := &c.Kafka
	data, err := readRegular(k.StartFile, startFileMax, errStartFileLarge)
	if err != nil {
		d.combined(fileProblem(err), "kafka.start_file")
		return
	}
	if err := encodingError(data); err != nil {
		d.combined(k.StartFile+" "+err.Error(), "kafka.start_file")
		return
	}
	if !utf8.Valid(data) {
		d.combined(k.StartFile+" is not UTF-8 text; write lines of topic:topic-id/partition@offset", "kafka.start_file")
		return
	}
	f, mistakes := startfile.Parse(k.StartFile, string(data))
	for _, m := range mistakes {
		d.dead["kafka.start_file"] = true
		d.problems = append(d.problems, Problem{File: k.StartFile, Line: m.Line, Message: m.Message})
	}
	if f == nil {
		return
	}
	k.StartOffsets = f
	d.noteForeignStarts(c)
}

// maxForeign is how many topics of a start file are named that no rule wants.
const maxForeign = 10

// noteForeignStarts says which lines of the start file do nothing, because the bridge does not consume their topic.
func (d *decoder) noteForeignStarts(c *Config) {
	if c.Routes == nil {
		return
	}
	f := c.Kafka.StartOffsets
	said := make(map[string]bool)
	for _, e := range f.Entries {
		if said[e.Topic] || c.Routes.Wants(e.Topic) && c.OwnOutput(e.Topic) == "" {
			continue
		}
		if said[e.Topic] = true; len(said) > maxForeign {
			d.note(d.lines["kafka.start_file"], "kafka.start_file", f.Place(e)+": lines of further topics that routes do not consume are left out, too")
			return
		}
		d.note(d.lines["kafka.start_file"], "kafka.start_file", fmt.Sprintf("%s: routes do not consume topic %s, so its lines do nothing", f.Place(e), e.Topic))
	}
}

// startFileMax holds some 100,000 partitions.
const startFileMax = 8 << 20

var errStartFileLarge = errors.New("file is larger than 8MiB")
