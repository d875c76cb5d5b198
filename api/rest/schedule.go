package rest

import (
	"fmt"
	"net/http"
	"time"

	"quorate/internal/whenever"
)

// parseSchedule reads the moment for an action. Its zone is mandatory, because the nodes' zones may differ. Another code than 0 is for the answer,
// with the text.
func parseSchedule(value any, action string, now time.Time) (at time.Time, code int, why string) {
	text, written := value.(string)
	at, zoned, err := whenever.Parse(text, now)
	switch {
	case err != nil, !written: // a number is no moment, though "5" is the fifth of the month
		return at, http.StatusUnprocessableEntity,
			"Unable to parse scheduled timestamp. It should be in an unambiguous format, e.g. ISO 8601"
	case !zoned:
		return at, http.StatusBadRequest, fmt.Sprintf("Timezone information is mandatory for the scheduled %s", action)
	case at.Before(now):
		return at, http.StatusUnprocessableEntity, fmt.Sprintf("Cannot schedule %s in the past", action)
	}
	return at, 0, ""
}
