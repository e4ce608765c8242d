#!/bin/sh
# Links the installed shared library out of the static one: link.sh libbartizan.a libbartizan.so.0
# Cargo's own libbartizan.so has the same code and SONAME, but not the version node (see build.rs).
set -eu
archive=$1
output=$2
map=$(dirname "$0")/libbartizan.map
exec "${CC:-cc}" -shared -o "$output" \
    -Wl,-soname,libbartizan.so.0 -Wl,--version-script="$map" -Wl,-z,nodelete -Wl,-z,relro,-z,now,-z,noexecstack \
    -Wl,--whole-archive "$archive" -Wl,--no-whole-archive -Wl,--gc-sections -Wl,--as-needed \
    -Wl,--no-undefined -lgcc_s -lutil -lrt -lpthread -lm -ldl -lc
