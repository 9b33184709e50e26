package main

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestShippingGrowsWithEachKilogramBegun(t *testing.T) {
	for grams, want := range map[int64]int64{1: 390, 1000: 390, 1001: 510, 2000: 510, 2001: 630} {
		price, err := PriceOf("rope", grams)
		if err != nil {
			t.Fatal(err)
		}
		if price.Shipping != want {
			t.Errorf("%d g: shipping is %d, want %d", grams, price.Shipping, want)
		}
	}
}

func TestUnknownGoodsHaveNoPrice(t *testing.T) {
	var unknown ErrUnknown
	if _, err := PriceOf("kraken", 1); !errors.As(err, &unknown) {
		t.Errorf("got %v", err)
	}
}

func TestWeightMustBeANumber(t *testing.T) {
	recorder := httptest.NewRecorder()
	routes().ServeHTTP(recorder, httptest.NewRequest("GET", "/price?sku=rope&grams=heavy", nil))
	if recorder.Code != http.StatusBadRequest {
		t.Errorf("status %d", recorder.Code)
	}
}
