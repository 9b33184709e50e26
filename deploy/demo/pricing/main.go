// Pricing says what goods cost: GET /price?sku=rope&grams=1900
package main

import (
	"context"
	"encoding/json"
	"errors"
	"log"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

func main() {
	port := os.Getenv("PORT")
	if port == "" {
		port = "8080"
	}
	server := &http.Server{Addr: ":" + port, Handler: routes(), ReadHeaderTimeout: 10 * time.Second}
	stopped := make(chan struct{})
	go func() {
		signals := make(chan os.Signal, 1)
		signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
		<-signals
		limited, cancel := context.WithTimeout(context.Background(), 8*time.Second)
		defer cancel()
		if err := server.Shutdown(limited); err != nil {
			log.Printf("stopped before every request was answered: %v", err)
		}
		close(stopped)
	}()
	log.Printf("pricing listens on %s", port)
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		log.Fatal(err)
	}
	<-stopped
}

func routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	mux.HandleFunc("/version", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, map[string]string{"service": "pricing", "version": version()})
	})
	mux.HandleFunc("/price", price)
	return mux
}

func price(w http.ResponseWriter, r *http.Request) {
	grams, err := strconv.ParseInt(r.URL.Query().Get("grams"), 10, 64)
	if err != nil || grams < 0 {
		reply(w, http.StatusBadRequest, map[string]string{"error": "grams must be a number"})
		return
	}
	price, err := PriceOf(r.URL.Query().Get("sku"), grams)
	if err != nil {
		reply(w, http.StatusNotFound, map[string]string{"error": err.Error()})
		return
	}
	reply(w, http.StatusOK, price)
}

func version() string {
	if version := os.Getenv("SLIPWAY_VERSION"); version != "" {
		return version
	}
	return "unknown"
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(body); err != nil {
		log.Printf("could not answer: %v", err)
	}
}
