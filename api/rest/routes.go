package rest

import "net/http"

// patroniRoutes are the paths of Patroni that are more than a health check, by method and first segment.
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
		http.MethodPatch: {
			"config": s.write(s.patchConfig),
		},
		http.MethodPut: {
			"config": s.write(s.putConfig),
		},
		http.MethodPost: {
			"reload":       s.write(s.postReload),
			"restart":      s.write(s.postRestart),
			"reinitialize": s.write(s.postReinitialize),
			"switchover":   s.write(s.postSwitchover),
			"failover":     s.write(s.postFailover),
			"failsafe":     s.peer(s.postFailsafe),
			"mpp":          s.write(s.postMPP),
			"citus":        s.write(s.postMPP),
			"sigterm":      s.write(s.postSigterm),
		},
		http.MethodDelete: {
			"restart":    s.write(s.deleteRestart),
			"switchover": s.write(s.deleteSwitchover),
		},
	}
}
