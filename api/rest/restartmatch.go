package rest

import (
	"fmt"
	"strconv"
	"strings"
)

// Matches says whether a node meets the request's conditions; if not, why.
func (r RestartRequest) Matches(s *NodeStatus) (ok bool, why string) {
	if r.Role != "" && r.Role != s.Postgres.Role {
		return false, fmt.Sprintf("the role is %s, not %s", s.Postgres.Role, r.Role)
	}
	if r.PostgresVersion != "" {
		wanted, err := versionNumber(r.PostgresVersion)
		if err != nil {
			return false, err.Error()
		}
		if wanted <= s.Postgres.ServerVersion {
			return false, fmt.Sprintf("the server's version %d is not older than %s", s.Postgres.ServerVersion, r.PostgresVersion)
		}
	}
	if r.Pending && len(s.PendingRestart) == 0 {
		return false, "no parameter waits for a restart"
	}
	return true, ""
}

// versionNumber turns "15.6" into 150006 and "9.6.24" into 90624, as PostgreSQL numbers its versions (libpq, PQserverVersion).
func versionNumber(v string) (int, error) {
	parts := strings.Split(v, ".")
	numbers := make([]int, 0, 3)
	for _, p := range parts {
		n, err := strconv.Atoi(strings.TrimSpace(p))
		if err != nil || n < 0 || n > 99 {
			return 0, patroniText("Invalid PostgreSQL version: " + v)
		}
		numbers = append(numbers, n)
	}
	if len(numbers) < 2 || len(numbers) == 2 && numbers[0] < 10 || len(numbers) > 3 {
		return 0, patroniText("Invalid PostgreSQL version format: X.Y or X.Y.Z is accepted: " + v)
	}
	if len(numbers) == 2 {
		numbers = []int{numbers[0], 0, numbers[1]}
	}
	return numbers[0]*10000 + numbers[1]*100 + numbers[2], nil
}
