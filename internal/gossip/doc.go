// Package gossip tells a host who else is there: discovery and early warning over hashicorp/memberlist (SWIM with the
// Lifeguard changes).
//
// What it says is a hint. It finds addresses, spreads small facts about each host (Meta), notices silence sooner than a lease
// does and carries "look again"; what is true is what the store has committed. Losing all of gossip costs time and nothing else.
package gossip
