// A closed loop of puts on an etcd cluster, through etcd's own client: each client has one request out at a time.
// All connections go to the leader, which is where etcd is fastest. The result is one line of JSON.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

type latency struct {
	Count  int     `json:"count"`
	MeanUs float64 `json:"mean_us"`
	P50Us  float64 `json:"p50_us"`
	P90Us  float64 `json:"p90_us"`
	P99Us  float64 `json:"p99_us"`
	P999Us float64 `json:"p999_us"`
	MaxUs  float64 `json:"max_us"`
}

type result struct {
	PerSecond float64 `json:"per_second"`
	// Warm-up included: what the CPU time is to be divided by.
	Answered int64   `json:"answered"`
	Errors   int64   `json:"errors"`
	Latency  latency `json:"latency"`
	CPUUs    int64   `json:"cpu_us"`
	Leader   string  `json:"leader"`
}

func main() {
	endpoints := flag.String("endpoints", "", "client URLs, separated by commas")
	connections := flag.Int("connections", 1, "connections, which the clients share")
	clients := flag.Int("clients", 1, "requests in flight")
	valueBytes := flag.Int("value-bytes", 64, "size of a value")
	warmUp := flag.Duration("warm-up", time.Second, "answers during this time don't count")
	measure := flag.Duration("measure", 5*time.Second, "how long to measure")
	flag.Parse()
	all := strings.Split(*endpoints, ",")
	if err := run(all, *connections, *clients, *valueBytes, *warmUp, *measure); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(endpoints []string, connections, clients, valueBytes int, warmUp, measure time.Duration) error {
	leader, err := findLeader(endpoints)
	if err != nil {
		return err
	}
	pool := make([]*clientv3.Client, connections)
	for i := range pool {
		if pool[i], err = open(leader); err != nil {
			return err
		}
		defer pool[i].Close()
	}
	value := strings.Repeat("v", valueBytes)
	from := time.Now().Add(warmUp)
	to := from.Add(measure)
	var answered, errors atomic.Int64
	taken := make([][]time.Duration, clients)
	var running sync.WaitGroup
	for i := range clients {
		running.Add(1)
		go func() {
			defer running.Done()
			client := pool[i%connections]
			key := fmt.Sprintf("bench-%d", i)
			for {
				sent := time.Now()
				if !sent.Before(to) {
					return
				}
				_, err := client.Put(context.Background(), key, value)
				now := time.Now()
				if err != nil {
					errors.Add(1)
					continue
				}
				answered.Add(1)
				if !now.Before(from) && now.Before(to) {
					taken[i] = append(taken[i], now.Sub(sent))
				}
			}
		}()
	}
	running.Wait()
	summary := summarise(slices.Concat(taken...))
	return json.NewEncoder(os.Stdout).Encode(result{
		PerSecond: float64(summary.Count) / measure.Seconds(),
		Answered:  answered.Load(),
		Errors:    errors.Load(),
		Latency:   summary,
		CPUUs:     cpuUs(),
		Leader:    leader,
	})
}

func open(endpoint string) (*clientv3.Client, error) {
	return clientv3.New(clientv3.Config{Endpoints: []string{endpoint}, DialTimeout: 5 * time.Second})
}

// The endpoint whose node is the leader by its own account.
func findLeader(endpoints []string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for _, endpoint := range endpoints {
		client, err := open(endpoint)
		if err != nil {
			return "", err
		}
		status, err := client.Status(ctx, endpoint)
		client.Close()
		if err != nil {
			return "", err
		}
		if status.Leader == status.Header.MemberId {
			return endpoint, nil
		}
	}
	return "", fmt.Errorf("none of %v is the leader", endpoints)
}

func summarise(all []time.Duration) latency {
	if len(all) == 0 {
		return latency{}
	}
	slices.Sort(all)
	var sum time.Duration
	for _, one := range all {
		sum += one
	}
	us := func(one time.Duration) float64 { return float64(one) / float64(time.Microsecond) }
	at := func(share float64) float64 { return us(all[min(len(all)-1, int(share*float64(len(all))))]) }
	return latency{
		Count: len(all), MeanUs: us(sum) / float64(len(all)),
		P50Us: at(0.5), P90Us: at(0.9), P99Us: at(0.99), P999Us: at(0.999), MaxUs: us(all[len(all)-1]),
	}
}

// CPU time of this process.
func cpuUs() int64 {
	var usage syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &usage) != nil {
		return 0
	}
	us := func(t syscall.Timeval) int64 { return t.Sec*1_000_000 + t.Usec }
	return us(usage.Utime) + us(usage.Stime)
}
