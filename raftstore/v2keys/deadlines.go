package v2keys

import (
	"container/heap"
	"encoding/json"
	"time"
)

// deadlines is a heap of the times at which keys may expire. A key that is written again leaves its earlier time behind,
// which costs one look too many and nothing else. So an idle cluster proposes nothing, where etcd would twice a second.
type deadlines []clusterTime

func (d *deadlines) add(t clusterTime) { heap.Push(d, t) }

func (d *deadlines) due(now clusterTime) bool { return len(*d) > 0 && (*d)[0] <= now }

// drop forgets the times up to now.
func (d *deadlines) drop(now clusterTime) {
	for d.due(now) {
		heap.Pop(d)
	}
}

// Len implements heap.Interface, as do the methods that follow.
func (d *deadlines) Len() int           { return len(*d) }
func (d *deadlines) Less(i, j int) bool { return (*d)[i] < (*d)[j] }
func (d *deadlines) Swap(i, j int)      { (*d)[i], (*d)[j] = (*d)[j], (*d)[i] }
func (d *deadlines) Push(x any)         { *d = append(*d, x.(clusterTime)) }
func (d *deadlines) Pop() any {
	last := (*d)[len(*d)-1]
	*d = (*d)[:len(*d)-1]
	return last
}

// savedNode is the part of a saved tree that says when nodes expire.
type savedNode struct {
	ExpireTime time.Time
	Children   map[string]*savedNode
}

// savedDeadlines collects the deadlines of a saved tree.
func savedDeadlines(tree []byte) (deadlines, error) {
	var saved struct{ Root *savedNode }
	if err := json.Unmarshal(tree, &saved); err != nil {
		return nil, err
	}
	var d deadlines
	saved.Root.collect(&d)
	heap.Init(&d)
	return d, nil
}

func (n *savedNode) collect(d *deadlines) {
	if n == nil {
		return
	}
	if n.ExpireTime.After(epoch) {
		*d = append(*d, clusterTime(n.ExpireTime.Sub(epoch)))
	}
	for _, child := range n.Children {
		child.collect(d)
	}
}
