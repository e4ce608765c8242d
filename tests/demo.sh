#!/bin/sh
# The README's first command, as a newcomer uses it: `make demo`, then the curl line that it prints, then Ctrl-C, which it must
# take for a wish to stop and not for a failure.
set -eu

out=$(mktemp)
setsid make --no-print-directory demo ADDRESS=127.0.0.1:0 >"$out" 2>&1 &
demo=$!
trap 'kill -s KILL -- "-$demo" 2>/dev/null || true; rm -f "$out"' EXIT

# A build is minutes at most where the library is not built yet.
tries=6000
until curl=$(grep -m 1 '^ *curl ' "$out"); do
    tries=$((tries - 1))
    if [ "$tries" = 0 ] || ! kill -0 "$demo" 2>/dev/null; then
        cat "$out" >&2
        exit 1
    fi
    sleep 0.1
done

answer=$(eval "$curl --silent --show-error --fail --max-time 10")
[ "$answer" = 'Hello, World!' ] || { echo "answered: $answer" >&2 && exit 1; }

kill -s INT -- "-$demo"
wait "$demo"
echo "ok: make demo, $(echo "$curl" | sed 's/^ *//'), Ctrl-C"
