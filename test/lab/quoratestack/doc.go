// Package quoratestack runs Quorate on the hosts of a lab, with configurations as short as a newcomer would write them: what can be derived is
// left to the program.
package quoratestack
