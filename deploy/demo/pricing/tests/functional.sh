#!/bin/bash
# Against the image. curl is not in the build image, so this speaks HTTP itself.
set -eu
get() {
    exec 3<>/dev/tcp/pricing/8080
    printf 'GET %s HTTP/1.0\r\nHost: pricing\r\n\r\n' "$1" >&3
    cat <&3
}
expect() {
    if ! get "$1" | tr -d '\r' | grep -q -- "$2"; then
        echo "not ok: GET $1 does not answer $2:"; get "$1"; exit 1
    fi
    echo "ok: GET $1 answers $2"
}
expect '/price?sku=anchor&grams=3200' '"shipping_cents":750'
expect '/price?sku=kraken&grams=1' 'HTTP/1.0 404'
expect '/price?sku=anchor' 'HTTP/1.0 400'
