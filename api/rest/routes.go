package rest

import "net/http"

// patroniRoutes are the paths of Patroni that are more than a health check.
func (s *Server) patroniRoutes() map[string]map[string]http.HandlerFunc {
	return map[string]map[string]http.HandlerFunc{
		http.MethodGet: {
			"liveness":  s.getLiveness,
			"readiness": s.getReadiness,
			"patroni":   s.getPatroni,
			"cluster":   s.getCluster,
			"history":   s.getHistory,
			"config":    s.getConfig,
			"metrics":   s.getMetrics,
			"failsafe":  s.getFailsafe,
		},
	}
}
