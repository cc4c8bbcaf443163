// Judges whether the history of a key-value store is linearizable. One operation per line of standard input, the
// verdict on standard output:
//
//	{"op":"put","key":"k","value":"v","call":10,"return":20}
//	{"op":"get","key":"k","value":"v","found":true,"call":15,"return":30}
//
// An operation without "return" may have happened at any time after its call, or never. The exit status is 0 whatever
// the verdict is, and 2 when the input is no history.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"sort"
	"time"

	"github.com/anishathalye/porcupine"
)

// Longer than any line of a history.
const maxLineBytes = 1 << 20

// A line of the input. Times are in nanoseconds of one monotonic clock.
type line struct {
	Client int    `json:"client"`
	Op     string `json:"op"`
	Key    string `json:"key"`
	Value  string `json:"value"`
	Found  bool   `json:"found"`
	Call   *int64 `json:"call"`
	Return *int64 `json:"return"`
}

// What a key holds, and what a get is told.
type content struct {
	found bool
	value string
}

type input struct {
	put   bool
	value string
}

// The verdict, with the keys to blame if it isn't "linearizable".
type verdict struct {
	Verdict    string   `json:"verdict"`
	Operations int      `json:"operations"`
	Open       int      `json:"open"`
	Keys       int      `json:"keys"`
	Illegal    []string `json:"illegal"`
	Unknown    []string `json:"unknown"`
}

// One key of the store: a register that is empty at first.
var register = porcupine.Model{
	Init: func() interface{} { return content{} },
	Step: func(state, asked, answered interface{}) (bool, interface{}) {
		if in := asked.(input); in.put {
			return true, content{found: true, value: in.value}
		}
		return answered.(content) == state.(content), state
	},
}

func main() {
	timeout := flag.Duration("timeout", time.Minute, "how long all keys together may take")
	flag.Parse()
	result, err := judge(os.Stdin, time.Now().Add(*timeout))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	if err := json.NewEncoder(os.Stdout).Encode(result); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
}

// Keys are judged one by one: a history is linearizable if and only if that of each key is.
func judge(from io.Reader, deadline time.Time) (*verdict, error) {
	result := &verdict{Verdict: "linearizable", Illegal: []string{}, Unknown: []string{}}
	histories, err := read(from, result)
	if err != nil {
		return nil, err
	}
	keys := make([]string, 0, len(histories))
	for key := range histories {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	result.Keys = len(keys)
	for _, key := range keys {
		left := time.Until(deadline)
		if left <= 0 {
			result.Unknown = append(result.Unknown, key)
			continue
		}
		switch porcupine.CheckOperationsTimeout(register, histories[key], left) {
		case porcupine.Ok:
		case porcupine.Illegal:
			result.Illegal = append(result.Illegal, key)
		default:
			result.Unknown = append(result.Unknown, key)
		}
	}
	if len(result.Unknown) > 0 {
		result.Verdict = "unknown"
	}
	if len(result.Illegal) > 0 {
		result.Verdict = "not linearizable"
	}
	return result, nil
}

// Reads the operations of each key. A get without an answer says nothing and is left out.
func read(from io.Reader, result *verdict) (map[string][]porcupine.Operation, error) {
	histories := map[string][]porcupine.Operation{}
	scanner := bufio.NewScanner(from)
	scanner.Buffer(nil, maxLineBytes)
	for number := 1; scanner.Scan(); number++ {
		var one line
		if err := json.Unmarshal(scanner.Bytes(), &one); err != nil {
			return nil, fmt.Errorf("line %d: %v", number, err)
		}
		if (one.Op != "put" && one.Op != "get") || one.Call == nil || (one.Return != nil && *one.Return < *one.Call) {
			return nil, fmt.Errorf("line %d is no operation: %s", number, scanner.Bytes())
		}
		result.Operations++
		if one.Return == nil {
			result.Open++
			if one.Op == "get" {
				continue
			}
		}
		histories[one.Key] = append(histories[one.Key], one.operation())
	}
	return histories, scanner.Err()
}

func (one line) operation() porcupine.Operation {
	end := int64(math.MaxInt64)
	if one.Return != nil {
		end = *one.Return
	}
	operation := porcupine.Operation{ClientId: one.Client, Call: *one.Call, Return: end}
	if one.Op == "put" {
		operation.Input, operation.Output = input{put: true, value: one.Value}, content{}
	} else {
		operation.Input, operation.Output = input{}, content{found: one.Found, value: one.Value}
	}
	return operation
}
