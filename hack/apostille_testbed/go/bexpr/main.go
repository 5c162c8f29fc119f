// Evaluates HCP's conditional-access statements with HashiCorp's own library: one JSON question a line, one answer a line.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"

	"github.com/hashicorp/go-bexpr"
)

// The testbed's name for what it built; changes with go.mod and with this file.
const version = "bexpr v0.1.17+2"

type question struct {
	Expression string         `json:"expression"`
	Claims     map[string]any `json:"claims"`
}

type answer struct {
	Holds bool   `json:"holds"`
	Error string `json:"error,omitempty"`
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "--version" {
		fmt.Println(version)
		return
	}
	in, out := bufio.NewScanner(os.Stdin), json.NewEncoder(os.Stdout)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		if err := out.Encode(judge(in.Bytes())); err != nil {
			os.Exit(1)
		}
	}
}

func judge(line []byte) (found answer) {
	// The library panics on a claim that is null where a pattern is compared with it.
	defer func() {
		if cause := recover(); cause != nil {
			found = answer{Error: fmt.Sprint(cause)}
		}
	}()
	var asked question
	if err := json.Unmarshal(line, &asked); err != nil {
		return answer{Error: err.Error()}
	}
	evaluator, err := bexpr.CreateEvaluator(asked.Expression)
	if err != nil {
		return answer{Error: err.Error()}
	}
	holds, err := evaluator.Evaluate(map[string]any{"jwt_claims": asked.Claims})
	if err != nil {
		return answer{Error: err.Error()}
	}
	return answer{Holds: holds}
}
