#!/bin/sh
# The original image is built without protected mode, listens everywhere and runs as redis: so does this one.
set -e
case "$1" in -*|*.conf) set -- redis-server "$@" ;; esac
if [ "$1" = redis-server ]; then
    set -- "$@" --protected-mode no --bind '* -::*'
    [ "$(id -u)" = 0 ] && exec setpriv --reuid=redis --regid=redis --clear-groups -- "$@"
fi
exec "$@"
