package connector

import (
	"errors"
	"testing"
)

func TestCommitClassesAreBounded(t *testing.T) {
	if got := commitClass(errors.New("?")); got != "other" {
		t.Errorf("class of an unknown error = %q, want other", got)
	}
}
