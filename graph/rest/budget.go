package rest

import (
	"net/http"
	"strconv"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// SmallTenant is how many resource units an app may use in a minute in the smallest tenants
// (graph-facts §9).
const SmallTenant = 1200

// Units says what calls cost in resource units. Bytes at the storage hosts cost none: the call that
// gave their address was paid.
type Units struct {
	One     int // one item, or the change feed from a link
	Many    int // a listing, a search, the change feed from its start
	Write   int // a change
	Sharing int // anything about permissions
}

// publishedUnits are the prices that the service published in July 2024.
func publishedUnits() Units { return Units{One: 1, Many: 2, Write: 2, Sharing: 5} }

// price says which of the Units a call costs.
type price uint8

const (
	byMethod price = iota // One for a GET, else Write
	many
	sharing
	stated // by the call itself
)

func (u Units) of(k call) int {
	switch {
	case k.storage, k.price == stated:
		return k.units
	case k.price == many:
		return u.Many
	case k.price == sharing:
		return u.Sharing
	case k.method == http.MethodGet:
		return u.One
	}
	return u.Write
}

const (
	// maxReset is the longest time that is believed: limits are counted by the minute.
	maxReset = 10 * time.Minute
	// margin keeps the pace a little below the limit, as the service's minutes are not ours.
	margin = 0.98
	// smallBurst is what may be spent at once while the service has said that the limit is near.
	smallBurst = 8
)

// budget paces calls in resource units: a bucket that holds a minute's worth, so that what is done
// now and then goes at once, and fills at the pace of the limit. While the service tells that the
// limit is near, what it says is left is spread over the time it names.
type budget struct {
	mu     sync.Mutex
	bucket *rate.Limiter
	limit  int // units a minute, 0 is no limit
	burst  int
	tight  time.Time // until then the bucket is a small one
	unpaid int       // units of requests whose answer has not come: the service may not have counted them yet
}

func newBudget(limit, burst int) *budget {
	b := &budget{limit: limit, burst: burst, bucket: rate.NewLimiter(rate.Inf, 0)}
	if limit > 0 {
		if b.burst <= 0 {
			b.burst = limit
		}
		b.bucket = rate.NewLimiter(b.pace(), b.burst)
	}
	return b
}

func (b *budget) pace() rate.Limit {
	if b.limit <= 0 {
		return rate.Inf
	}
	return rate.Limit(float64(b.limit) * margin / 60)
}

// pay takes units out of the bucket and says how long to wait until they are there.
func (b *budget) pay(units int) time.Duration {
	if units <= 0 {
		return 0
	}
	now := time.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.loosen(now)
	b.unpaid += units
	var wait time.Duration
	for units > 0 && b.bucket.Limit() != rate.Inf {
		n := min(units, max(1, b.bucket.Burst()))
		if r := b.bucket.ReserveN(now, n); r.OK() {
			wait = r.DelayFrom(now)
		}
		units -= n
	}
	return wait
}

// answered says that a request that was paid for is over.
func (b *budget) answered(units int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.unpaid = max(0, b.unpaid-units)
}

// loosen ends a tight time that is over. The caller holds the lock.
func (b *budget) loosen(now time.Time) {
	if b.tight.IsZero() || now.Before(b.tight) {
		return
	}
	b.bucket.SetLimitAt(b.tight, b.pace())
	b.bucket.SetBurstAt(b.tight, max(b.burst, smallBurst))
	b.tight = time.Time{}
}

// tighten makes the bucket a small one for a while. The caller holds the lock.
func (b *budget) tighten(now time.Time, pace rate.Limit, d time.Duration) {
	b.loosen(now)
	b.bucket.SetBurstAt(now, smallBurst)
	b.bucket.SetLimitAt(now, pace)
	b.tight = now.Add(d)
}

// refused learns that the service asks to wait: nothing was left, whatever we counted, and nothing
// gathers meanwhile.
func (b *budget) refused(wait time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.limit > 0 {
		b.tighten(time.Now(), b.pace(), max(wait, time.Second))
	}
}

// told reads what an answer says about the limit (RateLimit-Limit, -Remaining and -Reset, which
// come from four fifths of it on). It says how long to send nothing if nothing is left.
func (b *budget) told(h http.Header) time.Duration {
	limit, ok1 := headerInt(h, "RateLimit-Limit")
	left, ok2 := headerInt(h, "RateLimit-Remaining")
	reset, ok3 := headerInt(h, "RateLimit-Reset")
	if !ok2 || !ok3 {
		return 0
	}
	rest := min(time.Duration(max(reset, 1))*time.Second, maxReset)
	b.mu.Lock()
	defer b.mu.Unlock()
	if ok1 && limit > 0 && limit != b.limit { // the service knows best
		b.limit, b.burst = limit, limit
	}
	if left -= b.unpaid; left <= 0 {
		b.tighten(time.Now(), b.pace(), rest)
		return rest
	}
	b.tighten(time.Now(), rate.Limit(float64(left)/rest.Seconds()), rest)
	return 0
}

// headerInt reads the number that a header begins with; a draft of the standard lets more follow.
func headerInt(h http.Header, name string) (int, bool) {
	text := h.Get(name)
	end := 0
	for end < len(text) && '0' <= text[end] && text[end] <= '9' {
		end++
	}
	n, err := strconv.ParseInt(text[:end], 10, 32)
	return int(n), err == nil
}
